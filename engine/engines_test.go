package engine_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/storetest"
)

// Several engines on one store are safe because commits compare revisions.

func TestOperationsApplyToTheStateThatAnotherEngineLeft(t *testing.T) {
	forEachStore(t, func(f *fixture) {
		f.task("10", "root")
		f.activity("root", "a", engine.Start)
		other := f.another()
		if _, err := other.Finish(f.ctx, "a"); err != nil {
			f.Fatal(err)
		}
		// Both depend on "a" RUNNING, which this engine still has in memory.
		if _, err := f.Loop(f.ctx, "a"); err != nil {
			f.Errorf("loop of what another engine finished: %v", err)
		}
		_, err := other.Loop(f.ctx, "a")
		f.expectRefusal(err, state.ErrInvalidTransition)
		if n := f.node("a"); n.Loop != 2 {
			f.Errorf("loop %d, want 2", n.Loop)
		}
	})
}

// A refusal or an idempotent repeat commits nothing that could conflict, so the
// engine checks the tree that it depends on first.
func TestRefusalsAndRepeatsAreCheckedAgainstTheStore(t *testing.T) {
	forEachStore(t, func(f *fixture) {
		f.task("10", "root")
		f.activity("root", "a")
		other := f.another()
		f.node("a")
		other.record(engine.Start("a"))
		if _, err := f.Finish(f.ctx, "a"); err != nil {
			f.Errorf("finish of what another engine started: %v", err)
		}

		other.record(engine.Loop("a"))
		r, err := f.Finish(f.ctx, "a", engine.Idempotent())
		if err != nil || r.Repeated {
			f.Errorf("finish of what another engine looped: %+v, %v", r, err)
		}

		other.record(engine.Finish("root"))
		if err := other.Delete(f.ctx, "2", "10"); err != nil {
			f.Fatal(err)
		}
		_, err = f.Resume(f.ctx, "a")
		f.expectRefusal(err, state.ErrNotFound)
		if _, err := f.Create(f.ctx, "2", "10", engine.ID("root")); err != nil {
			f.Errorf("create of what another engine deleted: %v", err)
		}
	})
}

// An ID that another engine has freed is free, even for an engine that still
// has the deleted task in memory.
func TestIDThatAnotherEngineFreedIsFree(t *testing.T) {
	forEachStore(t, func(f *fixture) {
		f.task("10", "gone")
		f.record(engine.Finish("gone"))
		f.task("11", "root")
		f.node("gone")
		other := f.another()
		if err := other.Delete(f.ctx, "2", "10"); err != nil {
			f.Fatal(err)
		}
		_, err := f.Record(f.ctx, engine.Declare("root", state.EndEvent, engine.ID("gone")), engine.Finish("gone"))
		f.expectRefusal(err, state.ErrInvalidTransition)
		if _, err := f.Declare(f.ctx, "root", state.EndEvent, engine.ID("gone")); err != nil {
			f.Error(err)
		}
	})
}

// Memory may lag behind another engine's commits, but a snapshot's position
// never hides them from a later watch.
func TestSnapshotSequencesNeverSkipCommitsOfAnotherEngine(t *testing.T) {
	forEachStore(t, func(f *fixture) {
		f.task("10", "root")
		f.task("11", "unrelated")
		f.node("root")
		other := f.another()
		other.record(engine.Suspend("root")) // 5
		f.record(engine.Suspend("unrelated"))
		snap, err := f.Load(f.ctx, store.ByNode("root"))
		if err != nil {
			f.Fatal(err)
		}
		if snap.Position.Sequence >= 5 && snap.Tree.Revision() < 5 {
			f.Errorf("revision %d at %s: 5 would be missed", snap.Tree.Revision(), snap.Position)
		}

		// The same holds if reading another task brought a later position.
		other.record(engine.Resume("root"))
		other.record(engine.Create("2", "12", engine.ID("new")))
		if _, err := f.Load(f.ctx, store.ByNode("new")); err != nil {
			f.Fatal(err)
		}
		if snap, err = f.Load(f.ctx, store.ByNode("root")); err != nil {
			f.Fatal(err)
		}
		if snap.Position.Sequence >= 7 && snap.Tree.Revision() < 7 {
			f.Errorf("revision %d at %s: 7 would be missed", snap.Tree.Revision(), snap.Position)
		}
	})
}

// The commits of others are read when a caller asks, not with each commit.
// Otherwise every process of a fleet that only writes would read the commits of
// all.
func TestAnEngineThatOnlyWritesDoesNotReadTheCommitsOfOthers(t *testing.T) {
	reads := 0
	f := onStore(t, &storetest.Wrapper{Store: store.NewMemory(), BeforeRead: func(_ context.Context, method string) error {
		if method == "Feed" {
			reads++
		}
		return nil
	}}, engine.Options{})
	f.task("10", "root")
	f.task("11", "theirs")
	f.node("theirs")
	other := f.another()
	reads = 0
	for range 5 {
		other.record(engine.Suspend("theirs"))
		f.record(engine.Suspend("root"))
		other.record(engine.Resume("theirs"))
		f.record(engine.Resume("root"))
	}
	other.record(engine.Suspend("theirs"))
	f.record(engine.Suspend("root"))
	if reads != 0 {
		t.Errorf("the feed was read %d times while nobody asked for anything", reads)
	}
	before := f.Position()
	if n := f.node("theirs"); n.State != state.Suspended || before.Sequence != 26 {
		t.Errorf("position %s, and what another engine suspended is %s", before, n.State)
	}
	if f.Position(); reads != 1 {
		t.Errorf("the feed was read %d times for the position and a tree, want once", reads)
	}
}

