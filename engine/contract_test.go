package engine_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// A task from creation to end through the method of each operation: the
// answers, and the values of the node.
func TestMethodsRecordTheirOperation(t *testing.T) {
	forEachStoreReopened(t, func(f *fixture) {
		sequence := uint64(0)
		did := func(r engine.Result, err error) engine.Result {
			f.Helper()
			if sequence++; err != nil || r.Sequence != sequence || r.Repeated {
				f.Fatalf("got %+v, %v; want sequence %d", r, err, sequence)
			}
			f.pause()
			if n := f.node(r.Node); n.Version.String() != r.Version {
				f.Errorf("node %q has version %s, the answer says %s", r.Node, n.Version, r.Version)
			}
			return r
		}
		shows := func(id string, want state.State) {
			f.Helper()
			f.expectStates(map[string]state.State{id: want})
		}
		root := did(f.Create(f.ctx, "2", "10")).Node
		if root == "" || f.node(root).Kind != state.Pipeline {
			f.Errorf("the root is %+v", f.node(root))
		}
		did(f.Start(f.ctx, root))
		a := did(f.Declare(f.ctx, root, state.ServiceActivity)).Node
		shows(a, state.Created)
		did(f.Suspend(f.ctx, a))
		shows(a, state.Suspended)
		did(f.Resume(f.ctx, a))
		shows(a, state.Created)
		did(f.Start(f.ctx, a))
		did(f.Fail(f.ctx, a, "exit status 1"))
		if n := f.node(a); n.State != state.Failed || n.Error != "exit status 1" {
			f.Errorf("failed: %+v", n)
		}
		did(f.Retry(f.ctx, a))
		shows(a, state.Created)
		did(f.Start(f.ctx, a))
		did(f.Fail(f.ctx, a, "again"))
		did(f.Skip(f.ctx, a))
		if n := f.node(a); n.State != state.Finished || !n.Skipped || n.Retry() != 2 {
			f.Errorf("skipped: %+v", n)
		}
		did(f.Loop(f.ctx, a))
		if n := f.node(a); n.State != state.Running || n.Loop != 2 || n.Skipped {
			f.Errorf("looped: %+v", n)
		}
		did(f.Finish(f.ctx, a))
		shows(a, state.Finished)

		did(f.Reset(f.ctx, a))
		shows(a, state.Created)
		did(f.Start(f.ctx, a))
		did(f.Finish(f.ctx, a))
		did(f.Label(f.ctx, "2", "10", engine.Labels(map[string]string{"env": "test"})))
		did(f.Finish(f.ctx, root))
		did(f.Reopen(f.ctx, "2", "10"))
		shows(root, state.Running)

		sequence++ // Enter records two operations
		sub := did(f.Enter(f.ctx, root, state.Subprocess)).Node
		shows(sub, state.Running)
		did(f.Revoke(f.ctx, root))
		shows(sub, state.Revoked)

		past, err := store.Superseded(f.ctx, f.Engine, store.ByNode(a), 0, 0)
		if err != nil {
			f.Fatal(err)
		}
		var states []state.State
		for _, p := range past {
			states = append(states, p.State)
		}
		if want := []state.State{state.Failed, state.Failed, state.Finished, state.Finished}; !slices.Equal(states, want) {
			f.Errorf("attempts %v, want %v", states, want)
		}
		trs, err := f.Transitions(f.ctx, state.Key{Business: "2", Task: "10"}, 3, 2)
		if err != nil || len(trs) != 2 || trs[0].Sequence != 4 || trs[1].Sequence != 5 {
			f.Errorf("transitions %v, %v", trs, err)
		}
		page, err := f.List(f.ctx, store.ListQuery{Shown: []state.State{state.Revoked}})
		if err != nil || len(page.Tasks) != 1 || page.Tasks[0].Revision != sequence {
			f.Errorf("list %+v, %v", page, err)
		}
	})
}

