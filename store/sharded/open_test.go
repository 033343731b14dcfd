package sharded_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/sharded"
)

// wantMissing checks that a list has these tasks, in any order, and says of one member
// that it is missing.
func wantMissing(t testing.TB, s store.Reader, q store.ListQuery, member string, want ...string) {
	t.Helper()
	var got []string
	var last error
	for task, err := range store.Tasks(t.Context(), s, q) {
		if last = err; err == nil {
			got = append(got, task.Key.Business+"/"+task.Key.Task)
		}
	}
	wantLost(t, "the end of a list", last, member)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the list has %q, want %q", got, want)
	}
}

// reopened is a fleet's store in a new process, opened while a member is down.
func reopened(f *fleet, closed store.Store, down string) store.Store {
	f.Helper()
	if err := closed.Close(); err != nil {
		f.Fatal(err)
	}
	f.database(down).down.Store(true)
	return f.open()
}

func TestStoreOpensWithoutALostMemberAndUsesItWhenItIsBack(t *testing.T) {
	f := newFleet(t, "abc")
	s := f.open()
	commit(t, s, create(t, "a1", "10", ""), create(t, "b1", "10", ""), create(t, "c1", "10", ""))
	_, before := changes(t, s, store.Position{})
	s = reopened(f, s, "b1")

	commit(t, s, create(t, "a1", "11", ""), create(t, "c2", "10", ""))
	err := resultOf(s.Commit(t.Context(), []store.Write{create(t, "b1", "11", "")}))
	wantLost(t, "a write", err, "b")
	_, err = s.Load(t.Context(), store.ByKey("b1", "10"))
	wantLost(t, "a load", err, "b")
	for _, q := range []store.ListQuery{{}, {OldestFirst: true}, {Limit: 1}, {Limit: 1, OldestFirst: true}} {
		wantMissing(t, s, q, "b", "a1/10", "c1/10", "a1/11", "c2/10")
	}
	page, err := s.Feed(t.Context(), before, 0)
	if err != nil || len(page.Transitions) != 2 {
		t.Fatalf("the feed has %d transitions of other members, %v, want 2", len(page.Transitions), err)
	}
	_, err = s.Feed(t.Context(), page.After(), 0)
	wantLost(t, "the end of the feed", err, "b")
	_, err = store.Last(t.Context(), s)
	wantLost(t, "the last position", err, "b")
	if part := (*store.UnavailableError)(nil); !errors.As(err, &part) || !part.Known.Has(page.Transitions[1].Sequence) {
		t.Errorf("the last position: %v, which does not tell that of the other members", err)
	}
	err = s.(store.Checker).Check(t.Context(), func(problem string) { t.Error(problem) })
	wantLost(t, "the check of the whole", err, "b")

	f.database("b1").down.Store(false)
	eventually(t, "the member is back", func() bool {
		_, err := s.Load(t.Context(), store.ByKey("b1", "10"))
		return err == nil
	})
	commit(t, s, create(t, "b1", "11", ""), create(t, "b2", "10", ""))
	later, _ := changes(t, s, page.After())
	if len(later) != 2 || later[0].Task.Business != "b1" || later[1].Task.Business != "b2" {
		t.Errorf("%d transitions after the member is back, want those of its two new tasks", len(later))
	}
	if got := tasks(t, s, store.ListQuery{}); len(got) != 7 {
		t.Errorf("tasks %q, want 7", got)
	}
	sound(t, s)
}

func TestListContinuesWithAMemberThatIsBack(t *testing.T) {
	f := newFleet(t, "ab")
	s := f.open()
	for i := range 4 {
		commit(t, s, create(t, "a1", fmt.Sprint(i), ""), create(t, "b1", fmt.Sprint(i), ""))
	}
	for _, oldestFirst := range []bool{false, true} {
		f.database("b1").down.Store(true)
		q := store.ListQuery{Limit: 3, OldestFirst: oldestFirst}
		page, err := s.List(t.Context(), q)
		for err == nil && len(page.Tasks) == 0 { // it looked at records only
			q.Cursor = page.Cursor
			page, err = s.List(t.Context(), q)
		}
		if err != nil || len(page.Missing) != 1 {
			t.Fatalf("%d members are missing, %v, want 1", len(page.Missing), err)
		}
		wantLost(t, "the member that is missing", page.Missing[0], "b")
		f.database("b1").down.Store(false)
		eventually(t, "the member is back", func() bool {
			_, err := s.Load(t.Context(), store.ByKey("b1", "0"))
			return err == nil
		})
		q.Cursor = page.Cursor
		if rest := tasks(t, s, q); len(page.Tasks)+len(rest) != 8 {
			t.Errorf("%d tasks, and the rest of the list is %q, want the others of the first member and all of the second", len(page.Tasks), rest)
		}
	}
}

