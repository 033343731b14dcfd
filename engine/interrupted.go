package engine

import (
	"context"
	"errors"
	"iter"
	"math"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Interruption is a task with nodes that no runner executes any more.
type Interruption struct {
	Task state.Key
	// Nodes are the nodes that are RUNNING although no runner executes them, in
	// the order of creation, containers included.
	Nodes []state.Node
	// Retries are the FAILED leaves whose automatic retry no runner will send
	// any more, in the order of creation. Their RetryAt is its planned time.
	//
	// Nodes and Retries are not both empty, unless the task was taken over from
	// another process.
	Retries []state.Node
}

// add adds node i if no runner executes it.
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
// retries pending, since before this engine was opened: after a crash, the work
// that the last process left behind. The runner decides how to continue each task;
// recovery never changes a state by itself. The iterator ends after yielding an
// error, which is a [*store.UnreadableError] if some tasks could not be read, and
// matches [store.ErrUnavailable] if a part of the store could not be reached. It then
// has yielded all other tasks. Call Interrupted again for the rest.
//
// [Fail] records that a leaf was interrupted, in any state of its containers and
// whether or not it may be retried. For a leaf in Retries, [Fail] without [RetryAt]
// cancels the automatic retry. Running it again is a second request, [Begin] or
// [Retry], which may be refused: nothing starts in a pipeline that is suspended or
// revoked. See the example of this method.
//
// On a store that is no [store.Leaser], Interrupted cannot distinguish a running
// engine from a crashed one. It also yields nodes that another engine has been
// running since before this one was opened, and failing those would be wrong. Open
// only one engine for each such store, or call Interrupted before any other engine
// starts work.
//
// On a [store.Leaser], which several processes share, Interrupted yields the tasks
// whose lease has expired. It takes each task over before yielding it, so that of
// several engines only one gets the task, with all of its unfinished nodes. A task
// without such nodes is yielded too, because a runner must continue it. Call
// Interrupted regularly.
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
		var missing error
		for t, err := range store.Pages("", list) {
			var in Interruption
			found := false
			if err == nil {
				in, found, err = look(ctx, t)
			}
			switch {
			case passed.Add(t, err):
			case errors.Is(err, store.ErrUnavailable): // of this task, or the last of all errors
				missing = err
			case err != nil:
				yield(Interruption{}, err)
				return
			case found && !yield(in, nil):
				return
			}
		}
		if err := passed.With(missing); err != nil {
			yield(Interruption{}, err)
		}
	}
}

// takeOver takes over a task whose lease has expired, unless another engine was
// first or has changed the task since. No runner executes its RUNNING nodes.
func (e *Engine) takeOver(ctx context.Context, leaser store.Leaser, t *store.Task) (Interruption, bool, error) {
	in := Interruption{Task: t.Key}
	err := leaser.TakeOver(ctx, store.Location{Key: t.Key, Revision: t.Revision})
	if errors.Is(err, store.ErrConflict) {
		return in, false, nil
	}
	if err != nil {
		return in, false, ignoreNotFound(err)
	}
	snap, err := e.store.Load(ctx, store.Ref{Key: t.Key}) // memory may be outdated
	if err != nil {
		return in, false, ignoreNotFound(err)
	}
	for i := range snap.Tree.Len() {
		in.add(snap.Tree, i)
	}
	return in, true, nil
}

// before returns the sequence in the log of seq after which this engine has
// committed.
func (e *Engine) before(sequence uint64) uint64 {
	opened := *e.opened.Load()
	if opened.HistoryOf(sequence) == (store.History{}) {
		return math.MaxUint64 // the engine has not committed to this log
	}
	return opened.In(sequence)
}

// began records the first commit to a log that was empty or unreachable when
// the engine was opened. Only one commit runs at a time.
func (e *Engine) began(history store.History, first uint64) {
	if opened := e.opened.Load(); opened.HistoryOf(first) == (store.History{}) {
		next := opened.With(history, first-1)
		e.opened.Store(&next)
	}
}

// interrupted returns the nodes of a task that were left behind before the
// engine was opened.
func (e *Engine) interrupted(ctx context.Context, t *store.Task) (Interruption, bool, error) {
	in := Interruption{Task: t.Key}
	after := e.before(t.Number)
	if t.Number > after {
		return in, false, nil
	}
	snap, err := e.Load(ctx, store.Ref{Key: t.Key})
	if err != nil {
		return in, false, ignoreNotFound(err)
	}
	since := make(map[string]bool)
	for snap.Tree.Revision() > after {
		trs, err := e.Transitions(ctx, t.Key, after, 0)
		if err != nil {
			return in, false, ignoreNotFound(err)
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
