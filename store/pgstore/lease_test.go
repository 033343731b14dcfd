//go:build unix

package pgstore_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/pgstore"
)

// lapsed are the tasks that can be taken over, by task ID.
func lapsed(t testing.TB, s store.Leaser) (tasks []string) {
	t.Helper()
	for cursor := ""; ; {
		page, err := s.Lapsed(t.Context(), cursor, 2)
		if err != nil {
			t.Fatal(err)
		}
		for i := range page.Tasks {
			tasks = append(tasks, page.Tasks[i].Key.Task)
		}
		if cursor = page.Cursor; cursor == "" {
			return tasks
		}
	}
}

func wantLapsed(t testing.TB, when string, s store.Leaser, want ...string) {
	t.Helper()
	if got := lapsed(t, s); !slices.Equal(got, want) {
		t.Errorf("%s, tasks without a lease: %q, want %q", when, got, want)
	}
}

// expire lets a handle's leases expire, as without renewals.
func expire(t testing.TB, pool *pgxpool.Pool, schema string, s *pgstore.Store) {
	t.Helper()
	execSQL(t, pool, "UPDATE "+pgx.Identifier{schema, "holders"}.Sanitize()+" SET expires = now() - interval '1 second' WHERE id = $1", s.ID())
}

func locate(t testing.TB, r store.Reader, ref store.Ref) store.Location {
	t.Helper()
	at, err := r.Locate(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

const hour = time.Hour // longer than any test

func TestTasksAreLeasedWhileTheirHandleLives(t *testing.T) {
	t.Parallel()
	pool, schema := newPool(t), newSchema()
	o := pgstore.Options{Schema: schema, Lease: hour}
	a, b := open(t, pool, o), open(t, pool, o)
	ea := newEngine(t, a)
	for _, task := range []string{"t1", "t2", "t3", "ended"} {
		begin(t, ea, task)
	}
	if _, err := ea.Finish(t.Context(), "ended"); err != nil {
		t.Fatal(err)
	}
	wantLapsed(t, "while the handle lives", b)
	expire(t, pool, schema, a)
	wantLapsed(t, "after its leases ran out", b, "t3", "t2", "t1")
	if err := b.TakeOver(t.Context(), locate(t, b, store.ByKey("2", "t2"))); err != nil {
		t.Fatal(err)
	}
	wantLapsed(t, "after one was taken over", a, "t3", "t1")
	ea.Close()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	wantLapsed(t, "after the handle was closed", b, "t3", "t1")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	wantLapsed(t, "after both were closed", open(t, pool, o), "t3", "t2", "t1")
}

func TestLeasesAreRenewed(t *testing.T) {
	t.Parallel()
	pool, schema := newPool(t), newSchema()
	s := open(t, pool, pgstore.Options{Schema: schema, Lease: 600 * time.Millisecond})
	begin(t, newEngine(t, s), "a")
	expire(t, pool, schema, s)
	await(t, "the lease to be renewed", func() bool { return len(lapsed(t, s)) == 0 })
}

func TestAHandleOfTheSameOwnerEndsTheLeasesOfTheOneBefore(t *testing.T) {
	t.Parallel()
	pool, schema := newPool(t), newSchema()
	o := pgstore.Options{Schema: schema, Lease: hour, Owner: "runner 1"}
	begin(t, newEngine(t, open(t, pool, o)), "a")
	o.Owner = "runner 2"
	wantLapsed(t, "for another owner", open(t, pool, o))
	o.Owner = "runner 1"
	wantLapsed(t, "for the owner itself", open(t, pool, o), "a")
}

func TestOfSeveralRescuersOneGetsATask(t *testing.T) {
	t.Parallel()
	pool, schema := newPool(t), newSchema()
	o := pgstore.Options{Schema: schema, Lease: hour}
	first := open(t, pool, o)
	e := newEngine(t, first)
	var rescuers [6]*pgstore.Store
	for i := range rescuers {
		rescuers[i] = open(t, pool, o)
	}
	for _, task := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		ref := begin(t, e, task)
		expire(t, pool, schema, first)
		at := locate(t, first, ref)
		var errs [len(rescuers)]error
		var wg sync.WaitGroup
		for i, r := range rescuers {
			wg.Go(func() { errs[i] = r.TakeOver(t.Context(), at) })
		}
		wg.Wait()
		winner := -1
		for i, err := range errs {
			switch {
			case err == nil && winner >= 0:
				t.Errorf("task %s: rescuers %d and %d both got it", task, winner, i)
			case err == nil:
				winner = i
			case !errors.Is(err, store.ErrConflict):
				t.Errorf("task %s: rescuer %d: %v, want a conflict", task, i, err)
			}
		}
		if winner < 0 {
			t.Errorf("task %s: no rescuer got it", task)
			continue
		}
		if err := rescuers[winner].TakeOver(t.Context(), at); err != nil {
			t.Errorf("task %s: who has it asks again: %v", task, err)
		}
	}
}

func TestTakingOverIsRefused(t *testing.T) {
	t.Parallel()
	pool, schema := newPool(t), newSchema()
	o := pgstore.Options{Schema: schema, Lease: hour}
	a, b := open(t, pool, o), open(t, pool, o)
	e := newEngine(t, a)
	at := locate(t, a, begin(t, e, "a"))
	old := at
	old.Revision--
	want := func(what string, s *pgstore.Store, at store.Location, target error) {
		t.Helper()
		if err := s.TakeOver(t.Context(), at); !errors.Is(err, target) {
			t.Errorf("%s: %v, want %v", what, err, target)
		}
	}
	want("while the lease is alive", b, at, store.ErrConflict)
	expire(t, pool, schema, a)
	want("at an old revision", b, old, store.ErrConflict)
	want("of no task", b, store.Location{Key: state.Key{Business: "2", Task: "none"}, Revision: 1}, state.ErrNotFound)
	want("of what is no key", b, store.Location{Key: state.Key{Business: "\x00", Task: "none"}, Revision: 1}, state.ErrNotFound)
	o.Lease = -1
	want("by a handle that takes no leases", open(t, pool, o), at, state.ErrInvalidArgument)
	want("at last", b, at, nil)
	if _, err := newEngine(t, b).Finish(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	want("of a task that has ended", b, locate(t, b, store.ByKey("2", "a")), store.ErrConflict)
}

func TestAHandleThatLostATaskIsFenced(t *testing.T) {
	t.Parallel()
	pool, schema := newPool(t), newSchema()
	o := pgstore.Options{Schema: schema, Lease: hour}
	lost, rescuer := open(t, pool, o), open(t, pool, o)
	o.Lease = -1
	operator := open(t, pool, o)
	e := newEngine(t, lost)
	ref := begin(t, e, "a")
	begin(t, e, "b")
	expire(t, pool, schema, lost)
	if _, err := e.Suspend(t.Context(), "a"); err != nil {
		t.Errorf("a handle whose lease ran out, with nobody to take over: %v", err)
	}
	if err := rescuer.TakeOver(t.Context(), locate(t, rescuer, ref)); err != nil {
		t.Fatal(err)
	}
	// The rescuer has not written, so the revision alone would not detect this.
	before := locate(t, lost, ref).Revision
	if _, err := e.Resume(t.Context(), "a"); !errors.Is(err, store.ErrFenced) {
		t.Errorf("a change by who lost the task: %v, want %v", err, store.ErrFenced)
	}
	if at := locate(t, lost, ref); at.Revision != before {
		t.Errorf("a fenced change went from revision %d to %d", before, at.Revision)
	}
	if _, err := newEngine(t, rescuer).Resume(t.Context(), "a"); err != nil {
		t.Errorf("a change by the rescuer: %v", err)
	}
	if _, err := newEngine(t, operator).Suspend(t.Context(), "a"); err != nil {
		t.Errorf("a change by a tool that never had the task: %v", err)
	}
	if _, err := e.Resume(t.Context(), "a"); !errors.Is(err, store.ErrFenced) {
		t.Errorf("another change by who lost the task: %v, want %v", err, store.ErrFenced)
	}
	if _, err := e.Record(t.Context(), engine.Suspend("b"), engine.Resume("b")); err != nil {
		t.Errorf("a change of a task that nobody took over: %v", err)
	}
	check(t, operator)
}
