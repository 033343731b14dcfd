package boltstore

import (
	"bytes"
	"context"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Attempts implements [store.Store].
func (s *Store) Attempts(ctx context.Context, ref store.Ref, q store.AttemptQuery) (page []store.Attempt, err error) {
	err = s.withTask(ctx, ref, func(tx *bolt.Tx, t *storedTask) error {
		if t.place.index, err = t.index(tx, ref); err != nil {
			return err
		}
		page, err = t.attempts(tx, q)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("boltstore: attempts: %w", err)
	}
	return page, nil
}

// attempts returns a page of the attempts of the node at the task's place.
func (t *storedTask) attempts(tx *bolt.Tx, q store.AttemptQuery) (page []store.Attempt, err error) {
	skip, limit := q.Bounds()
	list, err := t.superseded(tx, skip, limit)
	if err != nil {
		return nil, err
	}
	current, err := t.current(tx)
	if err != nil {
		return nil, err
	}
	if len(list) < limit && skip+len(list) == current.Number()-1 {
		list = append(list, current)
	}
	for i := 0; i < len(list) && !q.Full(page); i++ {
		a := store.Attempt{Attempt: list[i], Current: skip+i+1 == current.Number()}
		if a.Input, err = t.data(tx, skip+i+1, isInput, q.Data); err != nil {
			return nil, err
		}
		if a.Output, err = t.data(tx, skip+i+1, isOutput, q.Data); err != nil {
			return nil, err
		}
		page = append(page, a)
	}
	return page, nil
}

// current returns the current attempt of the node at the task's place.
func (t *storedTask) current(tx *bolt.Tx) (state.Attempt, error) {
	changed, err := t.fold()
	if err != nil {
		return state.Attempt{}, err
	}
	if n := changed.get(t.place.index); n != nil {
		return n.progress.Attempt, nil
	}
	var n state.Node
	err = readNode(tx, t.place.number, t.place.index, &n)
	return n.Attempt, err
}

// superseded returns up to limit superseded attempts, from the one after skip
// on.
func (t *storedTask) superseded(tx *bolt.Tx, skip, limit int) (list []state.Attempt, err error) {
	if skip >= maxInt {
		return nil, nil // more than a node can have
	}
	c := attemptsBucket.in(tx).Cursor()
	prefix := nodeKey(t.place.number, t.place.index)
	for k, v := c.Seek(attemptKey(t.place.number, t.place.index, skip+1)); bytes.HasPrefix(k, prefix) && len(list) < limit; k, v = c.Next() {
		a, err := decodeAttempt(k, v)
		if err != nil {
			return nil, err
		}
		if a.Number() != skip+len(list)+1 {
			return nil, fmt.Errorf("%w: attempt %d instead of %d", store.ErrCorrupt, a.Number(), skip+len(list)+1)
		}
		list = append(list, a)
	}
	for i := range t.pieces {
		trs, err := t.pieces[i].transitions(t.header.Key)
		if err != nil {
			return nil, err
		}
		for _, tr := range trs {
			for j := range tr.Changes {
				a := tr.Changes[j].Superseded
				if a != nil && tr.Changes[j].Index == t.place.index &&
					a.Number() == skip+len(list)+1 && len(list) < limit {
					list = append(list, *a)
				}
			}
		}
	}
	return list, nil
}
