package engine_test

import (
	"testing"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// The order of checks where only the whole store knows: an operation may name a
// node of another task, and memory may be wrong about a task. The order must
// not depend on memory, so each case also runs on an engine with no trees in
// memory.
func TestChecksByTheStoreAreMadeInOrder(t *testing.T) {
	declare := func(parent, node string, opts ...engine.Option) engine.Op {
		return engine.Declare(parent, state.ServiceActivity, append(opts, engine.ID(node))...)
	}
	for name, tc := range map[string]struct {
		ops   []engine.Op
		want  error
		index int
	}{
		"shape before unknown node": {
			[]engine.Op{engine.Start("nowhere"), engine.Start("")}, state.ErrInvalidArgument, 1,
		},
		"unknown parent before ID in use": {
			[]engine.Op{declare("nowhere", "b")}, state.ErrNotFound, 0,
		},
		"ID in use elsewhere before kind of the parent": {
			[]engine.Op{declare("a", "b")}, state.ErrExists, 0,
		},
		"ID in use elsewhere before state of the parent": {
			[]engine.Op{declare("ended", "b")}, state.ErrExists, 0,
		},
		"ID in use elsewhere, though a later operation of the batch is refused": {
			[]engine.Op{declare("root", "b"), engine.Finish("a"), engine.Finish("a")}, state.ErrExists, 0,
		},
		"ID in use elsewhere before an unknown node later in the batch": {
			[]engine.Op{declare("root", "b"), engine.Start("nowhere")}, state.ErrExists, 0,
		},
		"an earlier refusal before an ID in use elsewhere": {
			[]engine.Op{engine.Resume("a"), declare("root", "b")}, state.ErrInvalidTransition, 0,
		},
		"two tasks in a batch": {
			[]engine.Op{engine.Finish("a"), engine.Start("b")}, state.ErrInvalidArgument, 1,
		},
		"a parent in another task": {
			[]engine.Op{engine.Finish("a"), declare("other", "new")}, state.ErrInvalidArgument, 1,
		},
		"a second task with the same key": {
			[]engine.Op{engine.Create("2", "10")}, state.ErrExists, 0,
		},
		"a second task with the same key before an unknown node": {
			[]engine.Op{engine.Create("2", "10"), engine.Start("nowhere")}, state.ErrExists, 0,
		},
		"a second task with the same key before a node in another task": {
			[]engine.Op{engine.Create("2", "10"), engine.Start("b")}, state.ErrExists, 0,
		},
		"a new task whose root's ID is in use": {
			[]engine.Op{engine.Create("2", "new", engine.ID("b"))}, state.ErrExists, 0,
		},
		"a new task whose root's ID is in use before an unknown node": {
			[]engine.Op{engine.Create("2", "new", engine.ID("b")), engine.Start("nowhere")}, state.ErrExists, 0,
		},
		"a new task and a node of another": {
			[]engine.Op{engine.Create("2", "new"), engine.Start("b")}, state.ErrInvalidArgument, 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			forEachStoreReopened(t, func(f *fixture) {
				f.task("10", "root")
				f.activity("root", "a", engine.Start)
				f.record(engine.Declare("root", state.Subprocess, engine.ID("ended")), engine.Start("ended"), engine.Finish("ended"))
				f.task("11", "other")
				f.activity("other", "b")
				f.pause()
				f.expectUnchanged(func() {
					_, err := f.Record(f.ctx, tc.ops...)
					refused := f.expectRefusal(err, tc.want)
					if refused.Index != tc.index {
						f.Errorf("operation %d was refused, want %d: %v", refused.Index, tc.index, err)
					}
				})
			})
		})
	}
}

// A batch that creates a task idempotently sees the existing task, even when it
// is not in memory: the later operations are neither refused, nor considered
// repeats, because of the new task that it would have been.
func TestABatchWithARepeatedCreateSeesTheExistingTask(t *testing.T) {
	forEachStoreReopened(t, func(f *fixture) {
		begin := []engine.Op{
			engine.Create("2", "10", engine.ID("root"), engine.Idempotent()),
			engine.Declare("root", state.ServiceActivity, engine.ID("a"), engine.Idempotent()),
		}
		f.record(append(begin, engine.Start("root"), engine.Start("a"))...)
		f.pause()
		results := f.record(append(begin, engine.Finish("a"))...)
		if !results[0].Repeated || !results[1].Repeated || results[2].Repeated || results[2].Sequence != 5 {
			f.Errorf("got %+v", results)
		}
	})
}

// A node ID that was declared in one task is refused in another, even if both
// requests are in the same commit; the other operations of that task are not
// affected.
func TestSameIDInTwoTasksOfOneCommit(t *testing.T) {
	forEachStoreReopened(t, func(f *fixture) {
		f.task("10", "r1")
		f.task("11", "r2")
		f.activity("r2", "b")
		f.pause()
		first := f.Submit(engine.Declare("r1", state.ServiceActivity, engine.ID("x")))
		second := f.Submit(engine.Declare("r2", state.ServiceActivity, engine.ID("x")))
		third := f.Submit(engine.Start("b"))
		fourth := f.Submit(engine.Start("x"))
		if _, err := first.Wait(f.ctx); err != nil {
			f.Error(err)
		}
		_, err := second.Wait(f.ctx)
		f.expectRefusal(err, state.ErrExists)
		for _, p := range []*engine.Pending{third, fourth} {
			if _, err := p.Wait(f.ctx); err != nil {
				f.Error(err)
			}
		}
		if at, err := f.Locate(f.ctx, store.ByNode("x")); err != nil || at.Key.Task != "10" {
			f.Errorf("node x is in %s, %v", at.Key, err)
		}
		f.expectStates(map[string]state.State{"x": state.Running, "b": state.Running})
	})
}
