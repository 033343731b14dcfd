package boltstore

import (
	"bytes"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// readKey returns the number of the task that has a key in the file.
func readKey(tx *bolt.Tx, key state.Key) (number uint64, found bool, err error) {
	v := keysBucket.in(tx).Get(taskKey(key))
	if v == nil {
		return 0, false, nil
	}
	number, err = decodeNumber(v)
	return number, err == nil, err
}

// readID returns where the node with an ID is in the file.
func readID(tx *bolt.Tx, id string) (p place, found bool, err error) {
	v := idsBucket.in(tx).Get(idKey(id))
	if v == nil {
		return place{}, false, nil
	}
	p, err = decodePlace(v)
	return p, err == nil, err
}

// readTask reads a header that must be there.
func readTask(tx *bolt.Tx, number uint64) (store.Task, error) {
	k := seqKey(number)
	v := tasksBucket.in(tx).Get(k)
	if v == nil {
		return store.Task{}, fmt.Errorf("%w: task %d has no header", store.ErrCorrupt, number)
	}
	return decodeTask(k, v)
}

// index finds the node that a reference names. One named by its key is looked for
// in the records of the task's nodes. Those are not decoded, and no tree is made,
// which takes a twentieth of the time.
func (t *found) index(tx *bolt.Tx, ref store.Ref) (int, error) {
	if ref.NodeKey == "" {
		return t.place.index, nil
	}
	changed, err := t.fold()
	if err != nil {
		return 0, err
	}
	for i := range changed.nodes {
		if n := &changed.nodes[i]; n.declared != nil && n.declared.Key == ref.NodeKey {
			return n.index, nil
		}
	}
	prefix, sought := seqKey(t.place.number), []byte(ref.NodeKey)
	c := nodesBucket.in(tx).Cursor()
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if !bytes.Contains(v, sought) {
			continue
		}
		found := -1
		err := eachNode(k, v, func(index int, node []byte) error {
			if found >= 0 || !bytes.Contains(node, sought) {
				return nil
			}
			var n state.Node
			err := decodeNode(node, &n)
			if err == nil && n.Key == ref.NodeKey {
				found = index
			}
			return err
		})
		if err != nil || found >= 0 {
			return found, err
		}
	}
	tree, err := t.tree(tx) // it may be in a record that is damaged
	if err != nil {
		return 0, err
	}
	return ref.In(tree)
}
