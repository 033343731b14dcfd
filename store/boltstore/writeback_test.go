package boltstore

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// writeBackStep gathers a task or writes one put of the pass.
func (s *Store) writeBackStep(t testing.TB) {
	t.Helper()
	if s.overlay.pending == 0 {
		return
	}
	var wrote written
	if _, err := s.transact(func(tx *bolt.Tx) (_ bool, err error) {
		if s.pass == nil || !s.pass.gathered {
			return true, s.gather(tx, 1)
		}
		wrote, err = s.slice(tx, 1)
		return true, err
	}); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wroteBack(wrote)
}

// A write-back is stopped after every single record, in stories full of
// deletes and of keys and IDs taken again.
func TestProcessKilledAnywhereInAWriteBackLosesNothing(t *testing.T) {
	seeds := uint64(6)
	if *Long {
		seeds = 150
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 1))
			o := &Options{OverlayTransitions: 160}
			s := openQuick(t, filepath.Join(t.TempDir(), "story.db"), o)
			m := newModel()
			for i := range 120 {
				m.commit(t, s, m.random(r, 3))
				for range r.IntN(16) {
					s.writeBackStep(t)
				}
				if r.IntN(2) > 0 {
					continue
				}
				survivor := openImage(t, s.image(t), o)
				m.expect(t, survivor, fmt.Sprintf("killed after commit %d", i))
				if r.IntN(3) == 0 { // the story goes on from there
					_ = s.Close()
					s = survivor
				} else {
					_ = survivor.Close()
				}
				if t.Failed() {
					return
				}
			}
			m.expect(t, s, "in the end")
		})
	}
}

func TestIDsOfATaskWhoseRemovalWasInterruptedAreFree(t *testing.T) {
	s := openQuick(t, filepath.Join(t.TempDir(), "ids.db"), nil)
	m := newModel()
	key := state.Key{Business: "2", Task: "10"}
	m.do(t, s, key, newRoot("root"), start("root"), activity("a", "root"), activity("b", "root"))
	s.writeBackAll()
	m.commit(t, s, m.deletion(key))
	for step := 0; s.overlay.pending > 0; step++ {
		s.writeBackStep(t)
		survivor := openImage(t, s.image(t), nil)
		survivor.writeBackAll()
		again := m.clone()
		again.do(t, survivor, state.Key{Business: "3", Task: "11"}, newRoot("root"), activity("a", "root"), activity("b", "root"))
		again.expect(t, survivor, fmt.Sprintf("killed after step %d", step))
		_ = survivor.Close()
	}
}

func TestIDsOfATaskDeletedWhileItWasWrittenBackAreFree(t *testing.T) {
	for steps, all := 0, false; !all; steps++ {
		s := openQuick(t, filepath.Join(t.TempDir(), "ids.db"), nil)
		m := newModel()
		key := state.Key{Business: "2", Task: "10"}
		m.do(t, s, key, newRoot("root"), start("root"), activity("a", "root"), activity("b", "root"))
		for range steps {
			s.writeBackStep(t)
		}
		all = s.overlay.pending == 0
		m.commit(t, s, m.deletion(key))
		survivor := openImage(t, s.image(t), nil)
		survivor.writeBackAll()
		m.do(t, survivor, state.Key{Business: "3", Task: "11"}, newRoot("root"), activity("a", "root"), activity("b", "root"))
		m.expect(t, survivor, fmt.Sprintf("killed after step %d and a delete", steps))
		_ = survivor.Close()
		_ = s.Close()
	}
}

func TestJournalIsTrimmedAsFastAsItGrows(t *testing.T) {
	for _, test := range []struct{ writers, commits, most int }{{1, 8000, 4000}, {20, 1000, 8000}} {
		writers := test.writers
		o := &Options{OverlayTransitions: 2000, FeedTransitions: 100}
		s := openQuick(t, filepath.Join(t.TempDir(), "trim.db"), o)
		m := newModel()
		most := 0
		for i := range test.commits {
			var changes []store.Write
			for w := range writers {
				key := state.Key{Business: "2", Task: fmt.Sprint(i*writers + w)}
				c, err := m.change(key, newRoot(fmt.Sprintf("%09d", i*writers+w)))
				if err != nil {
					t.Fatal(err)
				}
				changes = append(changes, c)
			}
			m.commit(t, s, changes...)
			feed, err := s.Feed(t.Context(), store.End, 1)
			if err != nil {
				t.Fatal(err)
			}
			most = max(most, int(feed.Last.Sequence-feed.First))
		}
		if most > test.most {
			t.Errorf("%d writers: the journal had up to %d transitions, for a feed of 100 and an overlay of 2000", writers, most)
		}
		_ = s.Close()
	}
}

