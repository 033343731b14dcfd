package engine_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
	"github.com/pipestatus/pipestatus/store/storetest"
)

func TestWatchBeginsAfterAnySequence(t *testing.T) {
	forEachStoreReopened(t, func(f *fixture) {
		f.task("10", "root")
		f.activity("root", "a", engine.Start, engine.Finish)
		f.record(engine.Finish("root"))
		if err := f.Delete(f.ctx, "2", "10"); err != nil {
			f.Fatal(err)
		}
		f.pause()
		ops := []state.OpKind{
			state.Create, state.Start, state.Declare, state.Start, state.Finish, state.Finish, state.Delete,
		}
		last := uint64(len(ops))
		for after := range last {
			for i, tr := range f.watched(after, last) {
				if want := ops[after+uint64(i)]; tr.Op != want {
					f.Errorf("after %d: %d is a %s, want %s", after, tr.Sequence, tr.Op, want)
				}
			}
		}
	})
}

func TestWatchAfterTheLastSequenceYieldsNewTransitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := onMemory(t, engine.Options{})
		f.task("10", "root")
		var got []uint64
		go func() {
			for tr, err := range f.Watch(f.ctx, f.Position()) {
				if err != nil {
					return
				}
				got = append(got, tr.Sequence)
			}
		}()
		synctest.Wait()
		if len(got) > 0 {
			t.Fatalf("got %v before there was anything", got)
		}
		f.record(engine.Suspend("root"), engine.Resume("root"), engine.Suspend("root"))
		synctest.Wait()
		if !slices.Equal(got, []uint64{3, 4, 5}) {
			t.Errorf("got %v, want 3, 4 and 5", got)
		}
	})
}

func TestWatchEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := onMemory(t, engine.Options{})
		f.task("10", "root")
		ctx, cancel := context.WithCancel(f.ctx)
		var last error
		seen := 0
		go func() {
			for _, last = range f.Watch(ctx, store.Position{}) {
				seen++
			}
		}()
		synctest.Wait()
		cancel()
		synctest.Wait()
		if seen != 3 || !errors.Is(last, context.Canceled) {
			t.Errorf("ended after %d with %v, want 2 transitions and an error", seen, last)
		}

		// This also holds in the middle of available events.
		ctx, again := context.WithCancel(f.ctx)
		defer again()
		seen = 0
		for _, last = range f.Watch(ctx, store.Position{}) {
			seen++
			again()
		}
		if seen != 2 || !errors.Is(last, context.Canceled) {
			t.Errorf("ended after %d with %v, want 1 transition and an error", seen, last)
		}
	})
}

// Requests that were queued when Close was called are committed, and a watch
// yields them before it ends.
func TestWatchYieldsEverythingBeforeItEndsWithTheEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := &storetest.Wrapper{Store: store.NewMemory()}
		f := onStore(t, s, engine.Options{})
		f.task("10", "root")
		s.BeforeCommit = func(context.Context, []store.Write) error {
			<-release
			return nil
		}
		var got []uint64
		var last error
		watch := func() {
			for tr, err := range f.Watch(f.ctx, store.Position{}) {
				if last = err; err == nil {
					got = append(got, tr.Sequence)
				}
			}
		}
		f.Submit(engine.Suspend("root"))
		go f.Close()
		synctest.Wait()
		go watch() // after Close was called, before the commit
		synctest.Wait()
		if last != nil {
			t.Errorf("ended with %v before what is queued was committed", last)
		}
		close(release)
		synctest.Wait()
		if len(got) != 3 || !errors.Is(last, store.ErrClosed) {
			t.Errorf("got %v, then %v; want 1 to 3, then %v", got, last, store.ErrClosed)
		}
		// A later watch gets the same.
		got, last = nil, nil
		watch()
		if len(got) != 3 || !errors.Is(last, store.ErrClosed) {
			t.Errorf("afterwards got %v, then %v", got, last)
		}
	})
}

func TestAWatchReportsTrimmedTransitions(t *testing.T) {
	f := onBolt(t, engine.Options{})
	f.bolt = &boltstore.Options{OverlayTransitions: 8, FeedTransitions: 8}
	f.reopen()
	f.task("10", "root")
	for range 200 {
		f.record(engine.Suspend("root"), engine.Resume("root"))
	}
	f.reopen()
	var last error
	for _, last = range f.Watch(f.ctx, store.Position{}) {
	}
	if !errors.Is(last, store.ErrTrimmed) {
		t.Errorf("ended with %v, want %v", last, store.ErrTrimmed)
	}
	feed, err := f.Feed(f.ctx, store.End, 1)
	if err != nil {
		t.Fatal(err)
	}
	f.watched(feed.First-1, feed.Last.Sequence)
}

