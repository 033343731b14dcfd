package engine_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/storetest"
)

// Refusals by the engine alone, and operations that name their node by task.
// Package state tests the refusals by the rules.
func TestEveryRefusalOfTheEngineNamesTaskNodeStateAndOperation(t *testing.T) {
	ten, unknown := state.Key{Business: "2", Task: "10"}, state.Key{Business: "2", Task: "12"}
	root, key := engine.In("2", "10"), engine.Key("build")
	declare := func(parent string, opts ...engine.Option) engine.Op {
		return engine.Declare(parent, state.ServiceActivity, opts...)
	}
	cases := map[string]struct {
		ops  []engine.Op
		want state.Error
	}{
		"no operation":   {nil, state.Error{Err: state.ErrInvalidArgument}},
		"zero operation": {[]engine.Op{{}}, state.Error{Err: state.ErrInvalidArgument}},
		"a misplaced option": {
			[]engine.Op{engine.Finish("a", engine.NoSkip())},
			state.Error{Op: state.Finish, Task: ten, Node: "a", State: state.Running, Err: state.ErrInvalidArgument},
		},
		"a misplaced option, by key": {
			[]engine.Op{engine.Finish("step", root, engine.NoSkip())},
			state.Error{Op: state.Finish, Task: ten, Node: "keyed", Key: "step", State: state.Created, Err: state.ErrInvalidArgument},
		},
		"a misplaced option, of the root": {
			[]engine.Op{engine.Suspend("", root, engine.NoSkip())},
			state.Error{Op: state.Suspend, Task: ten, Node: "root", State: state.Running, Err: state.ErrInvalidArgument},
		},
		"a misplaced option of a declare": {
			[]engine.Op{declare("paused", engine.ID("x"), engine.IfVersion(id(1)))},
			state.Error{Op: state.Declare, Task: ten, Node: "x", State: state.Suspended, New: true, Err: state.ErrInvalidArgument},
		},
		"a misplaced option on an unknown node": {
			[]engine.Op{engine.Finish("x", engine.NoSkip())},
			state.Error{Op: state.Finish, Node: "x", Err: state.ErrInvalidArgument},
		},
		"a misplaced option in a batch that makes the node": {
			[]engine.Op{declare("root", engine.ID("x")), engine.Finish("x", engine.NoSkip())},
			state.Error{Op: state.Finish, Task: ten, Node: "x", Index: 1, Batch: true, Err: state.ErrInvalidArgument},
		},
		"a malformed ID": {
			[]engine.Op{engine.Finish("\xff")},
			state.Error{Op: state.Finish, Node: "\xff", Err: state.ErrInvalidArgument},
		},
		"a create in the middle": {
			[]engine.Op{engine.Finish("a"), engine.Create("2", "12", engine.ID("x"))},
			state.Error{Op: state.Create, Task: ten, Node: "x", New: true, Index: 1, Batch: true, Err: state.ErrInvalidArgument},
		},
		"an unknown node":   {[]engine.Op{engine.Start("x")}, state.Error{Op: state.Start, Node: "x", Err: state.ErrNotFound}},
		"an unknown parent": {[]engine.Op{declare("x", engine.ID("y"))}, state.Error{Op: state.Declare, Node: "y", New: true, Err: state.ErrNotFound}},
		"an unknown task": {
			[]engine.Op{engine.Report("", state.Running, engine.In("2", "12"))},
			state.Error{Op: state.Report, Task: unknown, Err: state.ErrNotFound},
		},
		"a begin of the root of an unknown task": {
			[]engine.Op{engine.Begin("", state.Pipeline, engine.In("2", "12"))},
			state.Error{Op: state.Begin, Task: unknown, Err: state.ErrNotFound},
		},
		"an unknown key": {
			[]engine.Op{engine.Start("x", root)},
			state.Error{Op: state.Start, Task: ten, Key: "x", Err: state.ErrNotFound},
		},
		"a task in use": {
			[]engine.Op{engine.Create("2", "10")},
			state.Error{Op: state.Create, Task: ten, Node: "root", State: state.Running, Err: state.ErrExists},
		},
		"a root's ID in use": {
			[]engine.Op{engine.Create("2", "12", engine.ID("a"))},
			state.Error{Op: state.Create, Task: unknown, Node: "a", New: true, Err: state.ErrExists},
		},
		"a node's ID in use": {
			[]engine.Op{declare("", root, engine.ID("a"))},
			state.Error{Op: state.Declare, Task: ten, Node: "a", State: state.Running, New: true, Err: state.ErrExists},
		},
		"a node's ID in use elsewhere": {
			[]engine.Op{declare("root", engine.ID("other"), key)},
			state.Error{Op: state.Declare, Task: ten, Node: "other", Key: "build", State: state.Running, New: true, Err: state.ErrExists},
		},
		"a key in use": {
			[]engine.Op{declare("root", engine.Key("step"))},
			state.Error{Op: state.Declare, Task: ten, Key: "step", State: state.Running, New: true, Err: state.ErrExists},
		},
		"a version in use": {
			[]engine.Op{engine.Loop("old", engine.NewVersion(id(77)))},
			state.Error{Op: state.Loop, Task: ten, Node: "old", State: state.Finished, Err: state.ErrExists},
		},
		"two tasks": {
			[]engine.Op{engine.Finish("a"), engine.Suspend("other")},
			state.Error{Op: state.Suspend, Task: ten, Node: "other", Index: 1, Batch: true, Err: state.ErrInvalidArgument},
		},
		"the own state, by key": {
			[]engine.Op{engine.Finish("step", root)},
			state.Error{Op: state.Finish, Task: ten, Node: "keyed", Key: "step", State: state.Created, Err: state.ErrInvalidTransition},
		},
		"the own state of the root": {
			[]engine.Op{engine.Finish("", root)},
			state.Error{Op: state.Finish, Task: ten, Node: "root", State: state.Running, Err: state.ErrInvalidTransition},
		},
		"a begin by key in what was revoked": {
			[]engine.Op{engine.Begin("revoked", state.ServiceActivity, key)},
			state.Error{Op: state.Begin, Task: ten, Key: "build", State: state.Revoked, New: true, Err: state.ErrInvalidTransition},
		},
	}
	forEachStoreReopened(t, func(f *fixture) {
		furnish(f)
		f.record(
			declare("root", engine.ID("keyed"), engine.Key("step")),
			declare("root", engine.ID("old"), engine.NewVersion(id(77))), engine.Start("old"), engine.Finish("old"),
		)
		for what, c := range cases {
			f.pause()
			_, err := f.Record(f.ctx, c.ops...)
			f.expectError(what, err, c.want)
		}
	})
}

