package engine_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

// interrupted collects the results of Interrupted: node IDs by task. It fails
// the test on a duplicate task.
func (f *fixture) interrupted() map[string]string {
	f.Helper()
	all := map[string]string{}
	for in, err := range f.Interrupted(f.ctx) {
		if err != nil {
			f.Fatal(err)
		}
		if _, twice := all[in.Task.Task]; twice {
			f.Errorf("task %s came twice", in.Task)
		}
		all[in.Task.Task] = idsOf(in.Nodes)
	}
	return all
}

// No other process will send the retries that the last one announced.
func TestInterruptedFindsPendingRetries(t *testing.T) {
	forEachStore(t, func(f *fixture) {
		later := engine.RetryAt(epoch.Add(time.Hour))
		f.task("10", "root")
		f.activity("root", "a", engine.Start)
		f.activity("root", "b", engine.Start)
		f.record(engine.Fail("a", "busy", later), engine.Fail("b", "broken"))
		f.task("11", "asleep")
		f.activity("asleep", "c", engine.Start)
		f.record(engine.Fail("c", "busy", later), engine.Suspend("asleep"))
		f.task("12", "over")
		f.activity("over", "d", engine.Start)
		f.record(engine.Fail("d", "busy", later), engine.Revoke("over")) // which cancels it
		f.reopen()
		got := map[string]string{}
		for in, err := range f.Interrupted(f.ctx) {
			if err != nil {
				f.Fatal(err)
			}
			got[in.Task.Task] = idsOf(in.Nodes) + "/" + idsOf(in.Retries)
			for _, n := range in.Retries {
				if n.RetryAt != state.InstantOf(epoch.Add(time.Hour)) {
					f.Errorf("node %s is to be retried at %s", n.ID, n.RetryAt)
				}
			}
		}
		if want := map[string]string{"10": "root/a", "11": "/c"}; !maps.Equal(got, want) {
			f.Errorf("%v, want %v", got, want)
		}
		f.record(engine.Retry("a"), engine.Start("a"))
		f.record(engine.Retry("c"))
		for in, err := range f.Interrupted(f.ctx) {
			if err != nil || len(in.Retries) > 0 {
				f.Errorf("after they were sent: %+v, %v", in, err)
			}
		}
	})
}

// The documented recovery works for every kind of interrupted node.
func TestTheRecipeForInterruptedNodesAlwaysWorks(t *testing.T) {
	forEachStore(t, func(f *fixture) {
		f.task("10", "suspended")
		f.activity("suspended", "a", engine.Start)
		f.activity("suspended", "f", engine.Start)
		f.record(engine.Fail("f", "busy", engine.RetryAt(epoch.Add(time.Hour))), engine.Suspend("suspended"))
		f.task("11", "revoked")
		f.activity("revoked", "b", engine.Start)
		f.record(engine.Revoke("revoked"))
		f.task("12", "running")
		f.record(engine.Declare("running", state.ServiceActivity, engine.ID("c"), engine.NoRetry()), engine.Start("c"))
		f.activity("running", "d", engine.Start)
		f.activity("running", "e", engine.Start)
		f.record(engine.Fail("e", "busy", engine.RetryAt(epoch.Add(time.Hour))))
		f.record(engine.Begin("running", state.Subprocess, engine.ID("part")), engine.Begin("part", state.ServiceActivity, engine.ID("g")))
		f.record(engine.Fail("g", "busy", engine.RetryAt(epoch.Add(time.Hour))), engine.Suspend("part"))
		f.reopen()
		if err := recoverInterrupted(f.ctx, f.Engine); err != nil {
			f.Fatal(err)
		}
		f.expectStates(map[string]state.State{
			"a": state.Failed, "b": state.Failed, "c": state.Failed, "d": state.Running, "e": state.Running, "running": state.Running,
			"f": state.Failed, "g": state.Failed,
		})
		for _, id := range []string{"f", "g"} {
			if n := f.node(id); n.Error != "busy" {
				f.Errorf("what was to be retried failed with %q", n.Error)
			}
		}
		for in, err := range f.Interrupted(f.ctx) {
			for _, n := range append(in.Nodes, in.Retries...) {
				if !n.Kind.Container() || err != nil {
					f.Errorf("still left behind: %+v, %v", n, err)
				}
			}
		}
	})
}

func idsOf(nodes []state.Node) string {
	var ids []string
	for _, n := range nodes {
		ids = append(ids, n.ID)
	}
	return strings.Join(ids, " ")
}

