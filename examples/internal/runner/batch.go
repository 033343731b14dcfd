package runner

import (
	"context"
	"fmt"
	"slices"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// batch holds the operations of one commit, and the nodes it leaves and enters.
type batch struct {
	run           *run
	tree          *state.Tree // the tree before the batch
	ops           []engine.Op
	left, entered []*node
	passed        []*node     // that no flow can reach any more
	spent         []*node     // entered, and failed since they made too many passes
	resumed       []*pipeline // that are suspended before
	released      []*node     // that were paused before they began, and may begin
	releasesAll   bool        // every paused node may begin
	invalid       *dataError  // error of making the data of a node that begins
}

// batch makes a new batch. It drops the results of an earlier one that was not
// committed.
func (r *run) batch(ctx context.Context) (*batch, error) {
	r.results.discard()
	snap, err := r.engine.Load(ctx, store.ByKey(r.task.Business, r.task.Task))
	return &batch{run: r, tree: snap.Tree}, err
}

func (b *batch) record(ops ...engine.Op) { b.ops = append(b.ops, ops...) }

// suspendedAbove reports whether a pipeline that n is in is suspended, and is so
// after the batch.
func (b *batch) suspendedAbove(n *node) bool {
	for p := n.in; ; p = p.within.in {
		i, ok := b.index(p.key())
		if ok && b.tree.State(i) == state.Suspended && !slices.Contains(b.resumed, p) {
			return true
		}
		if p.within == nil {
			return false
		}
	}
}

// index is where the tree has the node with a key, "" for the root.
func (b *batch) index(key string) (i int, ok bool) {
	if key == "" {
		return 0, b.tree.Len() > 0
	}
	return b.tree.FindKey(key)
}

// recorded is the record of a node before the batch; its state is 0 without a record.
func (b *batch) recorded(n *node) state.Node {
	if i, ok := b.index(n.id); ok {
		return b.tree.Node(i)
	}
	return state.Node{}
}

// fresh reports whether a node with such a record has never begun.
func fresh(was *state.Node) bool {
	switch was.State {
	case 0:
		return true
	case state.Created, state.Suspended:
		return was.Began == state.Declare && !was.Started.IsSet()
	}
	return false
}

// held reports whether a node that has not begun was paused individually, and stays
// paused after the batch.
func (b *batch) held(n *node, was *state.Node) bool {
	return was.State == state.Suspended && fresh(was) && !b.releasesAll && !slices.Contains(b.released, n)
}

// enter records the begin of a node in any state, and the start event inside a
// subprocess. While the pipeline is suspended, or the node was paused before it
// began, it records nothing and returns false: the nodes that lead to it stay active.
// from is the node that led to it, nil if the node continues.
func (b *batch) enter(n, from *node) bool {
	if slices.Contains(b.entered, n) {
		return true
	}
	was, suspended := b.recorded(n), b.suspendedAbove(n)
	if suspended && (fresh(&was) || was.State == state.Finished) || b.held(n, &was) {
		return false
	}
	b.entered = append(b.entered, n)
	if suspended {
		return true
	}
	pass := max(was.Loop, 1)
	if was.State == state.Finished {
		pass++
	}
	running := was.Started.IsSet() && !was.State.Ended() // and so are the nodes inside
	if running {
		b.record(engine.Report(n.id, state.Running, b.run.in()))
	} else {
		opts := b.input(n, pass)
		if from != nil {
			opts = append(opts, engine.From(from.id))
		}
		b.record(b.declare(engine.Begin, n, opts...))
	}
	if was.State == state.Suspended && n.inside != nil {
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
		pass := max(b.recorded(n).Loop, 1)
		b.record(engine.Start(n.id, append(b.input(n, pass), b.run.in())...))
		b.begun(n, pass, false)
	}
}

// input is the input of a node that begins with a pass, nil without inputs. The
// inputs of a subprocess become variables inside.
func (b *batch) input(n *node, pass int) []engine.Option {
	s := b.run.scope(n, pass)
	values := s.inputs(n)
	switch {
	case s.err != nil && n.inside != nil:
		b.fail("params", n, s.err)
		return nil
	case s.err != nil || len(values) == 0: // a command fails when it is to start
		return nil
	case n.inside != nil:
		b.run.results.give(n.inside, values)
	}
	return []engine.Option{engine.Input(encodeData(attemptInput{values}))}
}

// output is the output of a subprocess that has ended: new values for variables of
// the pipeline that it is in.
func (b *batch) output(n *node) []engine.Option {
	inside := &scope{results: b.run.results, in: n.inside, now: map[string]string{}}
	values := fed(n, b.recorded(n).Loop, true, inside.Variable)
	if inside.err != nil {
		b.fail("outputs", n, inside.err)
	}
	if len(values) == 0 {
		return nil
	}
	b.run.results.give(n.in, values)
	return (&attemptOutput{Set: values}).options()
}

// fail keeps the first error of making data.
func (b *batch) fail(what string, n *node, err error) {
	if b.invalid == nil {
		b.invalid = &dataError{fmt.Errorf("%s of %s: %w", what, n.label(), err)}
	}
}

// begun handles a node that has begun with a pass: beyond its limit of passes the
// node fails, and a subprocess enters its start event.
func (b *batch) begun(n *node, pass int, running bool) {
	switch {
	case pass > n.maxLoops:
		b.record(engine.Fail(n.id, fmt.Sprintf("it exceeds the rerun limit of %d passes", n.maxLoops), b.run.in()))
		b.spent = append(b.spent, n)
	case n.inside != nil && !running:
		if start := b.recorded(n.inside.start); start.State == 0 {
			b.declareAll(n.inside)
		}
		b.enter(n.inside.start, nil)
	}
}

// follow enters the successors of a node that ends with the batch, or has ended. The
// error gives the reason why they cannot be determined.
func (b *batch) follow(n *node) error {
	was := b.recorded(n)
	if was.Loop%n.passes != 0 {
		if b.suspendedAbove(n) { // it makes its next pass afterwards
			return nil
		}
		b.record(engine.Loop(n.id, append(b.input(n, was.Loop+1), b.run.in(), engine.From(n.id))...))
		b.entered = append(b.entered, n)
		b.begun(n, was.Loop+1, false)
		return nil
	}
	to, err := n.choose(b.run.scope(n, was.Loop))
	if err != nil {
		return err
	}
	b.leave(n, to)
	if conditional(n.kind) && !b.suspendedAbove(n) {
		b.passOver(n.in)
	}
	return nil
}

// declareAll records all nodes of a pipeline that begins for the first time, with
// the flows between them, so that its status shows the remaining steps.
func (b *batch) declareAll(p *pipeline) {
	declared := map[*node]bool{}
	for _, n := range p.nodes {
		var after []string
		for _, m := range n.previous {
			if declared[m] && !slices.Contains(after, m.id) { // the others lead back
				after = append(after, m.id)
			}
		}
		b.record(b.declare(engine.Declare, n, engine.After(after...)))
		declared[n] = true
	}
}

// notTaken is the actor of a skip by which the runner says that the pipeline has
// passed a node without beginning it.
const notTaken = "runner: branch not taken"

// passOver skips the nodes of a pipeline that have not begun and cannot be reached
// any more.
func (b *batch) passOver(p *pipeline) {
	var from []*node
	for n := range b.run.active {
		if n.in == p && !slices.Contains(b.left, n) {
			from = append(from, n)
		}
	}
	for _, n := range b.entered {
		if n.in == p {
			from = append(from, n)
		}
	}
	ahead := set(reachable(from...))
	for _, n := range p.nodes {
		was := b.recorded(n)
		if ahead[n] || !fresh(&was) || slices.Contains(b.passed, n) {
			continue
		}
		if was.State == state.Suspended { // it could not be resumed afterwards
			b.record(engine.Resume(n.id, b.run.in()))
		}
		if !p.repeats {
			b.record(engine.Skip(n.id, b.run.in(), engine.Actor(notTaken)))
		}
		b.passed = append(b.passed, n)
	}
}

// declare makes the options of Declare or Begin for a node of the definition.
func (b *batch) declare(op func(string, state.Kind, ...engine.Option) engine.Op, n *node, opts ...engine.Option) engine.Op {
	opts = append(opts, b.run.in(), engine.Key(n.id), engine.Name(n.name))
	if n.noRetry {
		opts = append(opts, engine.NoRetry())
	}
	if n.noSkip {
		opts = append(opts, engine.NoSkip())
	}
	return op(n.in.key(), n.kind, opts...)
}

// leave continues from a node that has ended to its successors. The last branch of a
// parallel part to arrive enters the converge gateway; the end event finishes its
// pipeline. If a successor cannot be entered now, n stays active, and -resume finds
// it unfollowed.
func (b *batch) leave(n *node, to []*node) {
	b.left = append(b.left, n)
	if n.kind == state.EndEvent {
		b.passOver(n.in)
		outer := n.in.within
		if outer == nil {
			b.record(engine.Finish("", b.run.in()))
			return
		}
		b.record(engine.Finish(outer.id, append(b.output(outer), b.run.in())...))
		b.leave(outer, []*node{outer.next[0].to})
		return
	}
	var joins []*node
	for _, t := range to {
		if n.joining(t) != nil {
			joins = append(joins, t)
		} else if !b.enter(t, n) {
			b.stay(n)
		}
	}
	for _, t := range joins {
		if !b.busy(n.joining(t)) && !b.enter(t, n) {
			b.stay(n)
		}
	}
}

// stay keeps a node active that cannot be left yet.
func (b *batch) stay(n *node) {
	b.left = slices.DeleteFunc(b.left, func(m *node) bool { return m == n })
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
