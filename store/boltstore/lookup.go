package boltstore

import (
	"bytes"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// readKey returns the number of the task with a key in the file.
func readKey(tx *bolt.Tx, key state.Key) (number uint64, found bool, err error) {
	v := keysBucket.in(tx).Get(taskKey(key))
	if v == nil {
		return 0, false, nil
	}
	number, err = decodeNumber(v)
	return number, err == nil, err
}

// readID returns the place of the node with an ID in the file.
func readID(tx *bolt.Tx, id string) (p place, found bool, err error) {
	v := idsBucket.in(tx).Get(idKey(id))
	if v == nil {
		return place{}, false, nil
	}
	p, err = decodePlace(v)
	return p, err == nil, err
}

// gap is a range of keys without a node ID in the file: the range around the ID
// that was searched for last. IDs that ascend with time are all in the same one,
// so that only the first one after a write-back needs a search.
type gap struct {
	key           []byte // of the ID last asked for
	after, before []byte // a nil before is the end
	known         bool
}

// has reports whether an ID is in the gap.
func (g *gap) has(id string) bool {
	g.key = appendID(g.key[:0], id)
	return g.known && bytes.Compare(g.key, g.after) > 0 && (g.before == nil || bytes.Compare(g.key, g.before) < 0)
}

// search returns the task of the ID that [gap.has] was just asked for or, if the
// file does not have that ID, makes g the gap around it.
func (g *gap) search(tx *bolt.Tx) (number uint64, found bool, err error) {
	c := idsBucket.in(tx).Cursor()
	next, v := c.Seek(g.key)
	if bytes.Equal(next, g.key) {
		p, err := decodePlace(v)
		return p.number, err == nil, err
	}
	g.known, g.before = true, bytes.Clone(next)
	last, _ := before(c, g.key)
	g.after = append(g.after[:0], last...)
	return 0, false, nil
}

// readTask returns a header. A missing one is an error.
func readTask(tx *bolt.Tx, number uint64) (store.Task, error) {
	return seekTask(tasksBucket.in(tx).Cursor(), number)
}

// seekTask is readTask with a cursor of the headers.
func seekTask(headers *bolt.Cursor, number uint64) (store.Task, error) {
	key := seqKey(number)
	k, v := headers.Seek(key)
	if !bytes.Equal(k, key) {
		return store.Task{}, fmt.Errorf("%w: task %d has no header", store.ErrCorrupt, number)
	}
	return decodeTask(key, v)
}

// index returns the index of the node that a reference names. A node named by
// its key is searched for in the bytes of the task's nodes, without decoding
// them to a tree, which takes a twentieth of the time.
func (t *storedTask) index(tx *bolt.Tx, ref store.Ref) (int, error) {
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
	tree, err := t.tree(tx) // returns an error if a damaged record may have the node
	if err != nil {
		return 0, err
	}
	return ref.In(tree)
}
