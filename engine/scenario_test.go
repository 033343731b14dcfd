package engine_test

import (
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/engine/internal/model"
	"github.com/pipestatus/pipestatus/engine/internal/scenario"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Every recording of the production engine, on every store, once without
// reopening and once reopened after every step.
func TestEngineReproducesTheRecordings(t *testing.T) {
	for _, s := range scenario.All(t) {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel() // most of the time is waiting for the disk
			shows := func(f *fixture) {
				for i, step := range s.Steps {
					for _, op := range step.Ops {
						_, err := f.Record(f.ctx, recorded(&op.Op))
						if code := model.Code(err); code != op.Refused {
							f.Fatalf("%s node %q: code %q, recorded %q: %v", op.Kind, op.Node, code, op.Refused, err)
						}
					}
					f.pause()
					snap, err := f.Load(f.ctx, store.Ref{Key: s.Task})
					if err != nil {
						f.Fatal(err)
					}
					for _, diff := range step.Compare(snap.Tree) {
						f.Errorf("step %d, %s: %s", i, step.Call, diff)
					}
				}
				attempts := func(id string) []state.Attempt {
					past, err := store.Superseded(f.ctx, f.Engine, store.ByNode(id), 0, 0)
					if err != nil {
						f.Fatal(err)
					}
					return past
				}
				for _, diff := range s.CompareHistory(attempts) {
					f.Error(diff)
				}
			}
			forEachStoreReopened(t, shows)
			t.Run("sharded", func(t *testing.T) { shows(onMembers(t)) })
			t.Run("sharded reopened", func(t *testing.T) {
				f := onMembers(t)
				f.reopens = true
				shows(f)
			})
		})
	}
}

// onMembers is an engine on a store of three memories.
func onMembers(t *testing.T) *fixture {
	s, err := members()()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // after the engine
	return onStore(t, s, engine.Options{})
}

// recorded is an operation of a recording as a call of the engine.
func recorded(op *state.Op) engine.Op {
	at := engine.At(op.At.Time())
	switch op.Kind {
	case state.Create:
		return engine.Create(op.Task.Business, op.Task.Task, engine.ID(op.Node), engine.Name(op.Name), at)
	case state.Declare:
		return engine.Declare(op.Parent, op.NodeKind, engine.ID(op.Node), engine.Name(op.Name),
			engine.NewVersion(op.NewVersion.String()), at)
	case state.Fail:
		opts := []engine.Option{at}
		if op.Ignore {
			opts = append(opts, engine.Ignore())
		}
		if op.RetryAt.IsSet() {
			opts = append(opts, engine.RetryAt(op.RetryAt.Time()))
		}
		return engine.Fail(op.Node, op.Error, opts...)
	case state.Retry:
		return engine.Retry(op.Node, engine.NewVersion(op.NewVersion.String()), at)
	case state.Skip:
		return engine.Skip(op.Node, engine.NewVersion(op.NewVersion.String()), at)
	case state.Loop:
		return engine.Loop(op.Node, engine.NewVersion(op.NewVersion.String()), at)
	}
	return simple[op.Kind](op.Node, at)
}

// simple has the operations that only take a node and general options.
var simple = map[state.OpKind]func(node string, opts ...engine.Option) engine.Op{
	state.Start: engine.Start, state.Finish: engine.Finish, state.Suspend: engine.Suspend,
	state.Resume: engine.Resume, state.Revoke: engine.Revoke,
}

// The recordings have their own times; a clock that is earlier, even by
// decades, makes no difference.
func TestGivenTimesDoNotDependOnTheClock(t *testing.T) {
	s := scenario.All(t)[0]
	f := onMemory(t, engine.Options{Now: func() time.Time { return time.Unix(0, 0) }})
	for _, step := range s.Steps {
		for _, op := range step.Ops {
			f.Record(f.ctx, recorded(&op.Op))
		}
		snap, err := f.Load(f.ctx, store.Ref{Key: s.Task})
		if err != nil {
			t.Fatal(err)
		}
		for _, diff := range step.Compare(snap.Tree) {
			t.Errorf("%s: %s", step.Call, diff)
		}
	}
}
