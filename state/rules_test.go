package state_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/state"
)

// The tables below are the table of RULES.md again, spelled out for every own
// state. "-" is invalid_transition. The nodes that are SUSPENDED have started.

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
					return // it names a task and no node
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

// What an operation on a node asks of its ancestors' own states.
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

func TestAnOperationAsksOfEveryAncestor(t *testing.T) {
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

// What an operation on a container asks of its children's own states.
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

func TestAnOperationOnAContainerAsksOfItsChildren(t *testing.T) {
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

func TestGuards(t *testing.T) {
	for _, c := range []struct {
		name string
		tree spec
		op   state.Op
		want error
	}{
		{
			"a container finishes over grandchildren in any state",
			pipeline(state.Running, sub("s", state.Revoked, act("a", state.Running), act("b", state.Failed))),
			on(state.Finish, "root"), nil,
		},
		{
			"a container fails over grandchildren in any state",
			pipeline(state.Running, sub("s", state.Revoked, act("a", state.Running), act("b", state.Suspended))),
			on(state.Fail, "root"), nil,
		},
		{
			"a failed child that awaits its retry keeps a container from finishing",
			pipeline(state.Running, pending("a")), on(state.Finish, "root"), state.ErrInvalidTransition,
		},
		{
			"a failed child that awaits its retry does not keep a container from failing",
			pipeline(state.Running, pending("a")), on(state.Fail, "root"), nil,
		},
		{
			"a guard reads own states, not shown ones",
			pipeline(state.Running, act("a", state.Failed), act("b", state.Created)), on(state.Start, "b"), nil,
		},
		{
			"a node that was declared not retryable is not retried",
			pipeline(state.Running, act("a", state.Failed).with(noRetry)), on(state.Retry, "a"), state.ErrNotRetryable,
		},
		{
			"nor a subprocess",
			pipeline(state.Running, sub("s", state.Failed).with(noRetry)), on(state.Retry, "s"), state.ErrNotRetryable,
		},
		{
			"a node that is not retryable can be skipped",
			pipeline(state.Running, act("a", state.Failed).with(noRetry)), on(state.Skip, "a"), nil,
		},
		{
			"a node that was declared not skippable is not skipped",
			pipeline(state.Running, act("a", state.Failed).with(noSkip)), on(state.Skip, "a"), state.ErrNotSkippable,
		},
		{
			"a node that is not skippable can be retried",
			pipeline(state.Running, act("a", state.Failed).with(noSkip)), on(state.Retry, "a"), nil,
		},
		{
			"a node loops until it reaches its limit",
			pipeline(state.Running, act("a", state.Finished).with(func(n *state.Node) { n.MaxLoops, n.Loop = 3, 2 })),
			on(state.Loop, "a"), nil,
		},
		{
			"a node that reached its limit does not loop",
			pipeline(state.Running, act("a", state.Finished).with(func(n *state.Node) { n.MaxLoops, n.Loop = 3, 3 })),
			on(state.Loop, "a"), state.ErrLoopLimit,
		},
		{
			"a limit of one forbids to loop",
			pipeline(state.Running, act("a", state.Finished).with(func(n *state.Node) { n.MaxLoops = 1 })),
			on(state.Loop, "a"), state.ErrLoopLimit,
		},
		{
			"no limit is no limit",
			pipeline(state.Running, act("a", state.Finished).with(func(n *state.Node) { n.Loop = 1_000_000 })),
			on(state.Loop, "a"), nil,
		},
		{
			"a container has no automatic retry",
			pipeline(state.Running), on(state.Fail, "root", retryAt), state.ErrInvalidArgument,
		},
		{
			"an ignored failure has no automatic retry",
			pipeline(state.Running, act("a", state.Running)), on(state.Fail, "a", ignore, retryAt), state.ErrInvalidArgument,
		},
		{
			"an ignored failure abandons nothing",
			pipeline(state.Running), on(state.Fail, "root", ignore, abandon), state.ErrInvalidArgument,
		},
		{
			"a leaf abandons nothing",
			pipeline(state.Running, act("a", state.Running)), on(state.Fail, "a", abandon), state.ErrInvalidArgument,
		},
		{
			"a leaf tolerates nothing",
			pipeline(state.Running, act("a", state.Running)), on(state.Finish, "a", tolerate), state.ErrInvalidArgument,
		},
		{
			"only the root has a loop to check",
			pipeline(state.Running, act("a", state.Running)), on(state.Finish, "a", onLoop(1)), state.ErrInvalidArgument,
		},
		{
			"work in flight reports its end while it is suspended",
			pipeline(state.Suspended, act("a", state.Suspended)), on(state.Finish, "a"), nil,
		},
		{
			"what was suspended before its start has no end to report",
			pipeline(state.Running, act("a", state.Suspended).with(notYet)), on(state.Finish, "a"), state.ErrInvalidTransition,
		},
		{
			"nor a failure",
			pipeline(state.Running, act("a", state.Suspended).with(notYet)), on(state.Fail, "a"), state.ErrInvalidTransition,
		},
		{
			"a pending retry is replaced",
			pipeline(state.Running, pending("a")), on(state.Fail, "a"), nil,
		},
		{
			"a pending retry is not ignored",
			pipeline(state.Running, pending("a")), on(state.Fail, "a", ignore), state.ErrInvalidTransition,
		},
		{
			"a container tolerates failures of children",
			pipeline(state.Running, act("a", state.Failed), sub("s", state.Failed)), on(state.Finish, "root", tolerate), nil,
		},
		{
			"it does not tolerate a child that runs",
			pipeline(state.Running, act("a", state.Failed), act("b", state.Running)),
			on(state.Finish, "root", tolerate), state.ErrInvalidTransition,
		},
		{
			"nor one that waits to run again",
			pipeline(state.Running, act("a", state.Failed), act("b", state.Created).with(retried)),
			on(state.Finish, "root", tolerate), state.ErrInvalidTransition,
		},
		{
			"a container does not finish over a child that was retried and has not run",
			pipeline(state.Running, act("a", state.Created).with(retried)), on(state.Finish, "root"), state.ErrInvalidTransition,
		},
		{
			"nor over one that was reset",
			pipeline(state.Running, act("a", state.Created).with(resetNode)), on(state.Finish, "root"), state.ErrInvalidTransition,
		},
		{
			"it finishes over one that a reset took along",
			pipeline(state.Running, act("a", state.Created).with(along)), on(state.Finish, "root"), nil,
		},
		{
			"a failure is not ignored over a child that waits to run again",
			pipeline(state.Running, act("a", state.Created).with(retried)), on(state.Fail, "root", ignore), state.ErrInvalidTransition,
		},
		{
			"a failure that is not ignored does not wait for it",
			pipeline(state.Running, act("a", state.Created).with(retried)), on(state.Fail, "root"), nil,
		},
		{
			"a grandchild that waits to run again is for its own container to wait for",
			pipeline(state.Running, sub("s", state.Revoked, act("a", state.Created).with(retried))), on(state.Finish, "root"), nil,
		},
		{
			"a container that abandons fails over children in any state",
			pipeline(state.Running, act("a", state.Running), sub("s", state.Suspended, act("b", state.Running))),
			on(state.Fail, "root", abandon), nil,
		},
		{
			"a node that is not skippable is skipped before it has run",
			pipeline(state.Running, act("a", state.Created).with(noSkip)), on(state.Skip, "a"), nil,
		},
		{
			"a failed node that is not retryable is not reset",
			pipeline(state.Running, act("a", state.Failed).with(noRetry)), on(state.Reset, "a"), state.ErrNotRetryable,
		},
		{
			"one that has finished is",
			pipeline(state.Running, act("a", state.Finished).with(noRetry)), on(state.Reset, "a"), nil,
		},
		{
			"a reset counts as a loop",
			pipeline(state.Running, act("a", state.Finished).with(func(n *state.Node) { n.MaxLoops = 1 })),
			on(state.Reset, "a"), state.ErrLoopLimit,
		},
		{
			"unless the attempt never started",
			pipeline(state.Running, act("a", state.Revoked).with(func(n *state.Node) { n.MaxLoops = 1; notYet(n) })),
			on(state.Reset, "a"), nil,
		},
		{
			"a reset waits for what runs further below",
			pipeline(state.Running, sub("s", state.Finished, sub("t", state.Revoked, act("a", state.Running)))),
			on(state.Reset, "s"), state.ErrInvalidTransition,
		},
		{
			"and for a container that is suspended further below",
			pipeline(state.Running, sub("s", state.Finished, sub("t", state.Revoked, sub("u", state.Suspended)))),
			on(state.Reset, "s"), state.ErrInvalidTransition,
		},
		{
			"the limits of what a reset takes along do not count",
			pipeline(state.Running, sub("s", state.Finished,
				act("a", state.Finished).with(func(n *state.Node) { n.MaxLoops = 1 }), act("b", state.Failed).with(noRetry))),
			on(state.Reset, "s"), nil,
		},
		{
			"another task is not reopened in this tree",
			pipeline(state.Finished), on(state.Reopen, "", func(op *state.Op) { op.Task.Task = "11" }), state.ErrInvalidArgument,
		},
		{
			"an operation on the root that is based on another loop is refused",
			pipeline(state.Running), on(state.Finish, "root", onLoop(2)), state.ErrVersionMismatch,
		},
		{
			"one that is based on the current loop is not",
			pipeline(state.Running), on(state.Finish, "root", onLoop(1)), nil,
		},
		{
			"a reopening that is based on another loop is refused",
			pipeline(state.Finished), on(state.Reopen, "", onLoop(2)), state.ErrVersionMismatch,
		},
		{
			"a leaf holds no nodes",
			pipeline(state.Running, act("a", state.Running)), declare("a", "b"), state.ErrInvalidArgument,
		},
		{"an unknown node", pipeline(state.Running), on(state.Start, "a"), state.ErrNotFound},
		{"an unknown parent", pipeline(state.Running), declare("a", "b"), state.ErrNotFound},
		{"a node that has been declared", pipeline(state.Running, act("a", state.Created)), declare("root", "a"), state.ErrExists},
		{"a node in itself", pipeline(state.Running), declare("root", "root"), state.ErrExists},
		{"a node ID of another task", pipeline(state.Running), declare("root", "a", taken), state.ErrExists},
		{"a task that exists", pipeline(state.Running), create("root"), state.ErrExists},
		{
			"another task's root in this tree", pipeline(state.Running),
			state.Op{Kind: state.Create, Node: "r", Task: state.Key{Business: "2", Task: "11"}, Now: now},
			state.ErrInvalidArgument,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := treeOf(t, c.tree).Apply(state.Limits{}, c.op)
			refusedWith(t, err, c.want)
		})
	}
}

func TestATaskThatDoesNotExist(t *testing.T) {
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

func TestARefusedDeclareShowsWhoseStateItNames(t *testing.T) {
	_, _, err := treeOf(t, pipeline(state.Finished)).Apply(state.Limits{}, declare("root", "a"))
	const want = `declare node "a" (its parent is FINISHED) of task "2"/"10": invalid transition: parent "root" has ended`
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestALongIDThatIsRefusedDoesNotMakeALongMessage(t *testing.T) {
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
