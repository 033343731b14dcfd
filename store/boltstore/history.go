package boltstore

import (
	"bytes"
	"context"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Transitions implements [store.Store].
func (s *Store) Transitions(ctx context.Context, key state.Key, after uint64, limit int) (list []*state.Transition, err error) {
	if limit <= 0 {
		limit = store.DefaultLimit
	}
	err = s.withTask(ctx, store.Ref{Key: key}, func(tx *bolt.Tx, t *storedTask) error {
		list, err = t.transitions(tx, after, limit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("boltstore: transitions: %w", err)
	}
	return list, nil
}

func (t *storedTask) transitions(tx *bolt.Tx, after uint64, limit int) ([]*state.Transition, error) {
	list, err := t.packed(tx, after, limit)
	if err != nil {
		return nil, err
	}
	if n := len(list); n > 0 {
		after = list[n-1].Sequence
	}
	for i := range t.pieces {
		if t.pieces[i].last() <= after || len(list) >= limit {
			continue
		}
		trs, err := t.pieces[i].transitions(t.header.Key)
		if err != nil {
			return nil, err
		}
		trs = trs[countUpTo(trs, after):]
		list = append(list, trs[:min(len(trs), limit-len(list))]...)
	}
	return list, nil
}

// packed returns the transitions that are in the file's blocks.
func (t *storedTask) packed(tx *bolt.Tx, after uint64, limit int) (list []*state.Transition, err error) {
	prefix := seqKey(t.place.number)
	c := transitionsBucket.in(tx).Cursor()
	// The block that holds after+1 is the last one that begins at or before it.
	k, v := before(c, blockKey(t.place.number, after+2))
	if !bytes.HasPrefix(k, prefix) {
		k, v = c.Seek(prefix)
	}
	names := identities{task: t, tx: tx, known: make(map[int]*state.Node)}
	for ; bytes.HasPrefix(k, prefix) && len(list) < limit; k, v = c.Next() {
		trs, err := decodeBlock(k, v, t.header.Key)
		if err != nil {
			return nil, err
		}
		trs = trs[countUpTo(trs, after):]
		for _, tr := range trs[:min(len(trs), limit-len(list))] {
			if err := names.fill(tr); err != nil {
				return nil, err
			}
			list = append(list, tr)
		}
	}
	return list, nil
}

// identities returns the parts that packed transitions leave out: the IDs and
// declarations of a task's nodes.
type identities struct {
	task    *storedTask
	tx      *bolt.Tx
	known   map[int]*state.Node
	changed *folded // the overlay's changes of the task, folded when first needed
}

// fill completes a packed transition.
func (ids *identities) fill(tr *state.Transition) error {
	for i := range tr.Changes {
		c := &tr.Changes[i]
		n, err := ids.node(c.Index)
		if err != nil {
			return err
		}
		c.ID = n.ID
		if c.Declared == nil {
			continue
		}
		*c.Declared = n.Declaration
		if n.ParentIndex >= 0 {
			parent, err := ids.node(n.ParentIndex)
			if err != nil {
				return err
			}
			c.Declared.Parent = parent.ID
		}
	}
	return nil
}

func (ids *identities) node(index int) (*state.Node, error) {
	if n := ids.known[index]; n != nil {
		return n, nil
	}
	n := new(state.Node)
	node, err := nodeIn(ids.tx, ids.task.place.number, index)
	if err != nil {
		return nil, err
	}
	if node != nil {
		d := decoder{b: node}
		if d.identity(n); d.bad {
			return nil, d.end("node")
		}
	} else if err := ids.overlaid(index, n); err != nil {
		return nil, err
	}
	ids.known[index] = n
	return n, nil
}

func (ids *identities) overlaid(index int, n *state.Node) (err error) {
	if ids.changed == nil {
		if ids.changed, err = ids.task.fold(); err != nil {
			return err
		}
	}
	*n, err = ids.changed.get(index).node(index)
	return err
}
