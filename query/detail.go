package query

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// NodeDetail is a node with all of its attempts.
type NodeDetail struct {
	Status *Status
	// Attempts are all there are, oldest first and the current one last, with
	// their inputs and outputs.
	Attempts []Attempt
}

// MarshalJSON writes the node's status with one more field, attempts. For <, >
// and & see [Status.MarshalJSON].
func (d NodeDetail) MarshalJSON() ([]byte, error) {
	dst := d.Status.append(nil)
	dst = append(dst[:len(dst)-1], `,"attempts":[`...)
	for i := range d.Attempts {
		if i > 0 {
			dst = append(dst, ',')
		}
		attempt, err := d.Attempts[i].MarshalJSON()
		if err != nil {
			return nil, err
		}
		dst = append(dst, attempt...)
	}
	return append(dst, `]}`...), nil
}

var _ json.Marshaler = NodeDetail{}

// Node returns a node of a task, by its ID or else by its key, with all of its
// attempts and their data, which are read into memory. The attempts are those that
// led to the status: an attempt that begins during the call is left out. For errors see
// [Query.Snapshot].
func (q *Query) Node(ctx context.Context, business, task, node string) (*NodeDetail, error) {
	snap, err := q.Snapshot(ctx, business, task)
	if err != nil {
		return nil, err
	}
	i, ok := snap.Tree.Find(node)
	if !ok {
		i, ok = snap.Tree.FindKey(node)
	}
	if !ok {
		return nil, &NotFoundError{Business: business, Task: node}
	}
	n := snap.Tree.Node(i)
	d := &NodeDetail{Status: q.StatusOf(snap.Tree, i)}
	for last := n.Number(); len(d.Attempts) < last; {
		page, err := q.reader.Attempts(ctx, store.ByNode(n.ID), store.AttemptQuery{Skip: len(d.Attempts), Data: true})
		if err == nil && (len(page) == 0 || !q.holds(ctx, snap.Tree, n.ID)) {
			err = state.ErrNotFound
		}
		if errors.Is(err, state.ErrNotFound) { // the task was deleted since it was read
			return nil, &NotFoundError{Business: business, Task: node}
		}
		if err != nil {
			return nil, wrap(err)
		}
		for j := range page[:min(len(page), last-len(d.Attempts))] {
			a := q.attempt(&page[j].Attempt)
			a.Input, a.Output = page[j].Input, page[j].Output
			d.Attempts = append(d.Attempts, a)
		}
	}
	// The current attempt may have changed since the status was made.
	current := q.AttemptOf(&n)
	at := &d.Attempts[len(d.Attempts)-1]
	current.Input = at.Input
	if n.State.Ended() {
		current.Output = at.Output
	}
	*at = current
	return d, nil
}

// holds reports whether a node still belongs to a task: after the task is deleted,
// a task of another business may have the node ID.
func (q *Query) holds(ctx context.Context, tree *state.Tree, node string) bool {
	at, err := q.reader.Locate(ctx, store.ByNode(node))
	return err == nil && at.Key == tree.Key()
}
