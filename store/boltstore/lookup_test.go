package boltstore

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// keyed records a task whose leaves all have keys.
func keyed(t testing.TB, s *Store, m *model, leaves int) state.Key {
	t.Helper()
	key := state.Key{Business: "2", Task: "keyed"}
	ops := []state.Op{newRoot("root"), start("root")}
	for i := range leaves {
		op := activity(fmt.Sprintf("%032x", i), "root")
		op.Key = fmt.Sprint("step ", i)
		ops = append(ops, op)
	}
	m.do(t, s, key, ops...)
	return key
}

func TestNodesAreFoundByKeyInTheJournalAndInTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyed.db")
	s := openQuick(t, path, nil)
	m := newModel()
	key := keyed(t, s, m, 120)
	for _, when := range []string{"journaled", "written back"} {
		for i := range 120 {
			ref := store.ByNodeKey("2", "keyed", fmt.Sprint("step ", i))
			at, err := s.Locate(t.Context(), ref)
			if err != nil || at.Key != key || at.Revision != m.tasks[key].tree.Revision() {
				t.Errorf("%s: %s is at %+v, %v", when, ref, at, err)
			}
			snap, err := s.Load(t.Context(), ref)
			if err != nil || snap.Tree.ID(snap.Index) != fmt.Sprintf("%032x", i) {
				t.Errorf("%s: %s is node %d, %v", when, ref, snap.Index, err)
			}
		}
		for _, none := range []string{"step", "step 120", "root"} {
			_, err := s.Attempts(t.Context(), store.ByNodeKey("2", "keyed", none), store.AttemptQuery{})
			expectError(t, when+": "+none, err, state.ErrNotFound)
		}
		s.writeBackAll()
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	alterBolt(t, path, func(tx *bolt.Tx) error {
		k := nodeKey(1, groupNodes)
		v := bytes.Clone(nodesBucket.in(tx).Get(k))
		v[len(v)/2] ^= 1
		return nodesBucket.in(tx).Put(k, v)
	})
	s = openQuick(t, path, nil)
	_, err := s.Locate(t.Context(), store.ByNodeKey("2", "keyed", fmt.Sprint("step ", groupNodes)))
	expectError(t, "in an altered record", err, store.ErrCorrupt)
	if _, err = s.Locate(t.Context(), store.ByNodeKey("2", "keyed", "step 5")); err != nil {
		t.Errorf("before it: %v", err)
	}
}

// BenchmarkLookup locates a node of a task in the file, by its ID and by its key,
// and loads the task.
func BenchmarkLookup(b *testing.B) {
	for _, nodes := range []int{100, 10_000} {
		s := openQuick(b, filepath.Join(b.TempDir(), "keyed.db"), nil)
		keyed(b, s, newModel(), nodes)
		s.writeBackAll()
		for name, ref := range map[string]store.Ref{"node": store.ByNode(fmt.Sprintf("%032x", nodes/2)), "key": store.ByNodeKey("2", "keyed", fmt.Sprint("step ", nodes/2))} {
			b.Run(fmt.Sprintf("nodes=%d/by=%s", nodes, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := s.Locate(b.Context(), ref); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		b.Run(fmt.Sprintf("nodes=%d/by=tree", nodes), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Load(b.Context(), store.ByNode(fmt.Sprintf("%032x", nodes/2))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
