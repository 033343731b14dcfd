package state_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/pipestatus/pipestatus/state"
)

func TestABatchSeesItsOwnOperations(t *testing.T) {
	tree, outcomes, err := state.NewTree(key).Apply(state.Limits{},
		create("root"), on(state.Start, "root"),
		declare("root", "s", asSubprocess), on(state.Start, "s"),
		declare("s", "a"), on(state.Start, "a"), on(state.Finish, "a"),
		on(state.Finish, "s"), on(state.Finish, "root"))
	if err != nil {
		t.Fatal(err)
	}
	if tree.Shown(0) != state.Finished || tree.Len() != 3 {
		t.Errorf("%d nodes, %s", tree.Len(), tree.Shown(0))
	}
	var shown []state.State
	for _, o := range outcomes {
		shown = append(shown, o.Transition.Shown)
	}
	const want = "[CREATED RUNNING RUNNING RUNNING RUNNING RUNNING RUNNING RUNNING FINISHED]"
	if got := fmt.Sprint(shown); got != want {
		t.Errorf("shown after each: %s, want %s", got, want)
	}
	if tree.Revision() != 0 {
		t.Errorf("revision %d: Apply leaves it alone", tree.Revision())
	}
}

func TestABatchIsAllOrNothing(t *testing.T) {
	before := treeOf(t, pipeline(state.Running, act("a", state.Created), act("b", state.Created)))
	was := contents(before)
	for bad := range 4 {
		ops := []state.Op{on(state.Start, "a"), declare("root", "c"), on(state.Start, "c"), on(state.Suspend, "b")}
		ops[bad] = on(state.Finish, "b") // it has not started
		after, outcomes, err := before.Apply(state.Limits{}, ops...)
		refusedWith(t, err, state.ErrInvalidTransition)
		if r := refusal(t, err); r.Index != bad || r.Op != state.Finish || r.Node != "b" || r.State != state.Created || r.Task != key {
			t.Errorf("blamed: %+v, want operation %d", r, bad)
		}
		if after != nil || outcomes != nil {
			t.Error("a refused batch has an outcome")
		}
	}
	for i, c := range contents(before) {
		if c != was[i] {
			t.Errorf("node %q changed", c.Node.ID)
		}
	}
	if _, found := before.Find("c"); found {
		t.Error("a node of a refused batch is found")
	}
}

func TestARepeatInABatchLeavesTheOthers(t *testing.T) {
	before := treeOf(t, pipeline(state.Running, act("a", state.Running)))
	after, outcomes, err := before.Apply(state.Limits{},
		create("root", idempotent), on(state.Start, "a", idempotent), on(state.Finish, "a"), on(state.Finish, "a", idempotent))
	if err != nil {
		t.Fatal(err)
	}
	for i, repeat := range []bool{true, true, false, true} {
		if (outcomes[i].Transition == nil) != repeat {
			t.Errorf("operation %d recognized as a repeat: %t", i, !repeat)
		}
	}
	if got := node(t, after, "a").State; got != state.Finished {
		t.Errorf("a is %s", got)
	}
}

func TestAnEmptyListOfOperationsChangesNothing(t *testing.T) {
	before := treeOf(t, pipeline(state.Running))
	after, outcomes, err := before.Apply(state.Limits{})
	if err != nil || len(outcomes) != 0 {
		t.Fatal(outcomes, err)
	}
	sameTree(t, "after nothing", after, before)
}

func TestAnOperationIsNotChanged(t *testing.T) {
	ops := []state.Op{on(state.Fail, "a", given(at(1)), func(op *state.Op) { op.Error = "\xff" })}
	was := ops[0]
	apply(t, treeOf(t, pipeline(state.Running, act("a", state.Running))), ops...)
	if !reflect.DeepEqual(ops[0], was) {
		t.Errorf("%+v, was %+v", ops[0], was)
	}
}

// nested is a pipeline with subprocesses in each other, levels in all.
func nested(levels int) spec {
	s := sub(fmt.Sprint("level ", levels), state.Running)
	for level := levels - 1; level > 1; level-- {
		s = sub(fmt.Sprint("level ", level), state.Running, s)
	}
	return pipeline(state.Running, s)
}

func TestATaskHasAtMost100Levels(t *testing.T) {
	tree := treeOf(t, nested(99))
	tree, _ = apply(t, tree, declare("level 99", "level 100", asSubprocess))
	if got := tree.Level(tree.Len() - 1); got != 100 {
		t.Errorf("level %d, want 100", got)
	}
	for _, op := range []state.Op{declare("level 100", "a"), declare("level 100", "a", asSubprocess)} {
		_, _, err := tree.Apply(state.Limits{}, op)
		refusedWith(t, err, state.ErrInvalidArgument)
	}
	if _, _, err := tree.Apply(state.Limits{Levels: 101}, declare("level 100", "a")); err != nil {
		t.Error(err)
	}
	apply(t, tree, declare("level 99", "a"))
}

func TestATaskHasAtMost100000Nodes(t *testing.T) {
	b := state.NewBuilder(key, 100_000)
	for i := range 99_999 {
		n := describe(fmt.Sprint(i), state.ServiceActivity, state.Finished, nil).node
		n.Index = i
		if i == 0 {
			n.Kind, n.ParentIndex, n.State = state.Pipeline, -1, state.Running
		}
		if err := b.Add(&n); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := b.Tree(1)
	if err != nil {
		t.Fatal(err)
	}
	tree, _ = apply(t, tree, declare("0", "the last"))
	_, _, err = tree.Apply(state.Limits{}, declare("0", "one more"))
	refusedWith(t, err, state.ErrInvalidArgument)
	if c := tree.Counts(0); c[state.Finished] != 99_998 || c[state.Created] != 1 || c.Total() != 99_999 {
		t.Errorf("counts %v", c)
	}
}

func TestLimitsCanBeSet(t *testing.T) {
	tree := treeOf(t, pipeline(state.Running, act("a", state.Created)))
	for _, c := range []struct {
		limits state.Limits
		want   error
	}{
		{state.Limits{Levels: 1}, state.ErrInvalidArgument},
		{state.Limits{Levels: 2}, nil},
		{state.Limits{Nodes: 2}, state.ErrInvalidArgument},
		{state.Limits{Nodes: 3}, nil},
	} {
		_, _, err := tree.Apply(c.limits, declare("root", "b"))
		refusedWith(t, err, c.want)
	}
	_, _, err := tree.Apply(state.Limits{Nodes: 3}, declare("root", "b"), declare("root", "c"))
	refusedWith(t, err, state.ErrInvalidArgument)
	if got := refusal(t, err).Index; got != 1 {
		t.Errorf("operation %d of the batch is over the limit, want 1", got)
	}
}
