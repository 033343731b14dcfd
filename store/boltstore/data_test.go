package boltstore

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// The largest output fits the default journal.
func TestTheLargestDataIsKeptWithDefaults(t *testing.T) {
	s := openQuick(t, filepath.Join(t.TempDir(), "large.db"), nil)
	m := newModel()
	key := state.Key{Business: "2", Task: "large"}
	m.do(t, s, key, newRoot("root"), start("root"), state.Op{
		Kind: state.Finish, Node: "root", Output: state.NewData(bytes.Repeat([]byte("0123456789abcdef"), state.MaxDataBytes/16)),
	})
	m.expectCopied(t, s, "large data")
	m.commit(t, s, m.deletion(key))
	s.writeBackAll()
	m.expect(t, s, "after its delete")
}

// expectCopied checks the answers of a store from its journal, after a crash,
// from its file, from a backup, from a compacted copy, after compaction, and
// after salvage.
func (m *model) expectCopied(t *testing.T, s *Store, what string) {
	t.Helper()
	m.expect(t, s, what)
	killed := s.image(t)
	m.expect(t, openPair(t, killed, nil), what+", replayed")
	if done, reports := m.salvageImage(t, killed, what+", salvaged with its journal"); done.Whole != len(m.tasks) {
		t.Errorf("%s, salvaged with its journal: %+v: %q", what, done, reports)
	}
	dir := t.TempDir()
	backup, compacted := filepath.Join(dir, "backup.db"), filepath.Join(dir, "compacted.db")
	must(t, s.BackupTo(t.Context(), backup))
	m.expect(t, openQuick(t, backup, nil), what+", backup")
	must(t, s.CompactTo(t.Context(), compacted))
	m.expect(t, openQuick(t, compacted, nil), what+", compacted copy")
	s.writeBackAll()
	m.expect(t, s, what+", written back")
	must(t, s.Compact(t.Context()))
	m.expect(t, s, what+", compacted")
	if done, reports := m.salvageImage(t, image{file: readFile(t, backup)}, what+", salvaged"); done.Whole != len(m.tasks) {
		t.Errorf("%s, salvaged: %+v: %q", what, done, reports)
	}
}

// A story with data of all sizes is the same in every copy of the store.
func TestDataOfAllSizesIsInEveryCopy(t *testing.T) {
	s := openQuick(t, filepath.Join(t.TempDir(), "sizes.db"), &Options{OverlayTransitions: 64})
	r := rand.New(rand.NewPCG(9, 9))
	m := newModel()
	m.sizes = sizesOfData
	for range 150 {
		m.commit(t, s, m.random(r, 4))
	}
	m.expectCopied(t, s, "data of all sizes")
}

// A write that is too large for the journal is refused by name, and others of
// the same commit are kept.
func TestDataTooLargeForTheJournalIsRefused(t *testing.T) {
	s := openQuick(t, filepath.Join(t.TempDir(), "small.db"), &Options{JournalSize: 1})
	m := newModel()
	key, other := state.Key{Business: "2", Task: "10"}, state.Key{Business: "2", Task: "11"}
	m.do(t, s, key, newRoot("root"), start("root"), activity("n", "root"), start("n"))
	var ops []state.Op
	for range 5 {
		ops = append(ops, state.Op{Kind: state.Finish, Node: "n", Output: state.NewData(make([]byte, state.DefaultDataBytes))}, state.Op{Kind: state.Loop, Node: "n"})
	}
	refused, err := m.change(key, ops...)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := m.change(other, state.Op{Kind: state.Create, Node: "r", Input: state.NewData(make([]byte, state.DefaultDataBytes))})
	if err != nil {
		t.Fatal(err)
	}
	results, err := s.Commit(t.Context(), []store.Write{refused, taken})
	if err != nil {
		t.Fatal(err)
	}
	var large *store.TooLargeError
	if !errors.As(results[0].Err, &large) || large.Bytes < 5*state.DefaultDataBytes || large.Limit >= large.Bytes {
		t.Errorf("the error is %v", results[0].Err)
	}
	if results[1].Err != nil {
		t.Fatal(results[1].Err)
	}
	m.accept(taken, results[1].First)
	m.expect(t, s, "afterwards")
}

