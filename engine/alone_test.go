package engine_test

import (
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// account has the tasks of a store and their transitions.
type account struct {
	Tasks []store.Task
	Nodes [][]state.Node
	Feed  store.FeedPage
}

func (f *fixture) everything() (all account) {
	f.Helper()
	page, err := f.List(f.ctx, store.ListQuery{})
	if err != nil {
		f.Fatal(err)
	}
	if all.Feed, err = f.Feed(f.ctx, store.Position{}, 0); err != nil {
		f.Fatal(err)
	}
	all.Tasks = page.Tasks
	for i := range page.Tasks {
		snap, err := f.Load(f.ctx, store.ByKey(page.Tasks[i].Key.Business, page.Tasks[i].Key.Task))
		if err != nil {
			f.Fatal(err)
		}
		nodes := make([]state.Node, snap.Tree.Len())
		for n := range nodes {
			nodes[n] = snap.Tree.Node(n)
		}
		all.Nodes = append(all.Nodes, nodes)
	}
	return all
}

var exported = cmp.Exporter(func(reflect.Type) bool { return true })

// inFlight records nodes in every state that an engine could be tempted to end
// by itself.
func (f *fixture) inFlight() {
	f.Helper()
	f.task("10", "root")
	f.activity("root", "running", engine.Start)
	f.activity("root", "created")
	f.activity("root", "paused", engine.Start, engine.Suspend)
	f.activity("root", "failed", engine.Start)
	f.record(engine.Fail("failed", "x"))
	f.activity("root", "pending", engine.Start)
	f.record(engine.Fail("pending", "x", engine.RetryAt(f.opts.Now().Add(time.Minute))))
	f.task("11", "revoked")
	f.activity("revoked", "survivor", engine.Start)
	f.record(engine.Revoke("revoked"))
}

func TestRecoveryChangesNoState(t *testing.T) {
	forEachStore(t, func(f *fixture) {
		f.inFlight()
		before := f.everything()
		for range 3 {
			f.reopen()
			if got := f.interrupted(); len(got) != 2 {
				f.Errorf("interrupted: %v", got)
			}
			if diff := cmp.Diff(before, f.everything(), exported); diff != "" {
				f.Fatalf("after recovery (-before +after):\n%s", diff)
			}
		}
	})
}

func TestTheEngineNeverActsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := onMemory(t, engine.Options{Now: time.Now})
		f.inFlight()
		before := f.everything()
		for _, wait := range []time.Duration{time.Minute, 24 * time.Hour, 10 * 365 * 24 * time.Hour} {
			time.Sleep(wait) // past the time of the retry; takes no real time
			synctest.Wait()
			if diff := cmp.Diff(before, f.everything(), exported); diff != "" {
				t.Fatalf("after %v (-before +after):\n%s", wait, diff)
			}
		}
		f.record(engine.Retry("pending")) // the runner's to send
	})
}
