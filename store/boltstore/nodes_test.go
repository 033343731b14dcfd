package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// alterNode alters the bytes of one node in a file.
func alterNode(tx *bolt.Tx, number uint64, index int, alter func(node []byte) []byte) error {
	k := nodeKey(number, index/groupNodes*groupNodes)
	v := slices.Clone(nodesBucket.in(tx).Get(k))
	g, err := decodeGroup(k, v)
	if err != nil {
		return err
	}
	var nodes [][]byte
	err = eachNode(k, v, func(i int, node []byte) error {
		if i == index {
			node = alter(node)
		}
		nodes = append(nodes, node)
		return nil
	})
	return errors.Join(err, nodesBucket.in(tx).Put(k, seal(k, appendGroup(nil, g.header, nodes))))
}

// Nodes that are declared or changed while the file is damaged are written as
// far as possible, and damaged records stay.
func TestDamageOfAGroupLosesNoOtherNodes(t *testing.T) {
	s := openQuick(t, filepath.Join(t.TempDir(), "damaged.db"), nil)
	m := newModel()
	key := state.Key{Business: "2", Task: "10"}
	m.do(t, s, key, newRoot("root"), start("root"), activity("n1", "root"), activity("n2", "root"))
	s.writeBackAll()
	m.do(t, s, key, start("n1"), activity("n3", "root"), activity("n4", "root"))
	for i := 5; i < groupNodes+3; i++ {
		m.do(t, s, key, activity(fmt.Sprint("n", i), "root"))
	}
	damaged := nodeKey(1, 0)
	var before []byte
	s.quiet(t, func() {
		err := s.db.Update(func(tx *bolt.Tx) error {
			before = slices.Clone(nodesBucket.in(tx).Get(damaged))
			before[len(before)-1] ^= 1
			return nodesBucket.in(tx).Put(damaged, before)
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	s.writeBackAll()
	err := s.db.View(func(tx *bolt.Tx) error {
		if !bytes.Equal(nodesBucket.in(tx).Get(damaged), before) {
			t.Error("the damaged record was written over")
		}
		for i := range groupNodes + 3 {
			var n state.Node
			err := readNode(tx, 1, i, &n)
			if lost := i < 3; lost != errors.Is(err, store.ErrCorrupt) || !lost && n.ID != fmt.Sprint("n", i) {
				t.Errorf("node %d is %q, %v", i, n.ID, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	m.do(t, s, key, start(fmt.Sprint("n", groupNodes+2)))
	s.writeBackAll()
	path := s.path
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// The transitions are complete, as long as the feed has the nodes' IDs.
	if done, err := Salvage(t.Context(), path, path+".new", nil); err != nil || done != (Salvaged{Whole: 1}) {
		t.Errorf("salvage: %+v, %v", done, err)
	}
}

// The copy of the header is enough to load a task, and the header is enough for
// lists.
func TestATaskIsReadWithoutItsRecordAmongTasks(t *testing.T) {
	s := openQuick(t, filepath.Join(t.TempDir(), "damaged.db"), nil)
	m := newModel()
	key := state.Key{Business: "2", Task: "10"}
	m.do(t, s, key, newRoot("root"), start("root"), activity("leaf", "root"))
	s.writeBackAll()
	s.quiet(t, func() {
		if err := s.db.Update(func(tx *bolt.Tx) error { return tasksBucket.in(tx).Put(seqKey(1), []byte{recordVersion}) }); err != nil {
			t.Fatal(err)
		}
	})
	for _, ref := range []store.Ref{{Key: key}, store.ByNode("leaf")} {
		snap, err := s.Load(t.Context(), ref)
		if err != nil || snap.Tree.Revision() != m.tasks[key].tree.Revision() {
			t.Errorf("%s: %+v, %v", ref, snap, err)
		}
	}
	path := s.path
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if done, err := Salvage(t.Context(), path, path+".new", nil); err != nil || done != (Salvaged{Whole: 1}) {
		t.Errorf("salvage: %+v, %v", done, err)
	}
}

// Salvage reads files of the previous schema.
func TestSalvageReadsNodesInSeparateRecords(t *testing.T) {
	m := newestStory(t, openQuick(t, filepath.Join(t.TempDir(), "again.db"), nil))
	path := image{unpacked(t, "schema3.db"), unpacked(t, "schema3.db-journal")}.write(t)
	done, err := Salvage(t.Context(), path, path+".new", func(p string) { t.Log(p) })
	if err != nil || done != (Salvaged{Whole: len(m.tasks)}) {
		t.Errorf("salvaged %+v of %d tasks, %v", done, len(m.tasks), err)
	}
}

func FuzzNode(f *testing.F) {
	storedRecords(f, nodesBucket, func(k, v []byte) error {
		return eachNode(k, v, func(_ int, node []byte) error {
			f.Add(slices.Clone(node))
			return nil
		})
	})
	f.Fuzz(func(t *testing.T, body []byte) {
		expectStable(t, body, func(body []byte) (n state.Node, err error) {
			err = decodeNode(body, &n)
			return n, err
		}, func(n state.Node) []byte { return appendNode(nil, &n) })
	})
}

// FuzzGroup reads arbitrary bytes as a record of nodes. The bytes of its nodes,
// put into a group again, read the same.
func FuzzGroup(f *testing.F) {
	seeds(f, nodesBucket, true)
	f.Add([]byte{groupVersion, 0, 1, recordVersion})
	f.Add(append([]byte{groupVersion, 0}, bytes.Repeat([]byte{1, 9}, groupNodes)...))
	k := nodeKey(5, 0)
	type content struct {
		header []byte
		nodes  [][]byte
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		_ = checkGroup(k, seal(k, slices.Clone(body)))
		expectStable(t, body, func(body []byte) (c content, err error) {
			v := seal(k, slices.Clone(body))
			g, err := decodeGroup(k, v)
			if err != nil {
				return c, err
			}
			c.header = g.header
			err = eachNode(k, v, func(_ int, node []byte) error {
				c.nodes = append(c.nodes, node)
				return nil
			})
			return c, err
		}, func(c content) []byte {
			if c.header == nil { // of schema 3 and below
				return c.nodes[0]
			}
			return appendGroup(nil, c.header, c.nodes)
		})
	})
}