// Altered bytes are detected when they are read, altered sizes and digests when
// they are listed, and other data stays readable.
func TestAlteredDataIsNoticed(t *testing.T) {
	for name, at := range map[string]int{"bytes": dataHead + 3, "digest": 4} {
		path := filepath.Join(t.TempDir(), "altered.db")
		s := openQuick(t, path, nil)
		m := newModel()
		key := state.Key{Business: "2", Task: "10"}
		m.do(t, s, key, newRoot("root"), start("root"), state.Op{Kind: state.Finish, Node: "root", Output: state.NewData([]byte("the output"))})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		k := dataKey(1, 0, 1, isOutput)
		alterBolt(t, path, func(tx *bolt.Tx) error {
			v := bytes.Clone(dataBucket.in(tx).Get(k))
			v[at] ^= 1
			return dataBucket.in(tx).Put(k, v)
		})
		s = openQuick(t, path, nil)
		ref := store.Ref{Key: key}
		_, err := s.Attempts(t.Context(), ref, store.AttemptQuery{Data: true})
		expectError(t, name+": attempts with data", err, store.ErrCorrupt)
		if _, err = s.Attempts(t.Context(), ref, store.AttemptQuery{}); (err != nil) != (name == "digest") {
			t.Errorf("%s: attempts without data: %v", name, err)
		}
		if _, err = s.Load(t.Context(), ref); err != nil {
			t.Errorf("%s: load: %v", name, err)
		}
		found := false
		if err := s.Check(t.Context(), func(string) { found = true }); err != nil || !found {
			t.Errorf("%s: check finds it: %t, %v", name, found, err)
		}
	}
}

// Salvage restores data, even if a task has more than fits a commit, and
// reports lost data.
func TestSalvageRestoresData(t *testing.T) {
	path := filepath.Join(t.TempDir(), "whole.db")
	s := openQuick(t, path, nil)
	m := newModel()
	key := state.Key{Business: "2", Task: "10"}
	m.do(t, s, key, state.Op{Kind: state.Create, Node: "root", Input: state.NewData([]byte("definition"))}, start("root"), activity("n", "root"), start("n"))
	for i := range 100 {
		m.do(t, s, key, state.Op{Kind: state.Finish, Node: "n", Output: state.NewData(bytes.Repeat([]byte{byte(i)}, state.DefaultDataBytes))}, state.Op{Kind: state.Loop, Node: "n"})
	}
	salvaged := func(i image, want Salvaged) *Store {
		t.Helper()
		to := filepath.Join(t.TempDir(), "new.db")
		var reports []string
		done, err := Salvage(t.Context(), i.write(t), to, func(r string) { reports = append(reports, r) })
		if err != nil || done != want {
			t.Fatalf("%+v, %v: %q", done, err, reports)
		}
		return openQuick(t, to, nil)
	}
	salvaged(s.image(t), Salvaged{Whole: 1})
	closed := s.closedImage(t)
	got, err := attemptsOf(t.Context(), salvaged(image{file: closed}, Salvaged{Whole: 1}), "n")
	if err != nil || !sameAttempts(got, m.tasks[key].all(1)) {
		t.Errorf("%d attempts, %v", len(got), err)
	}
	damaged := filepath.Join(t.TempDir(), "damaged.db")
	write(t, damaged, closed)
	alterBolt(t, damaged, func(tx *bolt.Tx) error { return dataBucket.in(tx).Delete(dataKey(1, 1, 7, isOutput)) })
	left := salvaged(image{file: readFile(t, damaged)}, Salvaged{Partly: 1})
	got, err = attemptsOf(t.Context(), left, "n")
	if err != nil || len(got) != 101 || got[6].Output != nil || got[7].Output == nil {
		t.Errorf("%d attempts, %v", len(got), err)
	}
}
