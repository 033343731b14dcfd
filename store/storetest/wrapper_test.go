package storetest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/storetest"
)

func TestAnEmptyWrapperKeepsTheContract(t *testing.T) {
	storetest.Run(t, storetest.Factory{New: func(testing.TB) store.Store {
		return &storetest.Wrapper{Store: store.NewMemory()}
	}})
}

func TestAPassiveWrapperKeepsTheContract(t *testing.T) {
	storetest.Run(t, storetest.Factory{New: func(testing.TB) store.Store {
		return &storetest.Wrapper{
			Store:        store.NewMemory(),
			BeforeCommit: func(context.Context, []store.Write) error { return nil },
			Refuse:       func(*store.Write) error { return nil },
			AfterCommit:  func(results []store.Result, err error) ([]store.Result, error) { return results, err },
			BeforeRead:   func(context.Context, string) error { return nil },
		}
	}})
}

// creation is a change that creates a task whose root has the task's ID.
func creation(t testing.TB, task string) store.Write {
	t.Helper()
	key := state.Key{Business: "2", Task: task}
	_, outcomes, err := state.NewTree(key).Apply(state.Limits{}, state.Op{
		Kind: state.Create, Task: key, Node: task, Now: state.UnixInstant(1_700_000_000, 0),
	})
	if err != nil {
		t.Fatal(err)
	}
	return store.Write{Transitions: []*state.Transition{outcomes[0].Transition}}
}

func tasks(t testing.TB, s store.Store) (names []string) {
	t.Helper()
	page, err := s.List(t.Context(), store.ListQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range page.Tasks {
		names = append(names, page.Tasks[i].Key.Task)
	}
	return names
}

func TestWrapperFailsAndHeals(t *testing.T) {
	full := true
	w := &storetest.Wrapper{Store: store.NewMemory(), BeforeCommit: func(_ context.Context, changes []store.Write) error {
		if full && len(changes) == 1 {
			return store.ErrFull
		}
		return nil
	}}
	if _, err := w.Commit(t.Context(), []store.Write{creation(t, "a")}); !errors.Is(err, store.ErrFull) {
		t.Errorf("commit: %v, want ErrFull", err)
	}
	if got := tasks(t, w.Store); len(got) > 0 {
		t.Errorf("tasks %q after a failed commit", got)
	}
	full = false
	if _, err := w.Commit(t.Context(), []store.Write{creation(t, "a")}); err != nil {
		t.Errorf("commit of a healed store: %v", err)
	}
	if got := tasks(t, w); !slices.Equal(got, []string{"a"}) {
		t.Errorf("tasks %q, want a", got)
	}
}

func TestWrapperRefusesSingleChanges(t *testing.T) {
	w := &storetest.Wrapper{Store: store.NewMemory(), Refuse: func(c *store.Write) error {
		if c.Key().Task == "b" {
			return store.ErrConflict
		}
		return nil
	}}
	results, err := w.Commit(t.Context(), []store.Write{creation(t, "a"), creation(t, "b"), creation(t, "c")})
	if err != nil {
		t.Fatal(err)
	}
	history := results[0].History
	want := []store.Result{{First: 1, History: history}, {Err: store.ErrConflict}, {First: 2, History: history}}
	if !slices.Equal(results, want) {
		t.Errorf("results %v, want %v", results, want)
	}
	if got := tasks(t, w); !slices.Equal(got, []string{"c", "a"}) {
		t.Errorf("tasks %q, want c and a", got)
	}
}

func TestWrapperFailsWithOutcomeUnknown(t *testing.T) {
	w := &storetest.Wrapper{Store: store.NewMemory(), AfterCommit: func(_ []store.Result, err error) ([]store.Result, error) {
		return nil, errors.Join(store.ErrFailed, err)
	}}
	if _, err := w.Commit(t.Context(), []store.Write{creation(t, "a")}); !errors.Is(err, store.ErrFailed) {
		t.Errorf("commit: %v, want ErrFailed", err)
	}
	if got := tasks(t, w); !slices.Equal(got, []string{"a"}) {
		t.Errorf("tasks %q, want a: the commit has applied", got)
	}
}

func TestWrapperFailsReadsByName(t *testing.T) {
	w := &storetest.Wrapper{Store: store.NewMemory()}
	if _, err := w.Commit(t.Context(), []store.Write{creation(t, "a")}); err != nil {
		t.Fatal(err)
	}
	w.BeforeRead = func(_ context.Context, method string) error { return fmt.Errorf("no %s", method) }
	ctx, ref := t.Context(), store.ByKey("2", "a")
	errs := make(map[string]error)
	_, errs["Load"] = w.Load(ctx, ref)
	_, errs["Locate"] = w.Locate(ctx, ref)
	_, errs["List"] = w.List(ctx, store.ListQuery{})
	_, errs["Transitions"] = w.Transitions(ctx, ref.Key, 0, 0)
	_, errs["Attempts"] = w.Attempts(ctx, ref, store.AttemptQuery{})
	_, errs["Feed"] = w.Feed(ctx, store.Position{}, 0)
	for method, err := range errs {
		if err == nil || err.Error() != "no "+method {
			t.Errorf("%s: %v", method, err)
		}
	}
}