func TestOptionsOfNewNodesAreKept(t *testing.T) {
	forEachStoreReopened(t, func(f *fixture) {
		at := time.Date(2018, 4, 26, 16, 8, 34, 5, time.UTC)
		f.record(
			engine.Create("2", "10", engine.ID("root"), engine.Name("nightly"), engine.At(at), engine.Actor("alice")),
			engine.Declare("root", state.ServiceActivity, engine.ID("a"), engine.Name("compile"), engine.NewVersion(id(77)),
				engine.NoRetry(), engine.NoSkip(), engine.MaxLoops(3), engine.At(at.Add(time.Second)), engine.Actor("bob")),
		)
		f.pause()
		if n := f.node("root"); n.Name != "nightly" || n.Version.IsSet() || n.Updated != state.InstantOf(at) {
			f.Errorf("the root is %+v", n)
		}
		n := f.node("a")
		if n.Name != "compile" || n.Version.String() != id(77) || !n.NoRetry || !n.NoSkip || n.MaxLoops != 3 ||
			n.Parent != "root" || n.Kind != state.ServiceActivity || n.Updated != state.InstantOf(at.Add(time.Second)) {
			f.Errorf("the activity is %+v", n)
		}
		for i, tr := range f.watched(0, 2) {
			if want := []string{"alice", "bob"}[i]; tr.Actor != want || tr.At != state.InstantOf(at.Add(time.Duration(i)*time.Second)) {
				f.Errorf("transition %d is by %q at %s", tr.Sequence, tr.Actor, tr.At)
			}
			if tr.Recorded != state.InstantOf(epoch) {
				f.Errorf("transition %d was recorded at %s, want the clock's %s", tr.Sequence, tr.Recorded, epoch)
			}
		}
	})
}

// Enter applies its options to the declaration, and time, actor and idempotence
// also to the start.
func TestEnterDeclaresAndStarts(t *testing.T) {
	forEachStoreReopened(t, func(f *fixture) {
		f.task("10", "root")
		at := epoch.Add(time.Hour)
		opts := []engine.Option{
			engine.ID("a"), engine.Name("compile"), engine.NewVersion(id(77)), engine.At(at), engine.Actor("alice"), engine.Idempotent(),
		}
		r, err := f.Enter(f.ctx, "root", state.ServiceActivity, opts...)
		if want := (engine.Result{Sequence: 4, Node: "a", Version: id(77)}); err != nil || !reflect.DeepEqual(r, want) {
			f.Fatalf("got %+v, %v; want %+v", r, err, want)
		}
		f.pause()
		for _, tr := range f.watched(2, 4) {
			if tr.Actor != "alice" || tr.At != state.InstantOf(at) || tr.Node() != "a" {
				f.Errorf("%+v", tr)
			}
		}
		defer func() { // in any state of the node
			for _, op := range []engine.Op{engine.Finish("a"), engine.Loop("a"), engine.Suspend("a")} {
				f.record(op)
				f.pause()
				f.expectUnchanged(func() {
					if r, err := f.Enter(f.ctx, "root", state.ServiceActivity, opts...); err != nil || !r.Repeated || r.Node != "a" {
						f.Errorf("again after %s: %+v, %v", op, r, err)
					}
				})
			}
		}()
		f.expectUnchanged(func() {
			r, err = f.Enter(f.ctx, "root", state.ServiceActivity, opts...)
			if want := (engine.Result{Sequence: 4, Node: "a", Version: id(77), Repeated: true}); err != nil || !reflect.DeepEqual(r, want) {
				f.Errorf("again: got %+v, %v; want %+v", r, err, want)
			}
			_, err = f.Enter(f.ctx, "root", state.ServiceActivity, engine.IfVersion(id(1)))
			f.expectRefusal(err, state.ErrInvalidArgument)
			_, err = f.Enter(f.ctx, "a", state.ServiceActivity)
			f.expectRefusal(err, state.ErrInvalidArgument)
		})
	})
}

func TestEnterByKeyAloneKnowsItsRepeat(t *testing.T) {
	forEachStoreReopened(t, func(f *fixture) {
		f.task("10", "root")
		enter := map[string]func() (engine.Result, error){
			"parent by ID": func() (engine.Result, error) {
				return f.Enter(f.ctx, "root", state.ServiceActivity, engine.Key("a"), engine.NewVersion(id(77)), engine.Idempotent())
			},
			"parent by key": func() (engine.Result, error) {
				return f.Enter(f.ctx, "", state.ServiceActivity, engine.In("2", "10"), engine.Key("a"), engine.NewVersion(id(77)), engine.Idempotent())
			},
		}
		first, err := enter["parent by ID"]()
		if err != nil || first.Repeated {
			f.Fatalf("%+v, %v", first, err)
		}
		for _, op := range []engine.Op{engine.Suspend(first.Node), engine.Finish(first.Node), engine.Loop(first.Node)} {
			f.record(op)
			f.pause()
			for what, again := range enter {
				f.expectUnchanged(func() {
					if r, err := again(); err != nil || !r.Repeated || r.Node != first.Node {
						f.Errorf("%s, again after %s: %+v, %v", what, op, r, err)
					}
				})
			}
		}
	})
}

