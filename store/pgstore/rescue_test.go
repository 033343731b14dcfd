//go:build unix

package pgstore_test

import (
	"context"
	"sync"
	"testing"

	"github.com/pipestatus/pipestatus/store"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store/pgstore"
)

func TestTasksOfADeadProcessAreInterruptedForOneOther(t *testing.T) {
	t.Parallel()
	pool, schema := newPool(t), newSchema()
	o := pgstore.Options{Schema: schema, Lease: hour}
	dead := open(t, pool, o)
	rescuers := []*engine.Engine{newEngine(t, open(t, pool, o)), newEngine(t, open(t, pool, o))}
	begin(t, rescuers[0], "alive") // opened before, and what it runs is its own
	e := newEngine(t, dead)
	tasks := []string{"a", "b", "c", "d", "e", "f"}
	for _, task := range tasks {
		begin(t, e, task)
		enter(t, e, task, task+".n")
	}
	expire(t, pool, schema, dead)

	var wg sync.WaitGroup
	found := make([]map[string]int, len(rescuers))
	for i, r := range rescuers {
		found[i] = make(map[string]int)
		wg.Go(func() {
			for in, err := range r.Interrupted(t.Context()) {
				if err != nil {
					t.Error(err)
					return
				}
				found[i][in.Task.Task] = len(in.Nodes)
				if _, err := r.Fail(t.Context(), in.Task.Task+".n", "interrupted"); err != nil {
					t.Errorf("task %s: %v", in.Task, err)
				}
			}
		})
	}
	wg.Wait()
	for _, task := range tasks {
		if found[0][task]+found[1][task] != 2 {
			t.Errorf("task %s: %d and %d interrupted nodes were found, want 2 by one", task, found[0][task], found[1][task])
		}
	}
	if n := len(found[0]) + len(found[1]); n != len(tasks) {
		t.Errorf("%d tasks were interrupted, want %d", n, len(tasks))
	}
	check(t, dead)
}

func TestWatchFollowsAllProcesses(t *testing.T) {
	t.Parallel()
	pool, schema := newPool(t), newSchema()
	watcher := newEngine(t, open(t, pool, pgstore.Options{Schema: schema, Poll: hour}))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	const processes, nodes = 3, 10
	var wg sync.WaitGroup
	for i := range processes {
		e := newEngine(t, open(t, pool, pgstore.Options{Schema: schema}))
		wg.Go(func() {
			task := string(rune('a' + i))
			if _, err := e.Create(ctx, "2", task, engine.ID(task)); err != nil {
				t.Error(err)
			}
			for range nodes {
				if _, err := e.Declare(ctx, task, state.EndEvent); err != nil {
					t.Error(err)
				}
			}
		})
	}
	after := uint64(0)
	for tr, err := range watcher.Watch(ctx, store.Position{}) {
		if after++; err != nil || tr.Sequence != after {
			t.Fatalf("watch: %v, want %d: %v", tr, after, err)
		}
		if after == processes*(1+nodes) {
			break
		}
	}
	wg.Wait()
}
