package main

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
// begin: a new node is declared, so that it shows, and one that would loop is
// left for -resume to find, see unfollowed.
func (b *batch) enter(n *node) {
	id, was := b.run.id(n), b.recorded(n)
	if slices.Contains(b.entered, n) || b.run.suspended && was.State == state.Finished {
		return
	}
	b.entered = append(b.entered, n)
	if was.State == 0 {
		b.record(b.declare(n))
	}
	if b.run.suspended {
		return
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
// event finishes its pipeline.
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
		} else {
			b.enter(t)
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
