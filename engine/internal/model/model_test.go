package model_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/engine/internal/model"
	"github.com/pipestatus/pipestatus/state"
)

var keys = []state.Key{{Business: "2", Task: "10"}, {Business: "2", Task: "11"}}

// Rules about several tasks, which a test with a single tree cannot check.
func TestTheModelHandlesSeveralTasks(t *testing.T) {
	now := state.UnixInstant(1, 0)
	create := func(key state.Key, id string) state.Op {
		return state.Op{Kind: state.Create, Task: key, Node: id, NodeGiven: true, Now: now}
	}
	declare := func(parent, id string) state.Op {
		return state.Op{
			Kind: state.Declare, Parent: parent, Node: id, NodeGiven: true,
			NodeKind: state.ServiceActivity, NewVersion: state.VersionOf([16]byte{1}), Now: now,
		}
	}
	on := func(kind state.OpKind, id string) state.Op { return state.Op{Kind: kind, Node: id, Now: now} }

	m := model.New(state.Limits{}, nil)
	steps := []struct {
		name  string
		ops   []state.Op
		code  string
		index int
		last  uint64 // sequence after it
	}{
		{"a batch may create", []state.Op{create(keys[0], "a"), on(state.Start, "a")}, "", 0, 2},
		{"a key is used once", []state.Op{create(keys[0], "b")}, model.Exists, 0, 2},
		{"an ID is used once in a store, for roots", []state.Op{create(keys[1], "a")}, model.Exists, 0, 2},
		{"another task", []state.Op{create(keys[1], "b")}, "", 0, 3},
		{"an ID is used once in a store, for nodes", []state.Op{declare("b", "a")}, model.Exists, 0, 3},
		{"a batch is not empty", nil, model.InvalidArgument, 0, 3},
		{"a batch creates first if at all", []state.Op{on(state.Start, "b"), create(keys[1], "b")}, model.InvalidArgument, 1, 3},
		{"a batch is for one task", []state.Op{on(state.Start, "b"), on(state.Suspend, "a")}, model.InvalidArgument, 1, 3},
		{"also where it declares", []state.Op{on(state.Start, "b"), declare("a", "c")}, model.InvalidArgument, 1, 3},
		{"the shape of all comes first", []state.Op{on(state.Start, "x"), on(state.Loop, "b")}, model.InvalidArgument, 1, 3},
		{"all or none", []state.Op{on(state.Start, "b"), declare("b", "c"), on(state.Finish, "c")}, model.InvalidTransition, 2, 3},
		{"a batch takes as many sequences as it has operations", []state.Op{on(state.Start, "b"), declare("b", "c")}, "", 0, 5},
	}
	for _, step := range steps {
		var code string
		var index int
		if _, refused := m.Do(step.ops...); refused != nil {
			code, index = refused.Code, refused.Index
		}
		if code != step.code || index != step.index || m.Last("2") != step.last {
			t.Errorf("%s: code %q at %d, sequence %d; want %q at %d, %d",
				step.name, code, index, m.Last("2"), step.code, step.index, step.last)
		}
	}
	if diff := cmp.Diff(keys, m.Keys()); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	if !m.Delete(keys[0], now, "") || m.Delete(keys[0], now, "") {
		t.Error("a task can be deleted once")
	}
	if _, refused := m.Do(create(keys[0], "a")); refused != nil || m.Last("2") != 7 {
		t.Errorf("a deleted task's key and IDs are free again, and the delete took a sequence: %+v, sequence %d", refused, m.Last("2"))
	}
	if got := len(m.Log()); got != 7 {
		t.Errorf("%d entries in the log", got)
	}
}
