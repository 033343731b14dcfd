package sharded_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/sharded"
)

func TestNewMemberMovesNothing(t *testing.T) {
	f := newFleet(t, "ab")
	s := f.open()
	commit(t, s, create(t, "a1", "10", ""), create(t, "b1", "10", ""), create(t, "b2", "10", ""))
	_, middle := changes(t, s, store.Position{})
	step(t, s, "b1", "10")
	seen, end := changes(t, s, middle)
	before := tasks(t, s, store.ListQuery{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	f.databases = append(f.databases, newDatabase("c"))
	s = f.open()
	again, at := changes(t, s, middle)
	if len(again) != 1 || again[0].Sequence != seen[0].Sequence || at != end {
		t.Errorf("%d transitions after %s, to %s, want those that were there, to %s", len(again), middle, at, end)
	}
	if got := tasks(t, s, store.ListQuery{}); !slices.Equal(got, before) {
		t.Errorf("tasks %q, want %q", got, before)
	}
	step(t, s, "b2", "10")
	commit(t, s, create(t, "c1", "10", ""), create(t, "b1", "11", ""))
	page, err := f.databases[2].List(t.Context(), store.ListQuery{Business: "c1"})
	if err != nil || len(page.Tasks) != 1 {
		t.Errorf("the new member has %d tasks of a new business, %v, want 1", len(page.Tasks), err)
	}
	later, _ := changes(t, s, end)
	if len(later) != 3 {
		t.Errorf("%d transitions after the new member came, want 3", len(later))
	}
	sound(t, s)
}

func TestASingleStoreBecomesTheFirstMemberUnchanged(t *testing.T) {
	f := newFleet(t, "ab")
	alone := f.databases[0].handle()
	results := commit(t, alone, create(t, "b1", "10", ""), create(t, "2", "10", ""))
	first := store.Position{History: results[0].History, Sequence: results[0].First}
	s := f.open()
	trs, _ := changes(t, s, first)
	if len(trs) != 1 || trs[0].Sequence != results[1].First {
		t.Errorf("%d transitions after the first one of the store by itself, want the second", len(trs))
	}
	// A business stays on its member, even if it would be placed elsewhere
	// today.
	commit(t, s, create(t, "b1", "11", ""), create(t, "b2", "10", ""))
	if got := tasks(t, f.databases[0], store.ListQuery{Business: "b1"}); len(got) != 2 {
		t.Errorf("the first member has tasks %q, want both of the business", got)
	}
	if got := tasks(t, f.databases[1], store.ListQuery{Business: "b2"}); len(got) != 1 {
		t.Errorf("the second member has tasks %q of a new business, want 1", got)
	}
	sound(t, s)
}

func TestABusinessOnTwoMembersIsRefused(t *testing.T) {
	f := newFleet(t, "ab")
	commit(t, f.databases[0], create(t, "2", "10", "x"))
	commit(t, f.databases[1], create(t, "2", "11", "y"))
	s := f.open()
	_, err := s.Load(t.Context(), store.ByKey("2", "10"))
	_, committed := s.Commit(t.Context(), []store.Write{create(t, "2", "12", "z")})
	for what, err := range map[string]error{"load": err, "commit": resultOf(s.Commit(t.Context(), []store.Write{create(t, "2", "12", "z")}))} {
		if !errors.Is(err, sharded.ErrSplit) {
			t.Errorf("%s: %v, want %v", what, err, sharded.ErrSplit)
		}
	}
	if committed != nil {
		t.Errorf("commit: %v, want the error in its result", committed)
	}
	problems := 0
	_ = s.(store.Checker).Check(t.Context(), func(string) { problems++ })
	if problems != 1 {
		t.Errorf("the check tells %d problems, want 1", problems)
	}
}

// resultOf is the error of the only write of a commit.
func resultOf(results []store.Result, err error) error {
	if err == nil {
		err = results[0].Err
	}
	return err
}

// Two processes begin the same businesses at the same time. One of them does
// not know the second member yet, or places businesses differently.
func TestProcessesThatBeginABusinessAtOnceAgreeWhereItIs(t *testing.T) {
	f := newFleet(t, "abc")
	two, three := f.members()[:2], f.members()
	processes := []store.Store{
		open(t, two, &sharded.Options{Place: func(string) string { return "b" }}),
		open(t, three, &sharded.Options{Place: func(string) string { return "c" }}),
		open(t, three, &sharded.Options{Place: func(string) string { return "a" }}),
	}
	const businesses = 50
	var wg sync.WaitGroup
	failures := make([]error, len(processes))
	for p, s := range processes {
		wg.Go(func() {
			for i := range businesses {
				w := create(t, fmt.Sprint(i), fmt.Sprint("of process ", p), "")
				if err := resultOf(s.Commit(context.Background(), []store.Write{w})); err != nil && failures[p] == nil {
					failures[p] = err
				}
			}
		})
	}
	wg.Wait()
	// The first process cannot write to the third member, which was chosen, and
	// returns an error.
	if !errors.Is(failures[0], state.ErrInvalidArgument) && failures[0] != nil || failures[1] != nil || failures[2] != nil {
		t.Fatal(failures)
	}
	sound(t, processes[1])
	for i := range businesses {
		if got := tasks(t, processes[1], store.ListQuery{Business: fmt.Sprint(i)}); len(got) < 2 {
			t.Errorf("business %d has the tasks %q, want those of all processes that can reach it", i, got)
		}
	}
}

func TestExchangedMembersAreRefused(t *testing.T) {
	f := newFleet(t, "ab")
	s := f.open()
	commit(t, s, create(t, "a1", "10", ""), create(t, "b1", "10", ""))
	a, b := f.databases[0], f.databases[1]
	for what, members := range map[string][]sharded.Member{
		"in another order":       {b.member(), a.member()},
		"the first one removed":  {b.member()},
		"renamed":                {a.member(), opened("c", b.handle())},
		"one under two names":    {a.member(), opened("b", a.handle())},
		"two of one name":        {a.member(), a.member()},
		"none":                   {},
		"one that has no Open":   {a.member(), {Name: "b"}},
		"one with an empty name": {a.member(), opened("", b.handle())},
	} {
		if _, err := sharded.Open(t.Context(), members, nil); !errors.Is(err, state.ErrInvalidArgument) {
			t.Errorf("%s: %v, want one that matches %q", what, err, state.ErrInvalidArgument)
		}
	}
	if _, err := sharded.Open(t.Context(), f.members(), nil); err != nil {
		t.Error(err)
	}
}

func TestPositionsThatNameARemovedMemberAreErrors(t *testing.T) {
	f := newFleet(t, "ab")
	s := f.open()
	commit(t, s, create(t, "a1", "10", ""))
	_, before := changes(t, s, store.Position{})
	commit(t, s, create(t, "b1", "10", ""))
	_, after := changes(t, s, before)
	one := open(t, f.members()[:1], nil)
	if _, err := one.Feed(t.Context(), after, 0); !errors.Is(err, store.ErrHistory) {
		t.Errorf("feed after %s of a store with one member: %v, want %v", after, err, store.ErrHistory)
	}
	if _, err := one.Feed(t.Context(), before, 0); err != nil {
		t.Error(err)
	}
	if _, err := one.Load(t.Context(), store.ByKey("b1", "10")); !errors.Is(err, state.ErrInvalidArgument) {
		t.Errorf("load from a member that was removed: %v, want one that matches %q", err, state.ErrInvalidArgument)
	}
}

func TestTheDirectoryIsInvisible(t *testing.T) {
	f := newFleet(t, "ab")
	s := f.open()
	results := commit(t, s, create(t, "b1", "10", "root"))
	hidden, err := store.Last(t.Context(), f.databases[0])
	if err != nil || hidden.Sequence == 0 {
		t.Fatalf("the first member is at %s, %v, and should have the directory", hidden, err)
	}
	if got := tasks(t, s, store.ListQuery{}); len(got) != 1 {
		t.Errorf("tasks %q, want one", got)
	}
	if got := tasks(t, s, store.ListQuery{Business: sharded.Directory}); len(got) > 0 {
		t.Errorf("tasks of the directory %q", got)
	}
	if trs, _ := changes(t, s, store.Position{}); len(trs) != 1 || trs[0].Sequence != results[0].First {
		t.Errorf("%d transitions, want the one of the task", len(trs))
	}
	record, err := f.databases[0].Load(t.Context(), store.ByKey(sharded.Directory, "b1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []store.Ref{store.ByKey(sharded.Directory, "b1"), store.ByNode(record.Tree.ID(0))} {
		if _, err := s.Load(t.Context(), ref); !errors.Is(err, state.ErrNotFound) {
			t.Errorf("load %s: %v, want %v", ref, err, state.ErrNotFound)
		}
		if _, err := s.Locate(t.Context(), ref); !errors.Is(err, state.ErrNotFound) {
			t.Errorf("locate %s: %v, want %v", ref, err, state.ErrNotFound)
		}
	}
	if _, err := s.Commit(t.Context(), []store.Write{create(t, sharded.Directory, "b9", "x")}); !errors.Is(err, state.ErrInvalidArgument) {
		t.Errorf("commit to the directory: %v, want one that matches %q", err, state.ErrInvalidArgument)
	}
}

func TestNodeIDOnTwoMembersIsRefusedUnlessItsTaskIsNamed(t *testing.T) {
	f := newFleet(t, "ab")
	s := f.open()
	commit(t, s, create(t, "a1", "10", "root"))
	if at, err := s.Locate(t.Context(), store.ByNode("root")); err != nil || at.Key.Business != "a1" {
		t.Fatalf("located at %v, %v", at, err)
	}
	commit(t, s, create(t, "b1", "10", "root"))
	if _, err := s.Load(t.Context(), store.ByNode("root")); !errors.Is(err, sharded.ErrAmbiguous) {
		t.Errorf("load by an ID that two nodes have: %v, want %v", err, sharded.ErrAmbiguous)
	}
	for _, business := range []string{"a1", "b1"} {
		if snap, err := s.Load(t.Context(), store.ByKey(business, "10")); err != nil || snap.Tree.Key().Business != business {
			t.Errorf("load by key: %v", err)
		}
	}
}

func TestRendezvousOnlyMovesBusinessesToTheNewMember(t *testing.T) {
	three, four := sharded.Rendezvous("a", "b", "c"), sharded.Rendezvous("a", "b", "c", "d")
	count := make(map[string]int)
	for i := range 4000 {
		business := fmt.Sprint(i)
		before, after := three(business), four(business)
		if after != "d" && after != before {
			t.Fatalf("business %s goes from %s to %s", business, before, after)
		}
		count[after]++
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		if count[name] < 850 || count[name] > 1150 {
			t.Errorf("%d of 4000 businesses go to one of 4 members", count[name])
		}
	}
}
