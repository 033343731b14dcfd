package runner

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
)

// interruptedText is the error of a command whose runner was killed.
const interruptedText = "interrupted: the runner ended while this was running"

// resume finds out where the pipeline is and goes on from there, in one
// commit: what was suspended resumes, what failed is retried, what was
// interrupted fails and is retried.
func (r *run) resume(ctx context.Context) error {
	b, err := r.batch(ctx)
	if err != nil {
		return err
	}
	if b.tree.Ended() {
		r.note(fmt.Sprintf("the task is %s: there is nothing to go on with", b.tree.State(0)))
		return nil
	}
	b.record(engine.Report(b.tree.ID(0), state.Running))
	b.resumed, b.releasesAll = append(b.resumed, r.def.root), true
	if err := r.goOn(ctx, b, r.def.root, func(n *node) { r.again(b, n) }); err != nil {
		return err
	}
	return r.commit(ctx, b, nil)
}

// goOn goes on where a pipeline is: again says how with what has not ended, and
// what has leads to what follows.
func (r *run) goOn(ctx context.Context, b *batch, p *pipeline, again func(*node)) error {
	s, err := r.story(ctx)
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

// again enters an active node again, if it can be. Whoever resumes has the file,
// or the task's lease: nobody runs the command of a node that has begun any more.
func (r *run) again(b *batch, n *node) {
	was := b.recorded(n)
	failed := was.State == state.Failed
	interrupted := n.kind == state.ServiceActivity &&
		(was.State == state.Running || was.State == state.Suspended && was.Started.IsSet())
	if interrupted {
		b.record(engine.Fail(r.id(n), interruptedText))
	}
	switch {
	case (failed || interrupted) && n.noRetry:
		r.note(n.label() + " failed and is not retryable")
	case interrupted:
		b.record(engine.Retry(r.id(n)), engine.Start(r.id(n)))
		b.entered = append(b.entered, n)
	case failed && was.RetryAt.IsSet() && was.RetryAt.Time().After(time.Now()):
		r.due[n] = was.RetryAt.Time()
	default:
		b.enter(n)
	}
}

// story is when, in sequence, each node was last entered and finished, and
// whether it finished because the pipeline passed it over.
type story struct {
	entered, finished map[string]uint64
	passed            map[string]bool
}

func (r *run) story(ctx context.Context) (*story, error) {
	s := &story{map[string]uint64{}, map[string]uint64{}, map[string]bool{}}
	for after := uint64(0); ; {
		transitions, err := r.engine.Transitions(ctx, r.task, after, 0)
		if err != nil || len(transitions) == 0 {
			return s, err
		}
		for _, tr := range transitions {
			after = tr.Sequence
			switch tr.Op {
			case state.Start, state.Loop:
				s.entered[tr.Node()] = after
			case state.Skip:
				s.passed[tr.Node()] = tr.Actor == notTaken
				if old := tr.Changes[0].Superseded; tr.Actor != notTaken && old != nil && !old.Started.IsSet() {
					s.entered[tr.Node()] = after
				}
			}
			for _, c := range tr.Changes {
				if c.State == state.Finished {
					s.finished[c.ID] = after
				}
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
		case fresh(&was), was.State == state.Finished && s.passed[was.ID]:
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
	for _, br := range n.next {
		if s.entered[b.run.id(br.to)] > s.finished[b.run.id(n)] {
			return false
		}
	}
	return len(n.next) > 0
}