func TestStoreDoesNotOpenWithoutAnyMember(t *testing.T) {
	f := newFleet(t, "ab")
	for _, d := range f.databases {
		d.down.Store(true)
	}
	_, err := sharded.Open(t.Context(), f.members(), nil)
	if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "member a: ") || !strings.Contains(err.Error(), "member b: ") {
		t.Errorf("%v, want one that names both members", err)
	}
}

func TestStoreDoesNotWaitForAMemberThatCannotBeUsed(t *testing.T) {
	for _, reason := range []error{store.ErrLocked, store.ErrCorrupt, store.ErrIncompatible, state.ErrInvalidArgument} {
		members := append(newFleet(t, "a").members(), sharded.Member{Name: "b", Open: func(context.Context) (store.Store, error) {
			return nil, fmt.Errorf("%w: it is", reason)
		}})
		_, err := sharded.Open(t.Context(), members, nil)
		var of *sharded.MemberError
		if !errors.Is(err, reason) || !errors.As(err, &of) || of.Member != "b" {
			t.Errorf("%v, want one of member b that matches %q", err, reason)
		}
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	members := append(newFleet(t, "a").members(), sharded.Member{Name: "b", Open: func(ctx context.Context) (store.Store, error) {
		cancel()
		return nil, ctx.Err()
	}})
	if _, err := sharded.Open(ctx, members, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
}

func TestMemberThatComesBackAsAnotherDatabaseStaysOut(t *testing.T) {
	f := newFleet(t, "abc")
	s := f.open()
	commit(t, s, create(t, "b1", "10", ""), create(t, "c1", "10", ""))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	members := f.members()
	var actual atomic.Pointer[database] // what the member's address leads to
	members[1].Open = func(ctx context.Context) (store.Store, error) {
		if d := actual.Load(); d != nil {
			return d.member().Open(ctx)
		}
		return nil, errRefused
	}
	s = open(t, members, &sharded.Options{Place: byInitial, Retry: time.Millisecond})
	opened := f.databases[2].opened.Load()
	actual.Store(f.databases[2])
	eventually(t, "the wrong database was opened twice", func() bool { return f.databases[2].opened.Load() >= opened+2 })
	_, err := s.Load(t.Context(), store.ByKey("b1", "10"))
	wantLost(t, "a load from the wrong database", err, "b")
	actual.Store(f.databases[1])
	eventually(t, "the member is back", func() bool {
		_, err := s.Load(t.Context(), store.ByKey("b1", "10"))
		return err == nil
	})
}

// The first member has the records of where businesses are.
func TestBusinessesOfOtherMembersNeedNoFirstMember(t *testing.T) {
	f := newFleet(t, "abc")
	s := f.open()
	commit(t, s, create(t, "a1", "10", ""), create(t, "b1", "10", ""))
	s = reopened(f, s, "a1")
	step(t, s, "b1", "10")
	commit(t, s, create(t, "b1", "11", ""))
	if got := tasks(t, s, store.ListQuery{Business: "b1"}); len(got) != 2 {
		t.Errorf("tasks %q, want 2", got)
	}
	_, err := s.Load(t.Context(), store.ByKey("a1", "10"))
	wantLost(t, "a load from the first member", err, "a")
	_, err = s.Load(t.Context(), store.ByKey("c1", "10"))
	wantLost(t, "a load of a business that nobody else has", err, "a")
	err = resultOf(s.Commit(t.Context(), []store.Write{create(t, "c1", "10", "")}))
	wantLost(t, "the beginning of a business", err, "a")
	f.database("a1").down.Store(false)
	eventually(t, "the business begins", func() bool {
		return resultOf(s.Commit(t.Context(), []store.Write{create(t, "c1", "10", "")})) == nil
	})
	sound(t, s)
}

func TestBusinessBeginsWhileAMemberIsLostThatCannotHaveIt(t *testing.T) {
	f := newFleet(t, "abc")
	commit(t, f.databases[1], create(t, "b1", "10", "")) // before it is a member
	s := f.open()
	commit(t, s, create(t, "a1", "10", ""), create(t, "b2", "10", ""), create(t, "c1", "10", ""))
	f.database("c1").down.Store(true)
	commit(t, s, create(t, "a2", "10", ""), create(t, "b3", "10", ""))
	wantLost(t, "a business for the lost member", resultOf(s.Commit(t.Context(), []store.Write{create(t, "c2", "10", "")})), "c")
	s = reopened(f, s, "c1")
	commit(t, s, create(t, "a3", "10", ""), create(t, "b4", "10", ""))
	f.database("c1").down.Store(false)
	s = reopened(f, s, "b1") // it may have businesses from before
	wantLost(t, "a business that the lost member may have", resultOf(s.Commit(t.Context(), []store.Write{create(t, "a4", "10", "")})), "b")
	commit(t, s, create(t, "a3", "11", ""), create(t, "c1", "11", ""))
}

// A business that is older than the records of its member has none, and another
// process may record it elsewhere once its tasks are deleted.
func TestBusinessWithoutARecordBeginsNoTaskWithoutTheFirstMember(t *testing.T) {
	f := newFleet(t, "ab")
	commit(t, f.databases[1], create(t, "b1", "10", ""))
	s := f.open()
	commit(t, s, create(t, "b2", "10", "")) // the member has its own record now
	s = reopened(f, s, "a1")
	step(t, s, "b1", "10")
	err := resultOf(s.Commit(t.Context(), []store.Write{create(t, "b1", "11", "")}))
	wantLost(t, "a new task", err, "a")
	commit(t, s, create(t, "b2", "11", ""))
}

func TestFirstMemberThatWasReplacedByAnEmptyOneIsFilledAgain(t *testing.T) {
	f := newFleet(t, "abc")
	s := f.open()
	commit(t, s, create(t, "a1", "10", ""), create(t, "b1", "10", ""), create(t, "c1", "10", ""))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f.databases[0].Store = store.NewMemory()
	elsewhere := &sharded.Options{Place: func(string) string { return "a" }}
	s = open(t, f.members(), elsewhere)
	commit(t, s, create(t, "b1", "11", ""), create(t, "c1", "11", ""), create(t, "a1", "11", ""))
	for business, want := range map[string]int{"a1": 1, "b1": 2, "c1": 2} {
		if got := tasks(t, f.database(business), store.ListQuery{Business: business}); len(got) != want {
			t.Errorf("business %s has tasks %q where it was, want %d", business, got, want)
		}
	}
	s = reopened(f, s, "a1") // the records are there again
	commit(t, s, create(t, "b1", "12", ""))
	f.database("a1").down.Store(false)
	eventually(t, "the first member is back", func() bool { return s.(store.Checker).Check(t.Context(), func(string) {}) == nil })
	sound(t, s)
}

func TestEngineOpensWithoutALostMemberAndFindsWhatWasInterruptedThere(t *testing.T) {
	f := newFleet(t, "ab")
	s := f.open()
	e := engineOn(t, s)
	for _, business := range []string{"a1", "b1"} {
		root := must(e.Create(t.Context(), business, "10"))(t).Node
		must(e.Start(t.Context(), root))(t)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	s = reopened(f, s, "b1")
	e = engineOn(t, s)
	found, err := interrupted(t, e)
	wantLost(t, "the search for interrupted tasks", err, "b")
	if !slices.Equal(found, []string{"a1/10"}) {
		t.Errorf("interrupted are %q, want the task of the other member", found)
	}
	begin := func(business string) error {
		root, err := e.Create(t.Context(), business, "11")
		if err == nil {
			_, err = e.Start(t.Context(), root.Node)
		}
		return err
	}
	wantLost(t, "a new task", begin("b1"), "b")
	if err := begin("a1"); err != nil {
		t.Fatal(err)
	}
	f.database("b1").down.Store(false)
	eventually(t, "the member is back", func() bool { return begin("b1") == nil })
	if found, err = interrupted(t, e); err != nil || !slices.Equal(found, []string{"a1/10", "b1/10"}) {
		t.Errorf("interrupted are %q, %v, want the two tasks of the engine before", found, err)
	}
}

func TestPurgeRemovesTheTasksOfOtherMembersWhileOneIsLost(t *testing.T) {
	f := newFleet(t, "ab")
	s := f.open()
	e := engineOn(t, s)
	for _, business := range []string{"a1", "b1"} {
		for i := range 70 { // more than it deletes at a time
			root := must(e.Create(t.Context(), business, fmt.Sprint(i)))(t).Node
			must(e.Revoke(t.Context(), root))(t)
		}
	}
	f.database("b1").down.Store(true)
	done, err := e.Purge(t.Context(), engine.Retention{})
	wantLost(t, "a purge", err, "b")
	if got := tasks(t, s, store.ListQuery{Business: "a1"}); done.Removed != 70 || len(got) != 0 {
		t.Errorf("removed %d tasks, %d are left, want 70 and none", done.Removed, len(got))
	}
}

// interrupted are the tasks that an engine finds interrupted.
func interrupted(t testing.TB, e *engine.Engine) (found []string, err error) {
	for in, err := range e.Interrupted(t.Context()) {
		if err != nil {
			return found, err
		}
		found = append(found, in.Task.Business+"/"+in.Task.Task)
	}
	slices.Sort(found)
	return found, nil
}
