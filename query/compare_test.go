package query_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

func TestRunsAreComparedByNodeKeyOrPath(t *testing.T) {
	e := openEngine(t, store.NewMemory(), &engine.Options{Now: clock()})
	run := func(task string, names ...string) *state.Tree {
		record(t, e, engine.Create("2", task, engine.ID(task)))
		record(t, e, engine.Declare(task, state.Subprocess, engine.ID(task+"/sub"), engine.Name("sub")))
		for i, name := range names {
			parent := task
			if i%2 == 1 {
				parent = task + "/sub"
			}
			record(t, e, engine.Declare(parent, state.ServiceActivity, engine.Name(name)))
		}
		snap, err := query.New(e, nil).Snapshot(t.Context(), "2", task)
		if err != nil {
			t.Fatal(err)
		}
		return snap.Tree
	}
	a := run("a", "fetch", "compile", "fetch", "old")
	b := run("b", "fetch", "test", "new", "compile", "fetch")
	want := []query.Pair{{A: 0, B: 0}, {A: 1, B: 1}, {A: -1, B: 3}, {A: 3, B: 5}, {A: 2, B: 2}, {A: -1, B: 4}, {A: 4, B: 6}, {A: 5, B: -1}}
	if diff := cmp.Diff(want, query.Compare(a, b)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
