package state_test

import (
	"testing"

	"github.com/pipestatus/pipestatus/state"
)

// Every operation here has two errors; the reported one shows the order of the
// checks.
func TestChecksAreMadeInTheOrderOfTheRules(t *testing.T) {
	invalid, transition := state.ErrInvalidArgument, state.ErrInvalidTransition
	tooSmall := state.Limits{Levels: 1, Nodes: 1}
	looped := act("a", state.Finished).with(func(n *state.Node) { n.MaxLoops = 1 })
	for _, c := range []struct {
		name   string
		tree   spec
		limits state.Limits
		op     state.Op
		want   error
	}{
		{"the shape before an unknown node", pipeline(state.Running), state.Limits{}, on(state.Start, "a", misshapen), invalid},
		{"the shape before an unknown parent", pipeline(state.Running), state.Limits{}, declare("a", "b", misshapen), invalid},
		{"the shape before an ID in use", pipeline(state.Running), state.Limits{}, declare("root", "root", misshapen), invalid},
		{"the shape before a key in use", pipeline(state.Running), state.Limits{}, create("root", misshapen), invalid},
		{"the shape before the version", pipeline(state.Running, act("a", state.Created)), state.Limits{}, on(state.Start, "a", misshapen, basedOn(7)), invalid},
		{"the shape before the own state", pipeline(state.Running), state.Limits{}, on(state.Start, "root", misshapen), invalid},
		{
			"an unknown node before ignore and retry-at together",
			pipeline(state.Running),
			state.Limits{},
			on(state.Fail, "a", ignore, retryAt), state.ErrNotFound,
		},
		{"an unknown node before the version", pipeline(state.Running), state.Limits{}, on(state.Start, "a", basedOn(7)), state.ErrNotFound},
		{"an unknown parent before an ID in use", pipeline(state.Running), state.Limits{}, declare("a", "root"), state.ErrNotFound},
		{"an unknown parent before an ID in use elsewhere", pipeline(state.Running), state.Limits{}, declare("a", "b", taken), state.ErrNotFound},
		{"an unknown parent before the limits", pipeline(state.Running), tooSmall, declare("a", "b"), state.ErrNotFound},
		{
			"an ID in use before a parent that is a leaf",
			pipeline(state.Running, act("a", state.Running)),
			state.Limits{},
			declare("a", "root"), state.ErrExists,
		},
		{
			"an ID in use elsewhere before a parent that is a leaf",
			pipeline(state.Running, act("a", state.Running)),
			state.Limits{},
			declare("a", "b", taken), state.ErrExists,
		},
		{"an ID in use before a parent that has ended", pipeline(state.Finished), state.Limits{}, declare("root", "root"), state.ErrExists},
		{"an ID in use before the limits", pipeline(state.Running), tooSmall, declare("root", "root"), state.ErrExists},
		{
			"a parent that is a leaf before one that has ended",
			pipeline(state.Running, act("a", state.Finished)),
			state.Limits{},
			declare("a", "b"), invalid,
		},
		{
			"retry-at on a container before the version",
			pipeline(state.Running, sub("s", state.Running)),
			state.Limits{},
			on(state.Fail, "s", retryAt, basedOn(7)), invalid,
		},
		{
			"abandon on a leaf before the version",
			pipeline(state.Running, act("a", state.Running)),
			state.Limits{},
			on(state.Fail, "a", abandon, basedOn(7)), invalid,
		},
		{
			"tolerate on a leaf before a repeat is recognized",
			pipeline(state.Running, act("a", state.Finished)),
			state.Limits{},
			on(state.Finish, "a", tolerate, idempotent), invalid,
		},
		{
			"a loop of a node that is not the root before the own state",
			pipeline(state.Running, act("a", state.Finished)),
			state.Limits{},
			on(state.Start, "a", onLoop(7)), invalid,
		},
		{
			"the loop before the own state",
			pipeline(state.Finished),
			state.Limits{},
			on(state.Start, "root", onLoop(7)), state.ErrVersionMismatch,
		},
		{
			"the own state before the root",
			pipeline(state.Running),
			state.Limits{},
			on(state.Reset, "root"), transition,
		},
		{
			"what runs below before not retryable",
			pipeline(state.Running, sub("s", state.Failed, act("a", state.Running)).with(noRetry)),
			state.Limits{},
			on(state.Reset, "s"), transition,
		},
		{
			"not retryable before the loop limit",
			pipeline(state.Running, act("a", state.Failed).with(noRetry).with(func(n *state.Node) { n.MaxLoops = 1 })),
			state.Limits{},
			on(state.Reset, "a"), state.ErrNotRetryable,
		},
		{
			"retry-at on a container before its own state",
			pipeline(state.Running, sub("s", state.Created)),
			state.Limits{},
			on(state.Fail, "s", retryAt), invalid,
		},
		{
			"retry-at on a container before its children",
			pipeline(state.Running, act("a", state.Running)),
			state.Limits{},
			on(state.Fail, "root", retryAt), invalid,
		},
		{
			"ignore and retry-at together before the version",
			pipeline(state.Running, act("a", state.Running)),
			state.Limits{},
			on(state.Fail, "a", ignore, retryAt, basedOn(7)), invalid,
		},
		{
			"ignore and retry-at together before the own state",
			pipeline(state.Running, act("a", state.Created)),
			state.Limits{},
			on(state.Fail, "a", ignore, retryAt), invalid,
		},
		{
			"retry-at on a container before a repeat is recognized",
			pipeline(state.Running, sub("s", state.Failed)),
			state.Limits{},
			on(state.Fail, "s", retryAt, idempotent), invalid,
		},
		{
			"the version before the own state",
			pipeline(state.Running, act("a", state.Finished)),
			state.Limits{},
			on(state.Start, "a", basedOn(7)), state.ErrVersionMismatch,
		},
		{
			"the version before root or leaf",
			pipeline(state.Failed),
			state.Limits{},
			on(state.Retry, "root", basedOn(7)), state.ErrVersionMismatch,
		},
		{
			"the version before a child that runs",
			pipeline(state.Running, sub("s", state.Failed, act("a", state.Running))),
			state.Limits{},
			on(state.Skip, "s", basedOn(7)), state.ErrVersionMismatch,
		},
		{
			"the version before the ancestors",
			pipeline(state.Suspended, act("a", state.Created)),
			state.Limits{},
			on(state.Start, "a", basedOn(7)), state.ErrVersionMismatch,
		},
		{
			"the version before not retryable",
			pipeline(state.Running, act("a", state.Failed).with(noRetry)),
			state.Limits{},
			on(state.Retry, "a", basedOn(7)), state.ErrVersionMismatch,
		},
		{
			"the version before the loop limit",
			pipeline(state.Running, looped),
			state.Limits{},
			on(state.Loop, "a", basedOn(7)), state.ErrVersionMismatch,
		},
		{
			"the own state before not retryable",
			pipeline(state.Running, act("a", state.Running).with(noRetry)),
			state.Limits{},
			on(state.Retry, "a"), transition,
		},
		{
			"the own state before not skippable",
			pipeline(state.Running, act("a", state.Running).with(noSkip)),
			state.Limits{},
			on(state.Skip, "a"), transition,
		},
		{
			"the own state before the loop limit",
			pipeline(state.Running, act("a", state.Running).with(func(n *state.Node) { n.MaxLoops = 1 })),
			state.Limits{},
			on(state.Loop, "a"), transition,
		},
		{
			"a child that runs before not skippable",
			pipeline(state.Running, sub("s", state.Failed, act("a", state.Running)).with(noSkip)),
			state.Limits{},
			on(state.Skip, "s"), transition,
		},
		{
			"the ancestors before not retryable",
			pipeline(state.Revoked, act("a", state.Failed).with(noRetry)),
			state.Limits{},
			on(state.Retry, "a"), transition,
		},
		{
			"the ancestors before not skippable",
			pipeline(state.Revoked, act("a", state.Failed).with(noSkip)),
			state.Limits{},
			on(state.Skip, "a"), transition,
		},
		{"the ancestors before the loop limit", pipeline(state.Suspended, looped), state.Limits{}, on(state.Loop, "a"), transition},
		{"a parent that has ended before the limits", pipeline(state.Failed), tooSmall, declare("root", "a"), transition},
		{
			"an ancestor that has ended before the limits",
			pipeline(state.Finished, sub("s", state.Created)), tooSmall, declare("s", "a"), transition,
		},
		{"a parent that is a leaf before the limits", pipeline(state.Running, act("a", state.Running)), tooSmall, declare("a", "b"), invalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := treeOf(t, c.tree).Apply(c.limits, c.op)
			refusedWith(t, err, c.want)
		})
	}
}

func TestTheShapeOfAllOperationsIsCheckedFirst(t *testing.T) {
	tree := treeOf(t, pipeline(state.Running))
	_, _, err := tree.Apply(state.Limits{}, on(state.Start, "nobody"), on(state.Suspend, "root"), on(state.Resume, "root", misshapen))
	refusedWith(t, err, state.ErrInvalidArgument)
	if got := refusal(t, err).Index; got != 2 {
		t.Errorf("operation %d is blamed, want 2", got)
	}
}
