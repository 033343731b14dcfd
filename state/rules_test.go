package state_test

import (
	"fmt"
	"testing"

	"github.com/pipestatus/pipestatus/state"
)

// The tables below repeat the table of RULES.md for every own state. "-" is
// invalid_transition. The SUSPENDED nodes have started.

const leafMoves = `
          CREATED    RUNNING    FAILED    SUSPENDED  REVOKED  FINISHED
start     RUNNING    -          -         -          -        -
finish    -          FINISHED   -         FINISHED   -        -
fail      -          FAILED     -         FAILED     -        -
retry     -          -          CREATED   -          -        -
skip      FINISHED   -          FINISHED  -          -        -
loop      -          -          -         -          -        RUNNING
reset     -          -          CREATED   -          CREATED  CREATED
reopen    -          -          -         -          -        -
suspend   SUSPENDED  SUSPENDED  -         -          -        -
resume    -          -          -         RUNNING    -        -
revoke    REVOKED    REVOKED    REVOKED   REVOKED    -        -`

const subprocessMoves = `
          CREATED    RUNNING    FAILED    SUSPENDED  REVOKED  FINISHED
start     RUNNING    -          -         -          -        -
finish    -          FINISHED   -         -          -        -
fail      -          FAILED     -         -          -        -
retry     -          -          CREATED   -          -        -
skip      FINISHED   -          FINISHED  -          -        -
loop      -          -          -         -          -        RUNNING
reset     -          -          CREATED   -          CREATED  CREATED
reopen    -          -          -         -          -        -
suspend   SUSPENDED  SUSPENDED  -         -          -        -
resume    -          -          -         RUNNING    -        -
revoke    REVOKED    REVOKED    REVOKED   REVOKED    -        -`

const rootMoves = `
          CREATED    RUNNING    FAILED    SUSPENDED  REVOKED  FINISHED
start     RUNNING    -          -         -          -        -
finish    -          FINISHED   -         -          -        -
fail      -          FAILED     -         -          -        -
retry     -          -          -         -          -        -
skip      -          -          -         -          -        -
loop      -          -          -         -          -        -
reset     -          -          -         -          -        -
reopen    -          -          RUNNING   -          RUNNING  RUNNING
suspend   SUSPENDED  SUSPENDED  -         -          -        -
resume    -          -          -         RUNNING    -        -
revoke    REVOKED    REVOKED    REVOKED   REVOKED    -        -`

func TestAnOperationLeadsFromOneOwnStateToAnother(t *testing.T) {
	for _, c := range []struct {
		what, id, moves string
		tree            func(st state.State) spec
	}{
		{"leaf", "a", leafMoves, func(st state.State) spec { return pipeline(state.Running, act("a", st)) }},
		{"subprocess", "s", subprocessMoves, func(st state.State) spec { return pipeline(state.Running, sub("s", st)) }},
		{"root", "root", rootMoves, func(st state.State) spec { return pipeline(st) }},
	} {
		rows(t, c.moves, func(op state.OpKind, from state.State, to string) {
			t.Run(fmt.Sprintf("%s a %s that is %s", op, c.what, from), func(t *testing.T) {
				if op == state.Reopen && c.id != "root" {
					return // the operation names a task and no node
				}
				tree := treeOf(t, c.tree(from))
				after, outcomes, err := tree.Apply(state.Limits{}, on(op, c.id))
				if to == "-" {
					refusedWith(t, err, state.ErrInvalidTransition)
					return
				}
				refusedWith(t, err, nil)
				if err != nil {
					return
				}
				if got := node(t, after, c.id).State.String(); got != to {
					t.Errorf("leads to %s, want %s", got, to)
				}
				change := outcomes[0].Transition.Changes[0]
				if change.From != from || change.State.String() != to {
					t.Errorf("the transition says %s to %s, want %s to %s", change.From, change.State, from, to)
				}
			})
		})
	}
}

// The conditions of an operation on the own states of the ancestors.
const (
	leafGuards = `
          CREATED  RUNNING  FAILED  SUSPENDED  REVOKED  FINISHED
start     -        ok       -       -          -        -
finish    ok       ok       ok      ok         ok       ok
fail      ok       ok       ok      ok         ok       ok
retry     ok       ok       -       ok         -        -
skip      ok       ok       -       ok         -        -
loop      -        ok       -       -          -        -
reset     ok       ok       -       ok         -        -
suspend   ok       ok       -       ok         -        -
resume    ok       ok       -       ok         -        -
revoke    ok       ok       ok      ok         ok       ok`

	subprocessGuards = `
          CREATED  RUNNING  FAILED  SUSPENDED  REVOKED  FINISHED
declare   ok       ok       -       ok         -        -
start     -        ok       -       -          -        -
finish    ok       ok       -       ok         -        -
fail      ok       ok       ok      ok         ok       ok
retry     ok       ok       -       ok         -        -
skip      ok       ok       -       ok         -        -
loop      -        ok       -       -          -        -
reset     ok       ok       -       ok         -        -
suspend   ok       ok       -       ok         -        -
resume    ok       ok       -       ok         -        -
revoke    ok       ok       ok      ok         ok       ok`
)

