package query

import (
	"context"
	"errors"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// AsOf returns the tree of a task as it was at t: the state before the task's
// first transition, in sequence, later than t. It is rebuilt from the
// transitions; [Query.StatusOf] and [Query.AppendTree] show it, with elapsed
// times until [Options.Now], which may be set to t. A task or node that did
// not exist at t is not found. For errors see [Query.Snapshot]. The Position
// is that of the present.
func (q *Query) AsOf(ctx context.Context, business, task string, t time.Time) (store.Snapshot, error) {
	var past *state.Tree
	snap, err := q.replay(ctx, business, task, func(now *state.Tree) {
		past = state.NewTree(now.Key())
	}, func(tr *state.Transition) (more bool, err error) {
		if tr.At.After(state.InstantOf(t)) {
			return false, nil
		}
		past, err = past.Replay(tr)
		return true, err
	})
	if err != nil {
		return store.Snapshot{}, err
	}
	node, ok := past.Find(snap.Tree.ID(snap.Index))
	if !ok {
		return store.Snapshot{}, &NotFoundError{Business: business, Task: task, At: state.InstantOf(t).In(q.opts.Location)}
	}
	return store.Snapshot{Tree: past, Index: node, Position: snap.Position}, nil
}

// replay takes a snapshot and goes through the transitions that led to it, to
// the last or until more is false. If the task is deleted during this, it begins
// again with the task that has its key now, if there is one.
func (q *Query) replay(ctx context.Context, business, task string,
	begin func(*state.Tree), next func(*state.Transition) (more bool, err error),
) (store.Snapshot, error) {
	var deleted uint64
	for {
		snap, err := q.Snapshot(ctx, business, task)
		if err != nil {
			return store.Snapshot{}, err
		}
		begin(snap.Tree)
		err = q.each(ctx, snap.Tree, next)
		if err == nil {
			return snap, nil
		}
		if !errors.Is(err, state.ErrNotFound) || snap.Tree.Revision() == deleted {
			return store.Snapshot{}, err
		}
		deleted = snap.Tree.Revision()
	}
}

func (q *Query) each(ctx context.Context, tree *state.Tree, next func(*state.Transition) (more bool, err error)) error {
	for tr, err := range q.Transitions(ctx, tree) {
		if err != nil {
			return err
		}
		if more, err := next(tr); !more || err != nil {
			return wrap(err)
		}
	}
	return nil
}
