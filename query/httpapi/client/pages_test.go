package client_test

import (
	"context"
	"testing"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/storetest"
)

// long gives a task n transitions in addition to its creation.
func long(t *testing.T, e *engine.Engine, transitions int) {
	t.Helper()
	if _, err := e.Create(t.Context(), "2", "long", engine.ID("long")); err != nil {
		t.Fatal(err)
	}
	for n := range transitions {
		change := e.Suspend
		if n%2 == 1 {
			change = e.Resume
		}
		if _, err := change(t.Context(), "long"); err != nil {
			t.Fatal(err)
		}
	}
}

// follow reports whether transitions have the sequences right after one.
func follow(trs []*state.Transition, after uint64) bool {
	for _, tr := range trs {
		if after++; tr.Sequence != after {
			return false
		}
	}
	return true
}

func TestALimitAboveTheServersPageIsReached(t *testing.T) {
	e := recorded(t, store.NewMemory())
	before := e.Position().Sequence
	long(t, e, 2500)
	c := serve(t, e, httpapi.Options{AuthorizeStore: everything}, nil)
	key := state.Key{Business: "2", Task: "long"}
	for limit, want := range map[int]int{0: 1000, 1000: 1000, 1001: 1001, 2400: 2400, 9999: 2501} {
		trs, err := c.Transitions(t.Context(), key, 0, limit)
		if err != nil || len(trs) != want || !follow(trs, before) {
			t.Errorf("limit %d: %d transitions, %v, want %d", limit, len(trs), err, want)
		}
	}
	for limit, want := range map[int]int{0: 1000, 1001: 1001, 9999: 2501 + int(before)} {
		page, err := c.Feed(t.Context(), store.Position{}, limit)
		if err != nil || len(page.Transitions) != want || !follow(page.Transitions, 0) || page.Last != e.Position() || page.First != 1 {
			t.Errorf("limit %d: %d transitions of the feed from %d to %s, %v, want %d", limit, len(page.Transitions), page.First, page.Last, err, want)
		}
	}
}

func TestPagesOfTwoTasksWithOneKeyAreNotMixed(t *testing.T) {
	w := &storetest.Wrapper{Store: store.NewMemory()}
	e := recorded(t, w)
	long(t, e, 1500)
	if _, err := e.Revoke(t.Context(), "long"); err != nil {
		t.Fatal(err)
	}
	c := serve(t, w, httpapi.Options{AuthorizeStore: everything}, nil)
	pages := 0
	w.BeforeRead = func(_ context.Context, method string) error {
		if pages++; method != "Transitions" || pages != 2 {
			return nil
		}
		if _, err := e.Purge(t.Context(), engine.Retention{Shown: []state.State{state.Revoked}}); err != nil {
			return err
		}
		_, err := e.Create(t.Context(), "2", "long", engine.ID("long"))
		return err
	}
	trs, err := c.Transitions(t.Context(), state.Key{Business: "2", Task: "long"}, 0, 5000)
	if err != nil || len(trs) != 1 || trs[0].Op != state.Create {
		t.Errorf("%d transitions, %v, want the creation of the new task", len(trs), err)
	}
}
