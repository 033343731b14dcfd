package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/storetest"
)

func TestDeleteFreesKeyAndIDs(t *testing.T) {
	forEachStoreReopened(t, func(f *fixture) {
		f.task("10", "root")
		f.activity("root", "a", engine.Start, engine.Finish, engine.Loop, engine.Finish)
		f.record(engine.Finish("root"))
		f.pause()
		if err := f.Delete(f.ctx, "2", "10", engine.Actor("janitor")); err != nil {
			f.Fatal(err)
		}
		f.pause()
		for _, ref := range []store.Ref{store.ByKey("2", "10"), store.ByNode("root"), store.ByNode("a")} {
			if _, err := f.Load(f.ctx, ref); !errors.Is(err, state.ErrNotFound) {
				f.Errorf("load %s: %v", ref, err)
			}
			if _, err := f.Locate(f.ctx, ref); !errors.Is(err, state.ErrNotFound) {
				f.Errorf("locate %s: %v", ref, err)
			}
		}
		if _, err := f.Attempts(f.ctx, store.ByNode("a"), store.AttemptQuery{}); !errors.Is(err, state.ErrNotFound) {
			f.Errorf("attempts: %v", err)
		}
		tr := f.watched(8, 9)[0]
		if tr.Op != state.Delete || tr.Actor != "janitor" || tr.Task.Task != "10" {
			f.Errorf("the last transition is %+v", tr)
		}
		f.expectRefusal(f.Delete(f.ctx, "2", "10"), state.ErrNotFound)

		f.task("10", "a") // what was an activity's ID
		f.pause()
		if n := f.node("a"); n.Kind != state.Pipeline || n.Loop != 1 {
			f.Errorf("the new root is %+v", n)
		}
	})
}

// A task older than the deletion takes over an ID that the deletion freed; the
// store may write both at the same time.
func TestFreedIDStaysWithItsNewOwner(t *testing.T) {
	forEachStoreReopened(t, func(f *fixture) {
		f.task("10", "root")
		f.activity("root", "a")
		f.record(engine.Revoke("root"))
		f.pause()
		f.task("11", "heir")
		if err := f.Delete(f.ctx, "2", "10"); err != nil {
			f.Fatal(err)
		}
		f.activity("heir", "a")
		f.pause()
		if at, err := f.Locate(f.ctx, store.ByNode("a")); err != nil || at.Key.Task != "11" {
			f.Errorf("node a is in %s, %v", at.Key, err)
		}
	})
}

func TestDeleteRefusesUnfinishedTasks(t *testing.T) {
	forEachStoreReopened(t, func(f *fixture) {
		f.task("10", "root")
		f.activity("root", "a", engine.Start)
		refused := func() {
			f.Helper()
			f.pause()
			f.expectUnchanged(func() { f.expectRefusal(f.Delete(f.ctx, "2", "10"), state.ErrInvalidTransition) })
		}
		refused()
		f.record(engine.Revoke("root"))
		refused() // the activity still runs
		f.record(engine.Finish("a"))
		if err := f.Delete(f.ctx, "2", "10"); err != nil {
			f.Error(err)
		}
	})
}

func TestDeleteRefusesBadInput(t *testing.T) {
	f := onMemory(t, engine.Options{})
	f.task("10", "root")
	f.record(engine.Finish("root"))
	f.expectUnchanged(func() {
		f.expectRefusal(f.Delete(f.ctx, "2", "10", engine.Name("x")), state.ErrInvalidArgument)
		f.expectRefusal(f.Delete(f.ctx, "2", "10", engine.ID("x")), state.ErrInvalidArgument)
		f.expectRefusal(f.Delete(f.ctx, "2", "10", engine.Actor("\n")), state.ErrInvalidArgument)
		f.expectRefusal(f.Delete(f.ctx, "2", ""), state.ErrInvalidArgument)
		f.expectRefusal(f.Delete(f.ctx, "3", "10"), state.ErrNotFound)
		ctx, cancel := context.WithCancel(f.ctx)
		cancel()
		var refused *state.Error
		if err := f.Delete(ctx, "2", "10"); !errors.Is(err, context.Canceled) || errors.As(err, &refused) {
			t.Errorf("with a canceled context: %T %v", err, err)
		}
	})
}

// A task that changes between the check and its removal is checked again, and
// kept if it is then unfinished.
func TestDeleteTriesAgainWhenTheTaskChanged(t *testing.T) {
	s := &storetest.Wrapper{Store: store.NewMemory()}
	f := onStore(t, s, engine.Options{})
	other := onStore(t, s.Store, engine.Options{})
	f.task("10", "root")
	f.activity("root", "a", engine.Start, fails)
	f.record(engine.Revoke("root"))
	changes := 0
	s.Refuse = func(c *store.Write) error {
		if changes++; c.Deletes() && changes == 1 {
			other.record(engine.Revoke("a"))
		}
		return nil
	}
	if err := f.Delete(f.ctx, "2", "10"); err != nil || changes != 2 {
		t.Errorf("%v after %d tries, want 2", err, changes)
	}
}

