package engine

import (
	"context"
	"errors"
	"iter"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Interruption is a task with nodes that nobody runs any more.
type Interruption struct {
	Task state.Key
	// Nodes are the nodes that are RUNNING although nobody runs them, in the
	// order of creation, containers included.
	Nodes []state.Node
	// Retries are the FAILED leaves whose automatic retry nobody will send any
	// more, in the order of creation. Their RetryAt says when it was meant to be.
	//
	// Nodes and Retries are not both empty, unless the task was taken over from
	// another process.
	Retries []state.Node
}

// add takes note of node i if it was left behind.
func (in *Interruption) add(t *state.Tree, i int) {
	switch n := t.Node(i); {
	case n.State == state.Running:
		in.Nodes = append(in.Nodes, n)
	case n.RetryAt.IsSet():
		in.Retries = append(in.Retries, n)
	}
}

func (in *Interruption) empty() bool { return len(in.Nodes) == 0 && len(in.Retries) == 0 }

// Interrupted iterates over the tasks with nodes RUNNING, or with automatic
// retries pending, since before this engine was opened: what the last process left
// behind, if it crashed. The runner decides what becomes of each; recovery never
// changes a state by itself. An error is the last thing yielded, a
// [*store.UnreadableError] if tasks were passed over that cannot be read.
//
// Whatever is above a leaf, and whether or not it may be retried, [Fail] records
// that it was interrupted, and of one in Retries, without [RetryAt], that nobody
// retries it by itself. To run it again is a second request, [Begin] or [Retry],
// which may be refused: nothing starts in a pipeline that is suspended or revoked.
// See the example of this method.
//
// On a store that is no [store.Leaser], another engine that runs at the same time
// cannot be told from one that crashed: Interrupted also yields what that engine
// has run since before this one was opened, and to fail it would be wrong. Open
// one engine for each such store, or call Interrupted before any other engine runs
// something.
//
// On a [store.Leaser], which several processes share, these are the tasks
// whose lease ran out, whenever that was. Each is taken over before it is
// yielded, so that of several engines that look only one gets it, and with it
// all of its unfinished nodes. A task without such nodes is yielded too, because
// somebody must continue it. Call it now and then.
func (e *Engine) Interrupted(ctx context.Context) iter.Seq2[Interruption, error] {
	list := func(cursor string) (store.ListPage, error) {
		return e.List(ctx, store.ListQuery{Unfinished: true, Cursor: cursor})
	}
	look := e.interrupted
	if leaser, ok := e.store.(store.Leaser); ok {
		list = func(cursor string) (store.ListPage, error) {
			if err := e.ready(ctx); err != nil {
				return store.ListPage{}, err
			}
			return leaser.Lapsed(ctx, cursor, 0)
		}
		look = func(ctx context.Context, t *store.Task) (Interruption, bool, error) {
			return e.takeOver(ctx, leaser, t)
		}
	}
	return func(yield func(Interruption, error) bool) {
		var passed store.PassedOver
		for t, err := range store.Pages("", list) {
			var in Interruption
			found := false
			if err == nil {
				in, found, err = look(ctx, t)
			}
			switch {
			case passed.Add(t, err):
			case err != nil:
				yield(Interruption{}, err)
				return
			case found && !yield(in, nil):
				return
			}
		}
		if err := passed.Err(); err != nil {
			yield(Interruption{}, err)
		}
	}
}

// takeOver takes a task over whose lease ran out, unless somebody else was
// first or has changed it since. Whatever is RUNNING in it nobody runs.
func (e *Engine) takeOver(ctx context.Context, leaser store.Leaser, t *store.Task) (Interruption, bool, error) {
	in := Interruption{Task: t.Key}
	err := leaser.TakeOver(ctx, store.Location{Key: t.Key, Revision: t.Revision})
	if errors.Is(err, store.ErrConflict) {
		return in, false, nil
	}
	if err != nil {
		return in, false, gone(err)
	}
	snap, err := e.store.Load(ctx, store.Ref{Key: t.Key}) // memory may be behind
	if err != nil {
		return in, false, gone(err)
	}
	for i := range snap.Tree.Len() {
		in.add(snap.Tree, i)
	}
	return in, true, nil
}

// interrupted looks for what was left behind before the engine was opened.
func (e *Engine) interrupted(ctx context.Context, t *store.Task) (Interruption, bool, error) {
	in := Interruption{Task: t.Key}
	if t.Number > e.opened {
		return in, false, nil
	}
	snap, err := e.Load(ctx, store.Ref{Key: t.Key})
	if err != nil {
		return in, false, gone(err)
	}
	since := make(map[string]bool)
	for after := e.opened; snap.Tree.Revision() > after; {
		trs, err := e.Transitions(ctx, t.Key, after, 0)
		if err != nil {
			return in, false, gone(err)
		}
		if len(trs) == 0 {
			break
		}
		for _, tr := range trs {
			after = tr.Sequence
			for i := range tr.Changes {
				since[tr.Changes[i].ID] = true
			}
		}
	}
	for i := range snap.Tree.Len() {
		if !since[snap.Tree.ID(i)] {
			in.add(snap.Tree, i)
		}
	}
	return in, !in.empty(), nil
}