func TestWatchSeesAnotherEnginesCommitsWithTheNextOne(t *testing.T) {
	forEachStore(t, func(f *fixture) {
		f.task("10", "root")
		other := f.another()
		var wg sync.WaitGroup
		wg.Go(func() { f.watched(0, 4) })
		other.record(engine.Suspend("root"))
		f.record(engine.Resume("root"))
		wg.Wait()
	})
}

// Two engines that race for one task lose nothing: each attempt is looped
// exactly as often as was acknowledged.
func TestEnginesThatRaceForATaskLoseNothing(t *testing.T) {
	forEachStore(t, func(f *fixture) {
		f.task("10", "root")
		engines := []*fixture{f, f.another(), f.another()}
		const rounds = 30
		var wg sync.WaitGroup
		accepted := make([]int, len(engines))
		for i, e := range engines {
			wg.Go(func() {
				for range rounds {
					ops := []engine.Op{engine.Declare("root", state.ServiceActivity)}
					for {
						_, err := e.Record(f.ctx, ops...)
						if err == nil {
							accepted[i]++
							break
						}
						if !isConflict(err) {
							t.Errorf("engine %d: %v", i, err)
							return
						}
					}
				}
			})
		}
		wg.Wait()
		f.reopenEngine()
		snap, err := f.Load(f.ctx, store.ByNode("root"))
		if err != nil {
			f.Fatal(err)
		}
		if snap.Tree.Len() != 1+3*rounds || snap.Tree.Revision() != uint64(2+3*rounds) {
			f.Errorf("%d nodes at revision %d after %v accepted", snap.Tree.Len(), snap.Tree.Revision(), accepted)
		}
	})
}

// moved makes an engine with the ended task "11" in memory, which has the root
// "f" and a node "e" with the key "step". Another engine has since deleted that
// task and created the task "10" with the root "f" and a node "d".
func moved(t *testing.T) *fixture {
	s := store.NewMemory()
	f := onStore(t, s, engine.Options{})
	other := f.another()
	step := engine.Key("step")
	f.record(
		engine.Create("2", "11", engine.ID("f")), engine.Start("f"),
		engine.Declare("f", state.ServiceActivity, engine.ID("e"), step), engine.Start("e"), engine.Finish("e"), engine.Finish("f"),
	)
	if err := other.Delete(f.ctx, "2", "11"); err != nil {
		t.Fatal(err)
	}
	other.record(
		engine.Create("2", "10", engine.ID("f")), engine.Start("f"),
		engine.Declare("f", state.ServiceActivity, engine.ID("d")),
	)
	return f
}

// The engine first refuses the operation for the deleted task, and then checks
// whether another task uses the node's ID. The task that has it is the one that
// the operation means.
func TestAnIDIsNotInUseElsewhereIfTheOperationIsAboutThatTask(t *testing.T) {
	f := moved(t)
	r, err := f.Begin(f.ctx, "f", state.ServiceActivity, engine.ID("d"))
	if err != nil || r.Node != "d" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestAttemptsByKeyAreThoseOfTheCurrentTask(t *testing.T) {
	f := moved(t)
	other := f.another()
	ref := store.ByNodeKey("2", "11", "step")
	if _, err := f.Attempts(f.ctx, ref, store.AttemptQuery{}); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("of a task that was deleted: %v", err)
	}
	other.record(
		engine.Create("3", "12", engine.ID("e"), engine.Input([]byte("secret"))),
		engine.Start("e"),
	)
	other.record(
		engine.Create("2", "11", engine.ID("root")), engine.Start("root"),
		engine.Declare("root", state.ServiceActivity, engine.ID("x"), engine.Key("step"), engine.NewVersion(id(500))),
	)
	page, err := f.Attempts(f.ctx, ref, store.AttemptQuery{Data: true})
	if err != nil || len(page) != 1 || page[0].Version.String() != id(500) || page[0].Input != nil {
		t.Errorf("of a task that was made anew: %+v, %v", page, err)
	}
}

// The task was created again, with a new node of the same key. The ID that the
// engine has in memory for that key is no longer in use.
func TestAttemptsByKeyAreFoundAlthoughTheIDInMemoryIsOutdated(t *testing.T) {
	f := moved(t)
	f.another().record(
		engine.Create("2", "11", engine.ID("root")), engine.Start("root"),
		engine.Declare("root", state.ServiceActivity, engine.ID("x"), engine.Key("step"), engine.NewVersion(id(500))),
	)
	page, err := f.Attempts(f.ctx, store.ByNodeKey("2", "11", "step"), store.AttemptQuery{})
	if err != nil || len(page) != 1 || page[0].Version.String() != id(500) {
		t.Errorf("%+v, %v", page, err)
	}
}

// Attempts by ID come from the store. A caller that reads them then asks for
// the task of the node, to check the permission to show them.
func TestANodeIsLocatedInTheTaskThatItsAttemptsAreOf(t *testing.T) {
	f := moved(t)
	f.another().record(engine.Create("3", "12", engine.ID("e"), engine.Input([]byte("secret"))))
	if _, err := f.Load(f.ctx, store.ByNode("e")); err != nil {
		t.Fatal(err)
	}
	page, err := f.Attempts(f.ctx, store.ByNode("e"), store.AttemptQuery{Data: true})
	if err != nil || len(page) != 1 || string(page[0].Input.Bytes()) != "secret" {
		t.Fatalf("%+v, %v", page, err)
	}
	if at, err := f.Locate(f.ctx, store.ByNode("e")); err != nil || at.Key.Business != "3" {
		t.Errorf("%+v, %v", at, err)
	}
}
