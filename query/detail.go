package query

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// NodeDetail is a node with all of its attempts.
type NodeDetail struct {
	Status *Status
	Stands time.Time // as [Stands] says
	// Attempts iterates over all attempts with their inputs and outputs, the oldest
	// first and the current one last. It holds about [store.DataPage] bytes of
	// inputs and outputs in memory at a time. An error ends the iteration; for errors
	// see [Query.Snapshot]. A second iteration reads the attempts again.
	Attempts iter.Seq2[Attempt, error]
}

// Node returns a node of a task, by its ID or else by its key; "" is the root. The
// attempts are those that led to its status: one that begins later is left out. For
// errors see [Query.Snapshot].
func (q *Query) Node(ctx context.Context, business, task, node string) (*NodeDetail, error) {
	snap, err := q.Snapshot(ctx, business, task)
	if err != nil {
		return nil, err
	}
	i, ok := snap.Tree.Named(node)
	unknown := &NotFoundError{Business: business, Task: task, Node: node}
	if node == "" {
		i, ok = 0, true
	}
	if !ok {
		return nil, unknown
	}
	n, status := snap.Tree.Node(i), q.StatusOf(snap.Tree, i)
	return &NodeDetail{status, q.time(Stands(snap.Tree, i)), func(yield func(Attempt, error) bool) {
		err := q.detail(ctx, snap.Tree.Key(), &n, yield)
		if errors.Is(err, state.ErrNotFound) { // the task was deleted since it was read
			err = unknown
		}
		if err != nil {
			yield(Attempt{}, err)
		}
	}}, nil
}

// detail calls yield with the attempts of a node of a task up to the current one
// as the node was read.
func (q *Query) detail(ctx context.Context, task state.Key, n *state.Node, yield func(Attempt, error) bool) error {
	for read := 0; read < n.Number(); {
		page, err := q.attempts(ctx, store.ByNode(n.ID), read)
		if err == nil && (len(page) == 0 || !q.holds(ctx, task, n.ID)) {
			err = state.ErrNotFound
		}
		if err != nil {
			return err
		}
		for i := range page[:min(len(page), n.Number()-read)] {
			a := q.withData(&page[i])
			if read++; read == n.Number() { // it may have changed since the node was read
				a = q.AttemptOf(n)
				if a.Input = page[i].Input; n.State.Ended() {
					a.Output = page[i].Output
				}
			}
			if !yield(a, nil) {
				return nil
			}
		}
	}
	return nil
}

// holds reports whether a node still belongs to a task: after the task is deleted,
// a task of another business may have the node ID.
func (q *Query) holds(ctx context.Context, task state.Key, node string) bool {
	at, err := q.reader.Locate(ctx, store.ByNode(node))
	return err == nil && at.Key == task
}