// expectError expects a refusal with all its fields, except the text.
func (f *fixture) expectError(what string, err error, want state.Error) {
	f.Helper()
	var refused *state.Error
	if !errors.As(err, &refused) || !errors.Is(err, want.Err) {
		f.Errorf("%s: %T %v, want %v", what, err, err, want.Err)
		return
	}
	got := *refused
	if got.Err = want.Err; got != want {
		f.Errorf("%s: %v: %+v, want %+v", what, err, got, want)
	}
}

func TestARefusedDeleteNamesTheRootAndItsState(t *testing.T) {
	forEachStore(t, func(f *fixture) {
		furnish(f)
		ten := state.Key{Business: "2", Task: "10"}
		f.expectError("bad option", f.Delete(f.ctx, "2", "10", engine.Name("x")),
			state.Error{Op: state.Delete, Task: ten, Node: "root", State: state.Running, Err: state.ErrInvalidArgument})
		f.expectError("unfinished", f.Delete(f.ctx, "2", "10"),
			state.Error{Op: state.Delete, Task: ten, Node: "root", State: state.Running, Err: state.ErrInvalidTransition})
		f.expectError("unknown", f.Delete(f.ctx, "2", "12"),
			state.Error{Op: state.Delete, Task: state.Key{Business: "2", Task: "12"}, Err: state.ErrNotFound})
		f.record(engine.Create("2", "13", engine.ID("fresh")))
		f.expectError("only settled", f.Delete(f.ctx, "2", "13"),
			state.Error{Op: state.Delete, Task: state.Key{Business: "2", Task: "13"}, Node: "fresh", State: state.Created, Err: state.ErrInvalidTransition})
	})
}

// The state is unknown then, because the task has changed since the engine saw
// it.
func TestAConflictThatDoesNotEndNamesTaskNodeAndOperation(t *testing.T) {
	s := &storetest.Wrapper{Store: store.NewMemory()}
	f := onStore(t, s, engine.Options{})
	furnish(f)
	var conflicts atomic.Int64
	s.Refuse = func(*store.Write) error {
		conflicts.Add(1)
		return store.ErrConflict
	}
	ten := state.Key{Business: "2", Task: "10"}
	_, err := f.Record(context.Background(), engine.Finish("a"), engine.Suspend("root"))
	f.expectError("a finish", err, state.Error{Op: state.Finish, Task: ten, Node: "a", Batch: true, Err: store.ErrConflict})
	_, err = f.Suspend(f.ctx, "", engine.In("2", "10"))
	f.expectError("by task", err, state.Error{Op: state.Suspend, Task: ten, Node: "root", Err: store.ErrConflict})
	s.Refuse = nil
	f.record(engine.Revoke("root"), engine.Finish("a"))
	s.Refuse = func(*store.Write) error { return store.ErrConflict }
	f.expectError("a delete", f.Delete(f.ctx, "2", "10"), state.Error{Op: state.Delete, Task: ten, Node: "root", Err: store.ErrConflict})
	if conflicts.Load() < 2 {
		t.Error("the store refused nothing")
	}
	s.Refuse = nil
}

func TestAGivenVersionIsComparedWithEveryAttemptOfTheNode(t *testing.T) {
	forEachStoreReopened(t, func(f *fixture) {
		f.task("10", "root")
		f.activity("root", "a", engine.Start, fails)
		first := f.node("a").Version.String()
		versions := []string{first}
		for n := range 4 {
			f.pause()
			version := id(900 + n)
			f.record(engine.Retry("a", engine.NewVersion(version)), engine.Start("a"), fails("a"))
			versions = append(versions, version)
		}
		for _, version := range versions {
			f.pause()
			f.expectUnchanged(func() {
				for _, op := range []engine.Op{
					engine.Retry("a", engine.NewVersion(version)), engine.Skip("a", engine.NewVersion(version)),
					engine.Reset("a", engine.NewVersion(version)),
				} {
					if _, err := f.Record(f.ctx, op); !errors.Is(err, state.ErrExists) {
						f.Errorf("%s: %v", op, err)
					}
				}
			})
		}
		// Delivered again with the attempt that each was about, the retries are repeats.
		for i, version := range versions[1:] {
			r, err := f.Retry(f.ctx, "a", engine.IfVersion(versions[i]), engine.NewVersion(version), engine.Idempotent())
			if err != nil || !r.Repeated {
				f.Errorf("retry %d again: %+v, %v", i, r, err)
			}
		}
		f.record(engine.Retry("a", engine.NewVersion(id(999))))
	})
}
