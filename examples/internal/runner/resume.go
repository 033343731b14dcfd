package runner

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
)

// interruptedText is the error of a command whose runner was killed.
const interruptedText = "interrupted: the runner ended while this was running"

// resume determines the position of the pipeline and continues from there, in one
// commit: suspended nodes resume, failed ones are retried, and interrupted ones fail
// and are retried.
func (r *run) resume(ctx context.Context) error {
	b, err := r.batch(ctx)
	if err != nil {
		return err
	}
	if b.tree.Ended() {
		r.note(fmt.Sprintf("the task is %s: there is nothing to continue", b.tree.State(0)))
		return nil
	}
	b.record(engine.Report("", state.Running, r.in()))
	b.resumed, b.releasesAll = append(b.resumed, r.def.root), true
	if err := r.proceed(ctx, b, r.def.root, func(n *node) { r.again(b, n) }); err != nil {
		return err
	}
	return r.commit(ctx, b)
}

// proceed continues a pipeline at its position: again handles nodes that have not ended,
// and ended nodes lead to their successors.
func (r *run) proceed(ctx context.Context, b *batch, p *pipeline, again func(*node)) error {
	s, err := r.story(ctx, b.tree)
	if err != nil {
		return err
	}
	active, unfollowed := s.position(b, p)
	for _, n := range slices.Concat(active, unfollowed) {
		r.active[n] = true
	}
	for _, n := range active {
		again(n)
	}
	for _, n := range unfollowed {
		if err := b.follow(n); err != nil {
			return fmt.Errorf("after %s: %w", n.label(), err)
		}
	}
	return nil
}

// again enters an active node again, if possible. A resuming runner has the file, or
// the task's lease: no other process runs the command of a node that has begun.
func (r *run) again(b *batch, n *node) {
	was := b.recorded(n)
	failed := was.State == state.Failed
	interrupted := n.kind == state.ServiceActivity &&
		(was.State == state.Running || was.State == state.Suspended && was.Started.IsSet())
	if interrupted {
		b.record(engine.Fail(n.id, interruptedText, r.in()))
	}
	switch {
	case (failed || interrupted) && n.noRetry:
		r.note(n.label() + " failed and is not retryable")
	case interrupted:
		b.record(engine.Retry(n.id, r.in()), engine.Start(n.id, r.in()))
		b.entered = append(b.entered, n)
	case failed && was.RetryAt.IsSet() && was.RetryAt.Time().After(time.Now()):
		r.due[n] = was.RetryAt.Time()
	default:
		b.enter(n, nil)
	}
}

// story is when, in sequence, each node was last entered and finished, and
// whether it finished because the pipeline passed it over, by its index.
type story struct {
	entered, finished map[int]uint64
	passed            map[int]bool
}

func (r *run) story(ctx context.Context, tree *state.Tree) (*story, error) {
	s := &story{map[int]uint64{}, map[int]uint64{}, map[int]bool{}}
	for tr, err := range query.New(r.engine, nil).Transitions(ctx, tree) {
		if err != nil {
			return nil, err
		}
		s.add(tr)
	}
	return s, nil
}

func (s *story) add(tr *state.Transition) {
	for i := range tr.Changes {
		c := &tr.Changes[i]
		if c.State == state.Finished {
			s.finished[c.Index] = tr.Sequence
		}
		if i > 0 {
			continue
		}
		switch tr.Op {
		case state.Start, state.Loop:
			s.entered[c.Index] = tr.Sequence
		case state.Skip:
			s.passed[c.Index] = tr.Actor == notTaken
			if !s.passed[c.Index] && !c.Superseded.Started.IsSet() {
				s.entered[c.Index] = tr.Sequence
			}
		}
	}
}

// position finds where a pipeline is: the nodes that have begun and not ended,
// outer ones first, and those that have ended but were not followed by another.
func (s *story) position(b *batch, p *pipeline) (active, unfollowed []*node) {
	for _, n := range p.nodes {
		was := b.recorded(n)
		switch {
		case fresh(&was), was.State == state.Finished && s.passed[was.Index]:
			continue
		case was.State != state.Finished:
			active = append(active, n)
		case s.unfollowed(b, n):
			unfollowed = append(unfollowed, n)
		}
		if n.inside != nil && (was.State == state.Running || was.State == state.Suspended) {
			a, u := s.position(b, n.inside)
			active, unfollowed = append(active, a...), append(unfollowed, u...)
		}
	}
	return active, unfollowed
}

// unfollowed reports whether none of the nodes that n leads to was entered
// since n finished: it waits for others at a converge gateway, or ended while
// the pipeline was suspended. An end event ends its pipeline in one commit.
func (s *story) unfollowed(b *batch, n *node) bool {
	at, _ := b.index(n.id)
	for _, br := range n.next {
		if to, ok := b.index(br.to.id); ok && s.entered[to] > s.finished[at] {
			return false
		}
	}
	return len(n.next) > 0
}