func TestFeedForgetsWhatIsOlderThanItsAge(t *testing.T) {
	o := &Options{OverlayTransitions: 1, FeedAge: 100e9}
	s := openQuick(t, filepath.Join(t.TempDir(), "age.db"), o)
	m := newModel() // its clock takes a step of a second for each operation
	for i := range 2 * trimEvery {
		m.do(t, s, state.Key{Business: "2", Task: fmt.Sprint(i)}, newRoot(fmt.Sprint(i)))
	}
	feed, err := s.Feed(t.Context(), store.End, 1)
	if err != nil {
		t.Fatal(err)
	}
	if kept := feed.Last.Sequence - feed.First + 1; kept < 100 || kept > 100+trimEvery {
		t.Errorf("%d transitions are kept, want those of 100 seconds and what one trim leaves", kept)
	}
	m.expect(t, s, "after trimming")
}

// A damaged page makes gathering panic or fail; the pass must not take the
// same task twice then.
func TestFailedGatheringLeavesThePassAsItWas(t *testing.T) {
	s := openQuick(t, filepath.Join(t.TempDir(), "gather.db"), nil)
	m := newModel()
	one, two := state.Key{Business: "2", Task: "1"}, state.Key{Business: "2", Task: "2"}
	m.do(t, s, one, newRoot("1"))
	m.do(t, s, two, newRoot("2"))
	s.writeBackAll()
	m.do(t, s, one, start("1"))
	m.do(t, s, two, start("2"))

	key := nodeKey(m.tasks[two].header.Number, 0)
	var whole []byte
	set := func(value func(old []byte) []byte) {
		if err := s.db.Update(func(tx *bolt.Tx) error {
			b := nodesBucket.in(tx)
			old := append([]byte(nil), b.Get(key)...)
			return b.Put(key, value(old))
		}); err != nil {
			t.Fatal(err)
		}
	}
	set(func(old []byte) []byte { whole = old; return []byte{1, 2, 3} })
	for range 3 {
		if s.writeBackSome() {
			t.Fatal("a write-back over a damaged node succeeded")
		}
	}
	set(func([]byte) []byte { return whole })
	s.writeBackAll()
	if s.overlay.pending != 0 || len(s.overlay.entries) != 0 {
		t.Errorf("%d transitions of %d tasks are pending after a whole write-back", s.overlay.pending, len(s.overlay.entries))
	}
	m.expect(t, s, "afterwards")
}

func TestCommitAfterAFailedWriteBackIsNotTried(t *testing.T) {
	s := openQuick(t, filepath.Join(t.TempDir(), "failed.db"), &Options{OverlayTransitions: 1})
	m := newModel()
	m.do(t, s, state.Key{Business: "2", Task: "1"}, newRoot("1"))
	c, err := m.change(state.Key{Business: "2", Task: "2"}, newRoot("2"))
	if err != nil {
		t.Fatal(err)
	}
	s.enc.reset() // what the next plan fills
	_ = s.file.Close()
	if _, err := s.Commit(t.Context(), []store.Write{c}); err == nil {
		t.Fatal("a commit on a closed file succeeded")
	}
	if len(s.enc.pieces) > 0 {
		t.Error("the commit was tried although the write-back before it left the outcome unknown")
	}
}

// Pages that are written in order are left nearly full.
func TestWriteBackFillsPages(t *testing.T) {
	s := openQuick(t, filepath.Join(t.TempDir(), "full.db"), &Options{OverlayTransitions: 400})
	m := newModel()
	for i := range 200 {
		root := fmt.Sprintf("%032x", i<<8)
		ops := []state.Op{newRoot(root), start(root)}
		for n := range 19 {
			ops = append(ops, activity(fmt.Sprintf("%032x", i<<8+n+1), root))
		}
		m.do(t, s, state.Key{Business: "2", Task: fmt.Sprint(i)}, ops...)
	}
	s.writeBackAll()
	err := s.db.View(func(tx *bolt.Tx) error {
		for _, b := range []bucket{tasksBucket, nodesBucket, transitionsBucket, idsBucket, businessBucket} {
			stats := b.in(tx).Stats()
			if full := 100 * stats.LeafInuse / stats.LeafAlloc; full < 65 {
				t.Errorf("%s: its pages are %d %% full", bucketNames[b], full)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
