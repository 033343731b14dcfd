package boltstore

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/journal"
)

// A process is killed between any two commits, in stories with many deletions
// and reused keys and IDs, while small generations are written back.
func TestProcessKilledBetweenCommitsLosesNothing(t *testing.T) {
	seeds := uint64(6)
	if *Long {
		seeds = 150
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 1))
			o := &Options{OverlayTransitions: 2 << r.IntN(8), JournalSize: 1, leastJournal: journal.MinSize}
			s := openQuick(t, filepath.Join(t.TempDir(), "story.db"), o)
			m := newModel()
			for i := range 120 {
				m.commit(t, s, m.random(r, 3))
				if r.IntN(8) == 0 {
					s.writeBackAll()
				}
				if r.IntN(2) > 0 {
					continue
				}
				survivor := openPair(t, s.image(t), o)
				m.expect(t, survivor, fmt.Sprintf("killed after commit %d", i))
				if r.IntN(3) == 0 { // the story continues from there
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

func TestIDsOfADeletedTaskAreFree(t *testing.T) {
	key := state.Key{Business: "2", Task: "10"}
	for _, writtenBack := range []bool{true, false} {
		s := openQuick(t, filepath.Join(t.TempDir(), "ids.db"), nil)
		m := newModel()
		m.do(t, s, key, newRoot("root"), start("root"), activity("a", "root"), activity("b", "root"))
		if writtenBack {
			s.writeBackAll()
		}
		m.commit(t, s, m.deletion(key))
		survivor := openPair(t, s.image(t), nil)
		survivor.writeBackAll()
		for _, s := range []*Store{s, survivor} {
			again := m.clone()
			again.do(t, s, state.Key{Business: "3", Task: "11"}, newRoot("root"), activity("a", "root"), activity("b", "root"))
			again.expect(t, s, fmt.Sprintf("written back before the delete: %t", writtenBack))
		}
	}
}

func TestFeedIsTrimmedAsFastAsItGrows(t *testing.T) {
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
			t.Errorf("%d writers: the feed had up to %d transitions, for a feed of 100 and an overlay of 2000", writers, most)
		}
		_ = s.Close()
	}
}

func TestTheFeedDropsTransitionsOlderThanItsAge(t *testing.T) {
	o := &Options{OverlayTransitions: 1, FeedAge: 100e9}
	s := openQuick(t, filepath.Join(t.TempDir(), "age.db"), o)
	m := newModel() // its clock advances one second with each operation
	for i := range 2 * trimMin {
		m.do(t, s, state.Key{Business: "2", Task: fmt.Sprint(i)}, newRoot(fmt.Sprint(i)))
	}
	feed, err := s.Feed(t.Context(), store.End, 1)
	if err != nil {
		t.Fatal(err)
	}
	if kept := feed.Last.Sequence - feed.First + 1; kept < 100 || kept > 100+trimMin {
		t.Errorf("%d transitions are kept, want those of 100 seconds and what one trim leaves", kept)
	}
	m.expect(t, s, "after trimming")
}

// A failed write-back loses nothing, and is tried again.
func TestFailedWriteBackLosesNothing(t *testing.T) {
	s := openQuick(t, filepath.Join(t.TempDir(), "gather.db"), nil)
	m := newModel()
	one, two := state.Key{Business: "2", Task: "1"}, state.Key{Business: "2", Task: "2"}
	m.do(t, s, one, newRoot("1"))
	m.do(t, s, two, newRoot("2"))
	s.writeBackAll()
	m.do(t, s, one, start("1"))
	m.do(t, s, two, start("2"))

	// Damaged memory represents any reason for a failure.
	block := s.overlay.active.entries[m.tasks[two].header.Number].pieces[0].block
	whole := slices.Clone(block)
	clear(block)
	for range 3 {
		s.writeBackAll()
		if s.overlay.transitions() == 0 || s.phase != stalled {
			t.Fatal("a write-back of damaged transitions succeeded")
		}
	}
	m.do(t, s, state.Key{Business: "2", Task: "3"}, newRoot("3"))
	copy(block, whole)
	s.writeBackAll()
	if n := s.overlay.transitions(); n != 0 || len(s.overlay.active.entries) != 0 {
		t.Errorf("%d transitions of %d tasks are pending after a whole write-back", n, len(s.overlay.active.entries))
	}
	m.expect(t, s, "afterwards")
}

// Pages that are written in order stay nearly full.
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