func TestABatchIsAtomic(t *testing.T) {
	forEachStoreReopened(t, func(f *fixture) {
		results := f.record(
			engine.Create("2", "10", engine.ID("root")), engine.Start("root"),
			engine.Declare("root", state.Subprocess, engine.ID("sub")), engine.Start("sub"),
			engine.Declare("sub", state.ServiceActivity, engine.ID("a")), engine.Start("a"),
		)
		for i, r := range results {
			if r.Sequence != uint64(i+1) {
				f.Errorf("operation %d has sequence %d", i, r.Sequence)
			}
		}
		f.pause()
		f.expectUnchanged(func() {
			_, err := f.Record(f.ctx, engine.Finish("a"), engine.Finish("sub"), engine.Finish("root"), engine.Start("a"))
			if refused := f.expectRefusal(err, state.ErrInvalidTransition); refused.Index != 3 || refused.Node != "a" {
				f.Errorf("refused %+v", refused)
			}
		})
		// Each operation sees the ones before it; in another order they would
		// be refused.
		f.record(engine.Finish("a"), engine.Finish("sub"), engine.Finish("root"))
		f.pause()
		f.expectStates(map[string]state.State{"root": state.Finished, "sub": state.Finished, "a": state.Finished})
	})
}

func TestSubmittedRequestsBuildOnEachOther(t *testing.T) {
	forEachStore(t, func(f *fixture) {
		pending := []*engine.Pending{
			f.Submit(engine.Create("2", "10", engine.ID("root"))),
			f.Submit(engine.Start("root")),
			f.Submit(engine.Finish("nowhere")),
			f.Submit(engine.Declare("root", state.ServiceActivity, engine.ID("a")), engine.Start("a")),
			f.Submit(engine.Finish("a")),
		}
		for i, p := range pending {
			<-p.Done()
			for range 2 { // Wait may be called again
				results, err := p.Wait(f.ctx)
				if i == 2 {
					f.expectRefusal(err, state.ErrNotFound)
				} else if err != nil || len(results) == 0 {
					f.Errorf("request %d: %+v, %v", i, results, err)
				}
			}
		}
		f.expectStates(map[string]state.State{"root": state.Running, "a": state.Finished})
	})
}

func TestAStaleVersionIsRefused(t *testing.T) {
	forEachStoreReopened(t, func(f *fixture) {
		f.task("10", "root")
		f.record(engine.Declare("root", state.ServiceActivity, engine.ID("a"), engine.NewVersion(id(70))), engine.Start("a"))
		f.record(engine.Fail("a", "no", engine.IfVersion(id(70))))
		f.record(engine.Retry("a", engine.IfVersion(id(70)), engine.NewVersion(id(71))), engine.Start("a"))
		f.pause()
		f.expectUnchanged(func() {
			_, err := f.Finish(f.ctx, "a", engine.IfVersion(id(70)))
			f.expectRefusal(err, state.ErrVersionMismatch)
			_, err = f.Finish(f.ctx, "a", engine.IfVersion(id(70)), engine.Idempotent())
			f.expectRefusal(err, state.ErrVersionMismatch)
			if r, err := f.Fail(f.ctx, "a", "late", engine.IfVersion(id(70)), engine.Idempotent()); err != nil || !r.Repeated {
				f.Errorf("a failure that was reported before: %+v, %v", r, err)
			}
		})
		f.record(engine.Finish("a", engine.IfVersion(id(71))))
	})
}

// A repeat of every operation succeeds without a transition and answers the
// task's revision; without the option it is refused.
func TestIdempotentRepeatsMakeNoTransition(t *testing.T) {
	forEachStoreReopened(t, func(f *fixture) {
		f.task("11", "other") // so that revisions and sequences differ
		again := func(op func(opts ...engine.Option) engine.Op, opts ...engine.Option) {
			f.Helper()
			opts = append(opts, engine.Idempotent())
			first := f.record(op(opts...))[0]
			f.record(engine.Suspend("other"), engine.Resume("other"))
			f.pause()
			f.expectUnchanged(func() {
				want := first
				want.Repeated = true
				if got := f.record(op(opts...))[0]; !reflect.DeepEqual(got, want) {
					f.Errorf("got %+v, want %+v", got, want)
				}
			})
		}
		on := func(op func(string, ...engine.Option) engine.Op, node string) func(...engine.Option) engine.Op {
			return func(opts ...engine.Option) engine.Op { return op(node, opts...) }
		}
		again(func(opts ...engine.Option) engine.Op { return engine.Create("2", "10", opts...) }, engine.ID("root"))
		again(on(engine.Start, "root"))
		again(func(opts ...engine.Option) engine.Op {
			return engine.Declare("root", state.ServiceActivity, opts...)
		}, engine.ID("a"), engine.NewVersion(id(70)))
		again(on(engine.Suspend, "a"), engine.IfVersion(id(70)))
		again(on(engine.Resume, "a"), engine.IfVersion(id(70)))
		again(on(engine.Start, "a"), engine.IfVersion(id(70)))
		again(on(fails, "a"), engine.IfVersion(id(70)))
		again(on(engine.Retry, "a"), engine.IfVersion(id(70)), engine.NewVersion(id(71)))
		f.record(engine.Start("a"), fails("a"))
		again(on(engine.Skip, "a"), engine.IfVersion(id(71)), engine.NewVersion(id(72)))
		again(on(engine.Loop, "a"), engine.IfVersion(id(72)), engine.NewVersion(id(73)))
		again(on(engine.Finish, "a"))
		f.record(engine.Loop("a"))
		again(on(fails, "a"), engine.Ignore())
		again(on(engine.Revoke, "root"))
	})
}

