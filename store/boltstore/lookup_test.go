package boltstore

import (
	"bytes"
	"fmt"
	"math/rand/v2"
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

func TestIDsInUseAreRefusedInWhateverOrderTheyCome(t *testing.T) {
	s := openQuick(t, filepath.Join(t.TempDir(), "ids.db"), nil)
	m := newModel()
	draw := rand.New(rand.NewPCG(1, 2))
	task := func(id int) state.Key { return state.Key{Business: "2", Task: fmt.Sprint(id)} }
	root := func(id int) state.Op { return newRoot(fmt.Sprintf("%02d", id)) }
	ids := draw.Perm(80)
	for i, id := range ids {
		m.do(t, s, task(id), root(id))
		switch draw.IntN(4) {
		case 0:
			s.writeBackAll()
		case 1:
			of := ids[draw.IntN(i+1)]
			m.commit(t, s, m.deletion(task(of)))
			m.do(t, s, task(of), root(of)) // the ID is free again
		}
		for range 3 {
			used := ids[draw.IntN(i+1)]
			w, err := m.change(task(100), root(used))
			if err != nil {
				t.Fatal(err)
			}
			results, err := s.Commit(t.Context(), []store.Write{w})
			if err != nil {
				t.Fatal(err)
			}
			expectError(t, fmt.Sprintf("ID %02d after %d tasks", used, i+1), results[0].Err, state.ErrExists)
		}
	}
	m.expect(t, s, "in the end")
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