func TestDeleteGivesUpOnATaskThatAlwaysChanges(t *testing.T) {
	s := &storetest.Wrapper{Store: store.NewMemory()}
	f := onStore(t, s, engine.Options{})
	f.task("10", "root")
	f.record(engine.Finish("root"))
	tries := 0
	s.Refuse = func(*store.Write) error { tries++; return store.ErrConflict }
	if err := f.Delete(f.ctx, "2", "10"); !errors.Is(err, store.ErrConflict) || tries != 8 {
		t.Errorf("%v after %d tries, want a conflict after 8", err, tries)
	}
}

// slowReader is a store whose loads return long after they have read.
type slowReader struct {
	store.Store
	afterLoad atomic.Pointer[func()]
}

func (s *slowReader) Load(ctx context.Context, ref store.Ref) (store.Snapshot, error) {
	snap, err := s.Store.Load(ctx, ref)
	if wait := s.afterLoad.Swap(nil); wait != nil {
		(*wait)()
	}
	return snap, err
}

// A tree that was read before a commit must not get into memory after it.
func TestTreeReadWhileItsTaskChangesDoesNotStayInMemory(t *testing.T) {
	for name, change := range map[string]func(f *fixture) error{
		"deleted": func(f *fixture) error { return f.Delete(f.ctx, "2", "10") },
		"purged":  func(f *fixture) error { _, err := f.Purge(f.ctx, engine.Retention{}); return err },
		"revoked": func(f *fixture) error { _, err := f.Revoke(f.ctx, "a"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			s := &slowReader{Store: store.NewMemory()}
			f := onStore(t, s, engine.Options{})
			f.task("10", "root")
			f.activity("root", "a", engine.Start, fails)
			f.record(engine.Revoke("root"))
			f.reopenEngine()
			meanwhile := func() {
				if err := change(f); err != nil {
					t.Error(err)
				}
			}
			s.afterLoad.Store(&meanwhile)
			f.expectStates(map[string]state.State{"a": state.Failed}) // as it was read
			want, wantErr := s.Store.Load(f.ctx, store.ByNode("a"))
			got, err := f.Load(f.ctx, store.ByNode("a"))
			if wantErr != nil {
				if !errors.Is(err, state.ErrNotFound) {
					t.Errorf("afterwards: revision %d, %v", got.Tree.Revision(), err)
				}
				return
			}
			if err != nil || got.Tree.Revision() != want.Tree.Revision() {
				t.Errorf("afterwards: %+v, want revision %d: %v", got, want.Tree.Revision(), err)
			}
		})
	}
}

func TestPurgeRemovesTheTasksThatRetentionSelects(t *testing.T) {
	// Tasks t0 to t5 of business 2, u0 to u5 of business 3, recorded in that
	// order: 0 FINISHED, 1 FAILED, 2 REVOKED, 3 RUNNING, 4 REVOKED with a leaf
	// that runs, 5 FINISHED.
	at := func(hour int) time.Time { return epoch.Add(time.Duration(hour) * time.Hour) }
	fill := func(f *fixture) {
		for b, business := range []string{"2", "3"} {
			for i, end := range []func(string, ...engine.Option) engine.Op{
				engine.Finish, fails, engine.Revoke, nil, engine.Revoke, engine.Finish,
			} {
				name, on := fmt.Sprint(string("tu"[b]), i), engine.At(at(6*b+i))
				ops := []engine.Op{engine.Create(business, name, engine.ID(name), on), engine.Start(name, on)}
				if i == 4 {
					leaf := name + "leaf"
					ops = append(ops, engine.Declare(name, state.ServiceActivity, engine.ID(leaf), on), engine.Start(leaf, on))
				}
				if end != nil {
					ops = append(ops, end(name, on))
				}
				f.record(ops...)
			}
		}
	}
	for name, tc := range map[string]struct {
		retention engine.Retention
		removed   string
		of        int // number of tasks that business and shown state select
	}{
		"all that is not unfinished": {engine.Retention{}, "t0 t1 t2 t5 u0 u1 u2 u5", 12},
		"a business":                 {engine.Retention{Business: "3"}, "u0 u1 u2 u5", 6},
		"a shown state":              {engine.Retention{Shown: []state.State{state.Finished}}, "t0 t5 u0 u5", 4},
		"shown states":               {engine.Retention{Shown: []state.State{state.Failed, state.Revoked}}, "t1 t2 u1 u2", 6},
		"age":                        {engine.Retention{Before: at(5)}, "t0 t1 t2", 12},
		"age, just over":             {engine.Retention{Before: at(5).Add(1)}, "t0 t1 t2 t5", 12},
		"count":                      {engine.Retention{Keep: 6}, "t0 t1 t2 t5", 12},
		"count, unfinished included": {engine.Retention{Keep: 3}, "t0 t1 t2 t5 u0 u1 u2", 12},
		"count of a business":        {engine.Retention{Business: "2", Keep: 4}, "t0 t1", 6},
		"count of a shown state":     {engine.Retention{Shown: []state.State{state.Finished}, Keep: 1}, "t0 t5 u0", 4},
		"all conditions":             {engine.Retention{Business: "2", Shown: []state.State{state.Finished}, Before: at(5), Keep: 1}, "t0", 2},
		"more than there are":        {engine.Retention{Keep: 12}, "", 12},
	} {
		t.Run(name, func(t *testing.T) {
			forEachStoreReopened(t, func(f *fixture) {
				fill(f)
				before := names(read(f.T, f.Engine).Tasks)
				f.pause()
				removed, err := f.Purge(f.ctx, tc.retention)
				if err != nil {
					f.Fatal(err)
				}
				f.pause()
				left := names(read(f.T, f.Engine).Tasks)
				gone := slices.DeleteFunc(before, func(n string) bool { return slices.Contains(left, n) })
				if got := strings.Join(gone, " "); got != tc.removed || removed.Removed != len(gone) || removed.Removed+removed.PassedOver() != tc.of {
					f.Errorf("%+v, %q, want %q of %d", removed, got, tc.removed, tc.of)
				}
			})
		})
	}
}