// legalFrom is an own state from which an operation is legal; of declare, the
// parent's.
var legalFrom = map[state.OpKind]state.State{
	state.Declare: state.Running, state.Start: state.Created, state.Finish: state.Running, state.Fail: state.Running,
	state.Retry: state.Failed, state.Skip: state.Failed, state.Loop: state.Finished,
	state.Reset: state.Finished, state.Suspend: state.Running, state.Resume: state.Suspended, state.Revoke: state.Running,
}

func TestAnOperationChecksEveryAncestor(t *testing.T) {
	for _, c := range []struct {
		what, guards string
		node         func(id string, st state.State) spec
	}{
		{"leaf", leafGuards, act},
		{"subprocess", subprocessGuards, func(id string, st state.State) spec { return sub(id, st) }},
	} {
		rows(t, c.guards, func(op state.OpKind, above state.State, cell string) {
			n := c.node("n", legalFrom[op])
			for place, tree := range map[string]spec{
				"parent":      pipeline(state.Running, sub("p", state.Running, sub("q", above, n))),
				"grandparent": pipeline(state.Running, sub("p", above, sub("q", state.Running, n))),
				"root":        pipeline(above, sub("p", state.Running, sub("q", state.Running, n))),
			} {
				t.Run(fmt.Sprintf("%s a %s whose %s is %s", op, c.what, place, above), func(t *testing.T) {
					o := on(op, "n")
					if op == state.Declare {
						o = declare("n", "new")
					}
					_, _, err := treeOf(t, tree).Apply(state.Limits{}, o)
					if cell == "-" {
						refusedWith(t, err, state.ErrInvalidTransition)
					} else {
						refusedWith(t, err, nil)
					}
				})
			}
		})
	}
}

// The conditions of an operation on a container on the own states of its children.
const childGuards = `
          CREATED  RUNNING  FAILED  SUSPENDED  REVOKED  FINISHED
declare   ok       ok       ok      ok         ok       ok
start     ok       ok       ok      ok         ok       ok
finish    ok       -        -       -          ok       ok
fail      ok       -        ok      -          ok       ok
retry     ok       ok       ok      ok         ok       ok
skip      ok       -        ok      -          ok       ok
loop      ok       ok       ok      ok         ok       ok
reset     ok       -        ok      -          ok       ok
suspend   ok       ok       ok      ok         ok       ok
resume    ok       ok       ok      ok         ok       ok
revoke    ok       ok       ok      ok         ok       ok`

func TestAnOperationOnAContainerChecksItsChildren(t *testing.T) {
	rows(t, childGuards, func(op state.OpKind, below state.State, cell string) {
		from := legalFrom[op]
		for what, tree := range map[string]spec{
			"one leaf":       pipeline(state.Running, sub("n", from, act("a", below))),
			"one of several": pipeline(state.Running, sub("n", from, act("a", state.Created), sub("b", below), act("c", state.Finished))),
		} {
			t.Run(fmt.Sprintf("%s a subprocess of which %s is %s", op, what, below), func(t *testing.T) {
				o := on(op, "n")
				if op == state.Declare {
					o = declare("n", "new")
				}
				_, _, err := treeOf(t, tree).Apply(state.Limits{}, o)
				if cell == "-" {
					refusedWith(t, err, state.ErrInvalidTransition)
				} else {
					refusedWith(t, err, nil)
				}
			})
		}
	})
}

func TestPropertiesOfATaskThatDoesNotExist(t *testing.T) {
	tree := state.NewTree(key)
	_, _, err := tree.Apply(state.Limits{}, create("root", taken))
	refusedWith(t, err, state.ErrExists)
	for _, op := range onExisting {
		_, _, err := tree.Apply(state.Limits{}, on(op, "root"))
		refusedWith(t, err, state.ErrNotFound)
	}
	_, _, err = tree.Apply(state.Limits{}, declare("root", "a"))
	refusedWith(t, err, state.ErrNotFound)
	if tree.Ended() || tree.Unfinished() || tree.Settled() || tree.HasFailures() {
		t.Error("it has neither ended nor is it unfinished or settled, and nothing has failed")
	}
}
