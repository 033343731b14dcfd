package state_test

import (
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/state"
)

func TestARefusalNamesOperationNodeStateAndTask(t *testing.T) {
	tree := treeOf(t, pipeline(state.Running, act("a", state.Finished)))
	_, _, err := tree.Apply(state.Limits{}, on(state.Start, "a"))
	const want = `start node "a" (FINISHED) of task "2"/"10": invalid transition`
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestARefusalInABatchNamesItsPlace(t *testing.T) {
	tree := treeOf(t, pipeline(state.Finished))
	_, _, err := tree.Apply(state.Limits{}, on(state.Reopen, ""), on(state.Start, "root"))
	const want = `operation 1 of the batch: start node "root" (RUNNING) of task "2"/"10": invalid transition`
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestARefusedDeclareNamesTheParentsState(t *testing.T) {
	_, _, err := treeOf(t, pipeline(state.Finished)).Apply(state.Limits{}, declare("root", "a"))
	const want = `declare node "a" (its parent is FINISHED) of task "2"/"10": invalid transition: parent "root" has ended`
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestARefusedLongIDMakesAShortMessage(t *testing.T) {
	long := strings.Repeat("é", 5<<20)
	for _, op := range []state.Op{
		on(state.Start, long), declare(long, "a"), declare("root", long), create(long),
		create("root", func(op *state.Op) { op.Task.Task = long }), on(state.Start, "root", func(op *state.Op) { op.Actor = long }),
	} {
		_, _, err := state.NewTree(op.Task).Apply(state.Limits{}, op)
		refusedWith(t, err, state.ErrInvalidArgument)
		if len(err.Error()) > 600 {
			t.Errorf("%s: a message of %d bytes", op.Kind, len(err.Error()))
		}
	}
}
