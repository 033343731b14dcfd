//go:build unix

package pgstore_test

import (
	"testing"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// newEngine returns an engine that the test closes.
func newEngine(t testing.TB, s store.Store) *engine.Engine {
	t.Helper()
	e, err := engine.Open(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// begin makes a task whose root, of the task's ID, is RUNNING.
func begin(t testing.TB, e *engine.Engine, task string) store.Ref {
	t.Helper()
	_, err := e.Record(t.Context(), engine.Create("2", task, engine.ID(task)), engine.Start(task))
	if err != nil {
		t.Fatal(err)
	}
	return store.ByKey("2", task)
}

// enter adds a RUNNING activity to a task.
func enter(t testing.TB, e *engine.Engine, parent, node string) {
	t.Helper()
	if _, err := e.Enter(t.Context(), parent, state.ServiceActivity, engine.ID(node)); err != nil {
		t.Fatal(err)
	}
}

// feed reads all changes after a sequence and checks that they are dense.
func feed(t testing.TB, r store.Reader, after uint64) (all []*state.Transition) {
	t.Helper()
	from, err := store.Last(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	from = from.At(after)
	for {
		page, err := r.Feed(t.Context(), from, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, tr := range page.Transitions {
			if after++; tr.Sequence != after {
				t.Fatalf("the feed has %d instead of %d", tr.Sequence, after)
			}
			all = append(all, tr)
		}
		from = page.After()
		if len(page.Transitions) == 0 {
			if page.Last.Sequence != after {
				t.Fatalf("the feed ends at %d and says %d", after, page.Last.Sequence)
			}
			return all
		}
	}
}

// check lets the store examine itself.
func check(t testing.TB, s store.Checker) {
	t.Helper()
	if err := s.Check(t.Context(), func(problem string) { t.Error(problem) }); err != nil {
		t.Error(err)
	}
}
