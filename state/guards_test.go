package state_test

import (
	"testing"

	"github.com/pipestatus/pipestatus/state"
)

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