// Times are the later of the one given, or else the clock's, and the node's
// last transition.
func TestTimesOfANodeNeverGoBack(t *testing.T) {
	forEachStoreReopened(t, func(f *fixture) {
		at := func(hour int) engine.Option { return engine.At(epoch.Add(time.Duration(hour) * time.Hour)) }
		f.record(engine.Create("2", "10", engine.ID("root"), at(0)), engine.Start("root", at(0)))
		f.activity("root", "a")
		f.record(engine.Start("a", at(5)))
		f.pause()
		f.record(engine.Finish("a", at(3)))
		f.record(engine.Loop("a")) // the clock is far behind
		if n := f.node("a"); n.Started != state.InstantOf(epoch.Add(5*time.Hour)) {
			f.Errorf("looped at %s", n.Started)
		}
		f.record(engine.Finish("a", at(7)))
		if n := f.node("a"); n.Finished != state.InstantOf(epoch.Add(7*time.Hour)) {
			f.Errorf("finished at %s", n.Finished)
		}
	})
}

// The zero time counts as a time.
func TestEveryTimeCanBeGiven(t *testing.T) {
	for _, at := range []time.Time{{}, time.Unix(0, 0), time.Unix(-1, 999_999_999), time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)} {
		forEachStoreReopened(t, func(f *fixture) {
			f.record(engine.Create("2", "10", engine.ID("root"), engine.At(at)), engine.Start("root", engine.At(at)))
			f.pause()
			if n := f.node("root"); n.Started != state.InstantOf(at) {
				f.Errorf("started at %s, want %s", n.Started, at)
			}
		})
	}
}

func TestIgnoredAndPendingFailures(t *testing.T) {
	forEachStoreReopened(t, func(f *fixture) {
		f.task("10", "root")
		f.activity("root", "a", engine.Start)
		f.activity("root", "b", engine.Start)
		if _, err := f.Fail(f.ctx, "a", "no matter", engine.Ignore()); err != nil {
			f.Fatal(err)
		}
		again := epoch.Add(time.Hour)
		if _, err := f.Fail(f.ctx, "b", "later", engine.RetryAt(again)); err != nil {
			f.Fatal(err)
		}
		f.pause()
		if n := f.node("a"); n.State != state.Finished || !n.ErrorIgnored || n.Error != "no matter" {
			f.Errorf("ignored: %+v", n)
		}
		if n := f.node("b"); n.State != state.Failed || n.RetryAt != state.InstantOf(again) {
			f.Errorf("pending: %+v", n)
		}
		shown := func() state.State {
			snap, err := f.Load(f.ctx, store.ByNode("root"))
			if err != nil {
				f.Fatal(err)
			}
			return snap.Tree.Shown(0)
		}
		if got := shown(); got != state.Running {
			f.Errorf("shows %s while a retry is pending", got)
		}
		f.record(engine.Retry("b"), engine.Start("b"), fails("b"))
		f.pause()
		if got := shown(); got != state.Failed {
			f.Errorf("shows %s after the retry failed", got)
		}
	})
}

func TestOperationsCanBeUsedAgain(t *testing.T) {
	f := onMemory(t, engine.Options{})
	f.task("10", "root")
	declare := engine.Declare("root", state.EndEvent)
	first, second := f.record(declare)[0], f.record(declare)[0]
	if first.Node == second.Node || first.Version == second.Version {
		t.Errorf("got %+v, then %+v", first, second)
	}
}
