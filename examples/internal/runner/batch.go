package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// batch is what one commit records, and the nodes it leaves and enters.
type batch struct {
	run           *run
	tree          *state.Tree // as it is before
	ops           []engine.Op
	left, entered []*node
}

func (r *run) batch(ctx context.Context) (*batch, error) {
	snap, err := r.engine.Load(ctx, store.ByKey(r.task.Business, r.task.Task))
	return &batch{run: r, tree: snap.Tree}, err
}

func (b *batch) record(ops ...engine.Op) { b.ops = append(b.ops, ops...) }

// recorded is what is recorded of a node; its state is 0 if nothing is.
func (b *batch) recorded(n *node) state.Node {
	if i, ok := b.tree.Find(b.run.id(n)); ok {
		return b.tree.Node(i)
	}
	return state.Node{}
}

// enter records what begins a node, whatever it was before, and the start
// event inside a subprocess. While the pipeline is suspended nothing can
// begin: a new node is declared, so that it shows; for one that would loop
// there is nothing to record, and enter returns false.
func (b *batch) enter(n *node) bool {
	if slices.Contains(b.entered, n) {
		return true
	}
	id, was := b.run.id(n), b.recorded(n)
	if b.run.suspended && was.State == state.Finished {
		return false
	}
	b.entered = append(b.entered, n)
	if was.State == 0 {
		b.record(b.declare(n))
	}
	if b.run.suspended {
		return true
	}
	running := false // and so are, or were, the nodes inside
	switch was.State {
	case state.Finished:
		b.record(engine.Loop(id))
	case state.Failed:
		b.record(engine.Retry(id), engine.Start(id))
	case state.Suspended:
		b.record(engine.Resume(id))
		if running = was.Started.IsSet(); !running {
			b.record(engine.Start(id))
		}
	case state.Running:
		running = true
	default:
		b.record(engine.Start(id))
	}
	if n.inside != nil && !running {
		b.enter(n.inside.start)
	}
	return true
}

func (b *batch) declare(n *node) engine.Op {
	parent := b.run.rootID()
	if n.in.within != nil {
		parent = b.run.id(n.in.within)
	}
	opts := []engine.Option{engine.ID(b.run.id(n)), engine.Name(n.name), engine.MaxLoops(n.maxLoops)}
	if n.noRetry {
		opts = append(opts, engine.NoRetry())
	}
	if n.noSkip {
		opts = append(opts, engine.NoSkip())
	}
	return engine.Declare(parent, n.kind, opts...)
}

// leave goes on from a node that has ended to those it leads to. The last
// branch of a parallel part to arrive enters the converge gateway; the end
// event finishes its pipeline. What cannot be entered now keeps n active, and
// -resume finds it unfollowed.
func (b *batch) leave(n *node, to []*node) {
	b.left = append(b.left, n)
	if n.kind == state.EndEvent {
		outer := n.in.within
		if outer == nil {
			b.record(engine.Finish(b.run.rootID()))
			return
		}
		b.record(engine.Finish(b.run.id(outer)))
		b.leave(outer, []*node{outer.next[0].to})
		return
	}
	var joins []*node
	for _, t := range to {
		if n.joining(t) != nil {
			joins = append(joins, t)
		} else if !b.enter(t) {
			b.left = slices.DeleteFunc(b.left, func(m *node) bool { return m == n })
		}
	}
	for _, t := range joins {
		if !b.busy(n.joining(t)) {
			b.enter(t)
		}
	}
}

// busy reports whether any node in a parallel part is active.
func (b *batch) busy(r *region) bool {
	for n := range b.run.active {
		if r.contains(n) && !slices.Contains(b.left, n) {
			return true
		}
	}
	return slices.ContainsFunc(b.entered, r.contains)
}

// limited says which node of the batch has reached its loop limit.
func (b *batch) limited(err error) string {
	var refused *state.Error
	if errors.As(err, &refused) {
		for _, n := range b.entered {
			if b.run.id(n) == refused.Node {
				return fmt.Sprintf("%s has max_loops %d", n.label(), n.maxLoops)
			}
		}
	}
	return err.Error()
}
