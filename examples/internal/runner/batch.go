package runner

import (
	"context"
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
	spent         []*node     // entered, and failed since they made too many passes
	resumed       []*pipeline // that are suspended before
	opened        []opened
	closed        []*node // subprocesses whose inside has ended
}

// opened is a subprocess whose inside begins, and the pass that it is.
type opened struct {
	node *node
	pass int
}

func (r *run) batch(ctx context.Context) (*batch, error) {
	snap, err := r.engine.Load(ctx, store.ByKey(r.task.Business, r.task.Task))
	return &batch{run: r, tree: snap.Tree}, err
}

func (b *batch) record(ops ...engine.Op) { b.ops = append(b.ops, ops...) }

// suspendedAbove reports whether a pipeline that n is in is suspended, and is so
// after the batch.
func (b *batch) suspendedAbove(n *node) bool {
	for p := n.in; ; p = p.within.in {
		i, ok := b.tree.Find(b.run.pipelineID(p))
		if ok && b.tree.State(i) == state.Suspended && !slices.Contains(b.resumed, p) {
			return true
		}
		if p.within == nil {
			return false
		}
	}
}

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
	was, suspended := b.recorded(n), b.suspendedAbove(n)
	if suspended && was.State == state.Finished {
		return false
	}
	b.entered = append(b.entered, n)
	if suspended {
		if was.State == 0 {
			b.record(b.declare(engine.Declare, n))
		}
		return true
	}
	pass := max(was.Loop, 1)
	if was.State == state.Finished {
		pass++
	}
	running := was.Started.IsSet() && !was.State.Ended() // and so are the nodes inside
	if running {
		b.record(engine.Report(b.run.id(n), state.Running))
	} else {
		b.record(b.declare(engine.Begin, n))
	}
	if was.State == state.Suspended {
		b.resumed = append(b.resumed, n.inside)
	}
	b.begun(n, pass, running)
	return true
}

// startAgain starts a node that the batch makes CREATED, unless its pipeline is
// suspended.
func (b *batch) startAgain(n *node) {
	b.entered = append(b.entered, n)
	if !b.suspendedAbove(n) {
		b.record(engine.Start(b.run.id(n)))
		b.begun(n, max(b.recorded(n).Loop, 1), false)
	}
}

// begun does what follows from a node that has begun with a pass: one too many
// fails it, and a subprocess enters its inside.
func (b *batch) begun(n *node, pass int, running bool) {
	switch {
	case pass > n.maxLoops:
		b.record(engine.Fail(b.run.id(n), fmt.Sprintf("it exceeds the rerun limit of %d passes", n.maxLoops)))
		b.spent = append(b.spent, n)
	case n.inside != nil && !running:
		b.opened = append(b.opened, opened{n, pass})
		b.enter(n.inside.start)
	}
}

// follow enters what follows a node that ends with the batch, or has ended. The
// error says why nobody can tell what that is.
func (b *batch) follow(n *node) error {
	was := b.recorded(n)
	if was.Loop%n.passes != 0 {
		if b.suspendedAbove(n) { // it makes its next pass afterwards
			return nil
		}
		b.record(engine.Loop(b.run.id(n)))
		b.entered = append(b.entered, n)
		b.begun(n, was.Loop+1, false)
		return nil
	}
	to, err := n.choose(b.run.scope(n, was.Loop))
	if err != nil {
		return err
	}
	b.leave(n, to)
	return nil
}

// declare gives what the definition says of a node to Declare or Begin.
func (b *batch) declare(op func(string, state.Kind, ...engine.Option) engine.Op, n *node) engine.Op {
	opts := []engine.Option{engine.ID(b.run.id(n)), engine.Name(n.name)}
	if n.noRetry {
		opts = append(opts, engine.NoRetry())
	}
	if n.noSkip {
		opts = append(opts, engine.NoSkip())
	}
	return op(b.run.pipelineID(n.in), n.kind, opts...)
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
		b.closed = append(b.closed, outer)
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