// A consumer that renders a snapshot on each transition must not end with an
// outdated one.
func TestSnapshotsShowEveryTransitionThatAWatchHasYielded(t *testing.T) {
	s := &storetest.Wrapper{Store: store.NewMemory()}
	f := onStore(t, s, engine.Options{})
	f.task("10", "root")
	var wg sync.WaitGroup
	s.AfterCommit = func(results []store.Result, err error) ([]store.Result, error) {
		// The store shows the commit, and the engine does not yet. The pause
		// gives a faulty watcher time to fail.
		seen := make(chan struct{})
		wg.Go(func() {
			defer close(seen)
			for tr, err := range f.Watch(f.ctx, f.Position()) {
				if err != nil {
					t.Error(err)
				}
				if got := f.node("root").State; got != state.Suspended {
					t.Errorf("root is %s after transition %d, %s, was seen", got, tr.Sequence, tr.Op)
				}
				return
			}
		})
		select {
		case <-seen:
		case <-time.After(20 * time.Millisecond):
		}
		return results, err
	}
	f.record(engine.Suspend("root"))
	wg.Wait()
}

// A hundred watchers at their own pace, from different sequences, while many
// write: each sees every transition after its own once and in order.
func TestWatchersHaveNeitherGapNorDuplicateWhileManyWrite(t *testing.T) {
	forEachStore(t, func(f *fixture) {
		const writers, each, watchers = 8, 60, 100
		last := uint64(writers * (2 + each))
		var wg sync.WaitGroup
		for i := range watchers {
			wg.Go(func() {
				after := f.Position()
				after.Sequence = min(after.Sequence, uint64(i))
				next := after.Sequence + 1
				for tr, err := range f.Watch(f.ctx, after) {
					if err != nil {
						f.Error(err)
						return
					}
					if tr.Sequence != next {
						f.Errorf("watcher %d got %d instead of %d", i, tr.Sequence, next)
						return
					}
					if next++; next > last {
						return
					}
					if i%10 == 0 && next%7 == 0 {
						time.Sleep(time.Millisecond) // a slow one
					}
				}
			})
		}
		for w := range writers {
			wg.Go(func() {
				root := id(1000 + w)
				if _, err := f.Record(f.ctx, engine.Create("2", root, engine.ID(root)), engine.Start(root)); err != nil {
					f.Error(err)
				}
				for range each / 2 {
					if _, err := f.Record(f.ctx, engine.Suspend(root), engine.Resume(root)); err != nil {
						f.Error(err)
					}
				}
			})
		}
		wg.Wait()
	})
}

// A snapshot and the later transitions, without those up to its revision, give
// the task at any time.
func TestSnapshotAndWatchAfterItMissNothing(t *testing.T) {
	forEachStore(t, func(f *fixture) {
		f.task("10", "root")
		f.task("11", "noise")
		stop := make(chan struct{})
		var writers sync.WaitGroup
		for _, root := range []string{"root", "noise"} {
			writers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						f.Submit(engine.Suspend(root)).Wait(f.ctx)
						f.Submit(engine.Resume(root)).Wait(f.ctx)
					}
				}
			})
		}
		for range 30 {
			snap, err := f.Load(f.ctx, store.ByNode("root"))
			if err != nil {
				f.Fatal(err)
			}
			seen := 0
			tree := snap.Tree
			for tr, err := range f.Watch(f.ctx, snap.Position) {
				if err != nil {
					f.Fatal(err)
				}
				if tr.Task.Task != "10" || tr.Sequence <= tree.Revision() {
					continue
				}
				if from := tr.Changes[0].From; from != tree.State(0) {
					f.Fatalf("transition %d begins at %s, revision %d was %s", tr.Sequence, from, tree.Revision(), tree.State(0))
				}
				if tree, err = tree.Replay(tr.Transition); err != nil {
					f.Fatal(err)
				}
				if seen++; seen == 5 {
					break
				}
			}
		}
		close(stop)
		writers.Wait()
	})
}