func TestAnInvalidRetentionIsRefusedAndRemovesNothing(t *testing.T) {
	forEachStore(t, func(f *fixture) {
		f.task("10", "root")
		f.record(engine.Finish("root"))
		f.expectUnchanged(func() {
			for what, r := range map[string]engine.Retention{
				"an unknown state":          {Shown: []state.State{state.Finished, 77}},
				"no state":                  {Shown: []state.State{0}},
				"a business that cannot be": {Business: "\xff"},
				"a negative number to keep": {Keep: -1},
			} {
				done, err := f.Purge(f.ctx, r)
				if !errors.Is(err, state.ErrInvalidArgument) || done != (engine.Purged{}) {
					f.Errorf("%s: %+v, %v", what, done, err)
				}
			}
		})
	})
}

func TestPurgeRemovesSettledTasksOnRequest(t *testing.T) {
	forEachStoreReopened(t, func(f *fixture) {
		f.task("failed", "f")
		f.activity("f", "fa", engine.Start, fails)
		f.task("pending", "p")
		f.activity("p", "pa", engine.Start)
		f.record(engine.Fail("pa", "again later", engine.RetryAt(epoch.Add(time.Hour))))
		f.task("suspended", "s")
		f.record(engine.Suspend("s"))
		f.record(engine.Create("2", "created", engine.ID("c")))
		f.task("running", "r")
		f.activity("r", "ra", engine.Start)
		f.task("between", "b") // two steps
		f.task("over", "o")
		f.record(engine.Finish("o"))
		f.pause()
		purge := func(r engine.Retention, want engine.Purged) {
			f.Helper()
			got, err := f.Purge(f.ctx, r)
			if err != nil || got != want {
				f.Errorf("%+v: %+v, %v, want %+v", r, got, err, want)
			}
			f.pause()
		}
		purge(engine.Retention{Before: epoch, Settled: true}, engine.Purged{Unfinished: 3, Recent: 4})
		purge(engine.Retention{Shown: []state.State{state.Failed}}, engine.Purged{Settled: 1})
		purge(engine.Retention{}, engine.Purged{Removed: 1, Unfinished: 3, Settled: 3})
		purge(engine.Retention{Settled: true}, engine.Purged{Removed: 3, Unfinished: 3})
		f.expectStates(map[string]state.State{"pa": state.Failed, "ra": state.Running, "b": state.Running})
	})
}

func TestPurgeByEndIgnoresLaterTransitions(t *testing.T) {
	f := onMemory(t, engine.Options{})
	at := func(sec int) engine.Option { return engine.At(epoch.Add(time.Duration(sec) * time.Second)) }
	f.record(engine.Create("2", "10", engine.ID("root"), at(0)), engine.Start("root", at(0)),
		engine.Declare("root", state.ServiceActivity, engine.ID("a"), at(0)), engine.Start("a", at(0)),
		engine.Revoke("root", at(1)), engine.Finish("a", at(9)))
	r := engine.Retention{Before: epoch.Add(5 * time.Second)}
	if done, err := f.Purge(f.ctx, r); err != nil || done != (engine.Purged{Recent: 1}) {
		t.Errorf("by the last transition: %+v, %v", done, err)
	}
	r.ByEnd = true
	if done, err := f.Purge(f.ctx, r); err != nil || done != (engine.Purged{Removed: 1}) {
		t.Errorf("by the end: %+v, %v", done, err)
	}
}

