package query

import (
	"context"
	"time"

	"github.com/pipestatus/pipestatus/state"
)

// AsOf returns the tree of a task as it was at t: the state before the task's
// first transition, in sequence, later than t. It is rebuilt from the
// transitions; [Query.StatusOf] and [Query.AppendTree] show it. A task or node
// that did not exist at t is not found. For errors see [Query.Snapshot]. The
// Sequence is that of the present.
func (q *Query) AsOf(ctx context.Context, business, task string, t time.Time) (Snapshot, error) {
	snap, err := q.Snapshot(ctx, business, task)
	if err != nil {
		return Snapshot{}, err
	}
	at, id := state.InstantOf(t), snap.Tree.ID(snap.Node)
	past := state.NewTree(snap.Tree.Key())
	for tr, err := range q.Transitions(ctx, snap.Tree) {
		if err != nil {
			return Snapshot{}, err
		}
		if tr.At.After(at) {
			break
		}
		if past, err = past.Replay(tr); err != nil {
			return Snapshot{}, err
		}
	}
	node, ok := past.Find(id)
	if !ok {
		return Snapshot{}, &NotFoundError{business, task}
	}
	return Snapshot{Tree: past, Node: node, Sequence: snap.Sequence}, nil
}