func TestInterruptedFindsNodesThatRanBeforeOpen(t *testing.T) {
	forEachStore(t, func(f *fixture) {
		f.task("10", "root")
		f.record(engine.Declare("root", state.Subprocess, engine.ID("sub")), engine.Start("sub"))
		f.activity("sub", "a", engine.Start)
		f.activity("sub", "b", engine.Start)
		f.activity("sub", "c")
		f.activity("root", "done", engine.Start, engine.Finish)
		f.task("11", "idle")
		f.record(engine.Suspend("idle"))
		f.task("12", "over")
		f.record(engine.Finish("over"))
		f.task("13", "killed")
		f.activity("killed", "survivor", engine.Start)
		f.record(engine.Revoke("killed"))
		if got := f.interrupted(); len(got) > 0 {
			f.Errorf("before any interruption: %v", got)
		}
		f.reopen()
		want := map[string]string{"10": "root sub a b", "13": "survivor"}
		check := func(when string) {
			f.Helper()
			if got := f.interrupted(); fmt.Sprint(got) != fmt.Sprint(want) {
				f.Errorf("%s: %v, want %v", when, got, want)
			}
		}
		check("after opening")
		check("again")

		// Nodes that the runner has handled, or has begun since, are not
		// interrupted.
		f.record(engine.Finish("a"), engine.Start("c"), engine.Loop("done"))
		f.record(engine.Fail("b", "interrupted"), engine.Retry("b"), engine.Start("b"))
		f.record(engine.Finish("survivor"))
		f.task("14", "new")
		want = map[string]string{"10": "root sub"}
		check("after the runner has done something")
		f.record(engine.Suspend("root"), engine.Resume("root"))
		want = map[string]string{"10": "sub"}
		check("after the root was suspended and resumed")
	})
}

// The process dies: the file is closed under the engine during a request, and
// nothing is written back.
func TestInterruptedAfterTheStoreWasClosedUnderTheEngine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tasks.db")
	s, err := boltstore.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	f := onStore(t, s, engine.Options{})
	f.task("10", "root")
	f.activity("root", "a", engine.Start)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Finish(f.ctx, "a"); !errors.Is(err, store.ErrClosed) {
		t.Errorf("on a closed store: %v", err)
	}
	if s, err = boltstore.Open(path, nil); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	g := onStore(t, s, engine.Options{})
	if got := g.interrupted(); got["10"] != "root a" {
		t.Errorf("got %v", got)
	}
}

// Each task comes once, over many pages, while the runner handles them in the
// loop and begins others.
func TestInterruptedYieldsEachTaskOnceWhileTheRunnerWorks(t *testing.T) {
	forEachStore(t, func(f *fixture) {
		const n = store.DefaultLimit + 200
		var last *engine.Pending
		for i := range n {
			root := id(1_000_000 + i)
			last = f.Submit(engine.Create("2", root, engine.ID(root)), engine.Start(root))
		}
		if _, err := last.Wait(f.ctx); err != nil {
			f.Fatal(err)
		}
		f.reopen()
		seen := map[string]bool{}
		var wg sync.WaitGroup
		for in, err := range f.Interrupted(f.ctx) {
			if err != nil {
				f.Fatal(err)
			}
			root := in.Nodes[0].ID
			if seen[root] || idsOf(in.Nodes) != root {
				f.Errorf("task %s: nodes %q, seen before: %t", in.Task, idsOf(in.Nodes), seen[root])
			}
			seen[root] = true
			f.Submit(engine.Finish(root))
			if i := len(seen); i%10 == 0 {
				wg.Go(func() {
					other := id(2_000_000 + i)
					f.Submit(engine.Create("2", other, engine.ID(other)), engine.Start(other))
				})
			}
		}
		wg.Wait()
		if len(seen) != n {
			f.Errorf("%d tasks, want %d", len(seen), n)
		}
	})
}

func TestInterruptedSkipsTasksDeletedDuringTheLoop(t *testing.T) {
	forEachStore(t, func(f *fixture) {
		f.task("10", "r1")
		f.task("11", "r2")
		f.reopen()
		var seen []string
		for in, err := range f.Interrupted(f.ctx) {
			if err != nil {
				f.Fatal(err)
			}
			seen = append(seen, in.Task.Task)
			f.record(engine.Finish("r1"))
			if err := f.Delete(f.ctx, "2", "10"); err != nil {
				f.Fatal(err)
			}
		}
		if !slices.Equal(seen, []string{"11"}) {
			f.Errorf("got %v", seen)
		}
	})
}

func TestInterruptedStopsOnBreakAndWithItsContext(t *testing.T) {
	f := onMemory(t, engine.Options{})
	f.task("10", "r1")
	f.task("11", "r2")
	f.reopen()
	for range f.Interrupted(f.ctx) {
		break
	}
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	var last error
	n := 0
	for _, last = range f.Interrupted(ctx) {
		n++
		cancel()
	}
	if n != 2 || !errors.Is(last, context.Canceled) {
		t.Errorf("ended after %d with %v", n, last)
	}
}