func TestDeleteOfASettledTaskNeedsForce(t *testing.T) {
	forEachStoreReopened(t, func(f *fixture) {
		f.task("10", "root")
		f.activity("root", "a", engine.Start)
		force := func() error { return f.Delete(f.ctx, "2", "10", engine.Force(), engine.Actor("alice")) }
		f.expectUnchanged(func() { f.expectRefusal(force(), state.ErrInvalidTransition) }) // it runs
		f.record(fails("a"))
		f.pause()
		f.expectUnchanged(func() { f.expectRefusal(f.Delete(f.ctx, "2", "10"), state.ErrInvalidTransition) })
		if err := force(); err != nil {
			f.Error(err)
		}
		_, err := f.Start(f.ctx, "root", engine.Force())
		f.expectRefusal(err, state.ErrInvalidArgument)
	})
}

// names are the IDs of tasks, oldest first.
func names(tasks []store.Task) (ids []string) {
	for _, t := range slices.Backward(tasks) {
		ids = append(ids, t.Key.Task)
	}
	return ids
}

func TestPurgeOfMoreThanAPageRemovesAll(t *testing.T) {
	forEachStore(t, func(f *fixture) {
		const n = 2 * store.DefaultLimit
		var last *engine.Pending
		for i := range n + 1 {
			root := id(1_000_000 + i)
			last = f.Submit(engine.Create("2", root, engine.ID(root)), engine.Revoke(root))
		}
		if _, err := last.Wait(f.ctx); err != nil {
			f.Fatal(err)
		}
		removed, err := f.Purge(f.ctx, engine.Retention{Keep: 1})
		if err != nil || removed != (engine.Purged{Removed: n, Newest: 1}) {
			f.Errorf("%+v, want %d: %v", removed, n, err)
		}
	})
}

func TestPurgeKeepsATaskThatChangesDuringThePurge(t *testing.T) {
	s := &storetest.Wrapper{Store: store.NewMemory()}
	f := onStore(t, s, engine.Options{})
	other := onStore(t, s.Store, engine.Options{})
	f.task("10", "root")
	f.activity("root", "a", engine.Start, fails)
	f.record(engine.Revoke("root"))
	f.task("11", "done")
	f.record(engine.Finish("done"))
	s.BeforeCommit = func(context.Context, []store.Write) error {
		s.BeforeCommit = nil
		other.record(engine.Revoke("a"))
		return nil
	}
	removed, err := f.Purge(f.ctx, engine.Retention{})
	if err != nil || removed != (engine.Purged{Removed: 1, Changed: 1}) {
		t.Errorf("%+v, want 1, and 1 that changed: %v", removed, err)
	}
	f.expectStates(map[string]state.State{"a": state.Revoked})
}

func TestPurgeEndsWithItsContextAndStoreErrors(t *testing.T) {
	s := &storetest.Wrapper{Store: store.NewMemory()}
	f := onStore(t, s, engine.Options{})
	f.task("10", "root")
	f.record(engine.Finish("root"))
	f.expectUnchanged(func() {
		ctx, cancel := context.WithCancel(f.ctx)
		cancel()
		if _, err := f.Purge(ctx, engine.Retention{}); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v", err)
		}
		s.BeforeCommit = func(context.Context, []store.Write) error { return store.ErrFull }
		if removed, err := f.Purge(f.ctx, engine.Retention{}); !errors.Is(err, store.ErrFull) || removed.Removed != 0 {
			t.Errorf("full: %+v, %v", removed, err)
		}
	})
}

// Others wait for a commit of deletions, so its size is bounded.
func TestPurgeOfLargeTasksUsesSmallCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &storetest.Wrapper{Store: store.NewMemory()}
		e, err := engine.Open(t.Context(), s, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		for _, task := range []string{"a", "b", "c", "d", "e"} {
			ops := []engine.Op{engine.Create("2", task, engine.ID(task))}
			for len(ops) < 6_000 {
				ops = append(ops, engine.Declare(task, state.EndEvent))
			}
			if _, err := e.Record(t.Context(), append(ops, engine.Revoke(task))...); err != nil {
				t.Fatal(err)
			}
		}
		most := 0
		s.BeforeCommit = func(_ context.Context, changes []store.Write) error {
			most = max(most, len(changes))
			time.Sleep(time.Second) // until all deletes have queued that will
			return nil
		}
		if removed, err := e.Purge(t.Context(), engine.Retention{}); err != nil || removed.Removed != 5 {
			t.Errorf("%+v, want 5: %v", removed, err)
		}
		if most > 2 {
			t.Errorf("%d tasks of 6,000 nodes were deleted in one commit", most)
		}
	})
}
