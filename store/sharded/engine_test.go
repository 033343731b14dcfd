package sharded_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

func engineOn(t testing.TB, s store.Store) *engine.Engine {
	t.Helper()
	e, err := engine.Open(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// must returns a function that returns the value, or ends the test with the error.
func must[T any](value T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func TestEngineRecordsTasksOfAllMembersAtOnce(t *testing.T) {
	f := newFleet(t, "abc")
	s := f.open()
	e := engineOn(t, s)
	start := e.Position()
	const each = 20
	var wg sync.WaitGroup
	for _, business := range []string{"a1", "b1", "b2", "c1"} {
		for i := range 4 {
			wg.Go(func() {
				task := fmt.Sprint(i)
				root, err := e.Create(t.Context(), business, task)
				if err == nil {
					_, err = e.Start(t.Context(), root.Node)
				}
				for n := 0; n < each && err == nil; n++ {
					var step engine.Result
					if step, err = e.Begin(t.Context(), root.Node, state.ServiceActivity, engine.Key(fmt.Sprint(n))); err == nil {
						_, err = e.Finish(t.Context(), step.Node)
					}
				}
				if err == nil {
					_, err = e.Finish(t.Context(), root.Node)
				}
				if err != nil {
					t.Errorf("business %s: %v", business, err)
				}
			})
		}
	}
	wg.Wait()
	const all = 4 * 4 * (3 + 3*each) // create, start, finish; declare, start, finish
	revisions, n := make(map[state.Key]uint64), 0
	for event, err := range e.Watch(t.Context(), start) {
		if err != nil {
			t.Fatal(err)
		}
		if revisions[event.Task] >= event.Sequence || !event.Position.Has(event.Sequence) {
			t.Fatalf("transition %d of task %s at %s after %d", event.Sequence, event.Task, event.Position, revisions[event.Task])
		}
		revisions[event.Task] = event.Sequence
		if n++; n == all {
			break
		}
	}
	for key, revision := range revisions {
		snap := must(query.New(e, nil).Snapshot(t.Context(), key.Business, key.Task))(t)
		if snap.Tree.State(0) != state.Finished || snap.Tree.Revision() != revision {
			t.Errorf("task %s is %s at %d, want FINISHED at %d", key, snap.Tree.State(0), snap.Tree.Revision(), revision)
		}
	}
	if got := tasks(t, e, store.ListQuery{Shown: []state.State{state.Finished}}); len(got) != 16 {
		t.Errorf("%d tasks are listed as FINISHED, want 16", len(got))
	}
	// Behind the engine's position there may be the places of businesses, which the
	// feed does not show, but no transition of a task.
	if page := must(s.Feed(t.Context(), e.Position(), 1))(t); len(page.Transitions) > 0 {
		t.Errorf("behind the engine's position %s there is %v", e.Position(), page.Transitions)
	}
	sound(t, s)
}

// With two processes, a snapshot never shows a tree from before its position,
// on any member.
func TestEngineShowsChangesOfAnotherOneOnAnyMember(t *testing.T) {
	f := newFleet(t, "ab")
	one, other := engineOn(t, f.open()), engineOn(t, f.open())
	roots := make(map[string]string)
	for _, business := range []string{"a1", "b1"} {
		roots[business] = must(one.Create(t.Context(), business, "10"))(t).Node
	}
	for _, root := range roots {
		must(other.Start(t.Context(), root))(t)
	}
	must(one.Create(t.Context(), "a2", "10"))(t)
	must(one.Create(t.Context(), "b2", "10"))(t)
	for business, root := range roots {
		position := one.Position()
		snap := must(one.Load(t.Context(), store.ByNode(root)))(t)
		last := must(f.database(business).Locate(t.Context(), store.ByNode(root)))(t)
		log := snap.Tree.Revision() - last.Revision // the sequences before the member's
		if log%store.LogSize != 0 || !position.Has(snap.Tree.Revision()) {
			t.Errorf("task of %s is shown at %d, the store has it at %d of its log; the position is %s", business, snap.Tree.Revision(), last.Revision, position)
		}
		if _, err := one.Start(t.Context(), root); !errors.Is(err, state.ErrInvalidTransition) {
			t.Errorf("starting what the other engine has started: %v", err)
		}
	}
}

// Nodes that ran when the engine was opened are interrupted on every member,
// and nodes begun since are not.
func TestEngineListsInterruptedNodesOnAnyMember(t *testing.T) {
	f := newFleet(t, "ab")
	before := engineOn(t, f.open())
	for _, business := range []string{"a1", "b1"} {
		must(before.Start(t.Context(), must(before.Create(t.Context(), business, "old"))(t).Node))(t)
	}
	e := engineOn(t, f.open())
	for _, business := range []string{"a1", "b1", "b2"} {
		must(e.Start(t.Context(), must(e.Create(t.Context(), business, "new"))(t).Node))(t)
	}
	var got []string
	for in, err := range e.Interrupted(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, in.Task.String())
	}
	slices.Sort(got)
	want := []string{state.Key{Business: "a1", Task: "old"}.String(), state.Key{Business: "b1", Task: "old"}.String()}
	if !slices.Equal(got, want) {
		t.Errorf("interrupted are %q, want %q", got, want)
	}
}
