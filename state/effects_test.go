package state_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/state"
)

// none is an unset time.
var none state.Instant

func TestAnOperationGivesANodeItsNewValues(t *testing.T) {
	const version, next = 1, 99 // of the node, and of the attempt that begins
	attempt := func(st state.State, start, finish state.Instant, changes ...func(*state.Attempt)) state.Attempt {
		a := state.Attempt{Version: v(version), State: st, Began: state.Declare, Loop: 1, Started: start, Finished: finish}
		for _, change := range changes {
			change(&a)
		}
		return a
	}
	withError := func(text string) func(*state.Attempt) { return func(a *state.Attempt) { a.Error = text } }
	begun := func(a *state.Attempt) { a.Version = v(next) }
	was := func(st state.State, changes ...func(*state.Attempt)) *state.Attempt {
		a := attempt(st, started, changed, changes...)
		return &a
	}
	failed := was(state.Failed, withError("it broke"))

	for _, c := range []struct {
		name       string
		node       spec
		op         state.Op
		want       state.Attempt
		superseded *state.Attempt
	}{
		{
			"start sets the start time", act("n", state.Created), on(state.Start, "n"),
			attempt(state.Running, now, none), nil,
		},
		{
			"start after a retry keeps the counts",
			act("n", state.Created).with(func(n *state.Node) { n.Retries, n.Skips, n.Loop = 2, 1, 3 }), on(state.Start, "n"),
			attempt(state.Running, now, none, func(a *state.Attempt) { a.Retries, a.Skips, a.Loop = 2, 1, 3 }), nil,
		},
		{
			"finish sets the finish time", act("n", state.Running), on(state.Finish, "n"),
			attempt(state.Finished, started, now), nil,
		},
		{
			"fail sets the finish time and keeps the error text", act("n", state.Running),
			on(state.Fail, "n", func(op *state.Op) { op.Error = "no such host" }),
			attempt(state.Failed, started, now, withError("no such host")), nil,
		},
		{
			"an ignored failure finishes and keeps the error text", act("n", state.Running),
			on(state.Fail, "n", ignore, func(op *state.Op) { op.Error = "no such host" }),
			attempt(state.Finished, started, now, withError("no such host"), func(a *state.Attempt) { a.ErrorIgnored = true }), nil,
		},
		{
			"a failure may announce its automatic retry", act("n", state.Running), on(state.Fail, "n", retryAt),
			attempt(state.Failed, started, now, func(a *state.Attempt) { a.RetryAt = at(500) }), nil,
		},
		{
			"an automatic retry may be announced for the past", act("n", state.Running),
			on(state.Fail, "n", func(op *state.Op) { op.RetryAt = at(-1) }),
			attempt(state.Failed, started, now, func(a *state.Attempt) { a.RetryAt = at(-1) }), nil,
		},
		{
			"retry begins an attempt that has not started", act("n", state.Failed), on(state.Retry, "n"),
			attempt(state.Created, none, none, begun, func(a *state.Attempt) { a.Retries = 1 }), failed,
		},
		{
			"retry of a subprocess does the same", sub("n", state.Failed), on(state.Retry, "n"),
			attempt(state.Created, none, none, begun, func(a *state.Attempt) { a.Retries = 1 }), failed,
		},
		{
			"skip begins an attempt that is finished", act("n", state.Failed), on(state.Skip, "n"),
			attempt(state.Finished, now, now, begun, func(a *state.Attempt) { a.Skips, a.Skipped = 1, true }), failed,
		},
		{
			"loop begins an attempt that runs, and is no skip any more",
			act("n", state.Finished).with(func(n *state.Node) { n.Retries, n.Skips, n.Skipped, n.Loop = 2, 1, true, 4 }),
			on(state.Loop, "n"),
			attempt(state.Running, now, none, begun, func(a *state.Attempt) { a.Retries, a.Skips, a.Loop = 2, 1, 5 }),
			was(state.Finished, func(a *state.Attempt) { a.Retries, a.Skips, a.Skipped, a.Loop = 2, 1, true, 4 }),
		},
		{
			"loop forgets an ignored error",
			act("n", state.Finished).with(func(n *state.Node) { n.Error, n.ErrorIgnored = "it broke", true }),
			on(state.Loop, "n"),
			attempt(state.Running, now, none, begun, func(a *state.Attempt) { a.Loop = 2 }),
			was(state.Finished, withError("it broke"), func(a *state.Attempt) { a.ErrorIgnored = true }),
		},
		{
			"suspend leaves the times", act("n", state.Running), on(state.Suspend, "n"),
			attempt(state.Suspended, started, none, func(a *state.Attempt) { a.Paused = true }), nil,
		},
		{
			"suspend of a node that has not started does not start it", act("n", state.Created), on(state.Suspend, "n"),
			attempt(state.Suspended, none, none, func(a *state.Attempt) { a.Paused = true }), nil,
		},
		{
			"resume runs on what had started", act("n", state.Suspended), on(state.Resume, "n"),
			attempt(state.Running, started, none), nil,
		},
		{
			"resume does not start what had not", act("n", state.Suspended).with(notYet), on(state.Resume, "n"),
			attempt(state.Created, none, none), nil,
		},
		{
			"resume of an attempt that has not started does not, whatever attempts before it did",
			act("n", state.Suspended).with(func(n *state.Node) { notYet(n); n.Retries = 1 }), on(state.Resume, "n"),
			attempt(state.Created, none, none, func(a *state.Attempt) { a.Retries = 1 }), nil,
		},
		{
			"revoke sets the finish time", act("n", state.Running), on(state.Revoke, "n"),
			attempt(state.Revoked, started, now), nil,
		},
		{
			"revoke of a node that has not started does not start it", act("n", state.Created), on(state.Revoke, "n"),
			attempt(state.Revoked, none, now), nil,
		},
		{
			"revoke of a failed node keeps its end and its error text", act("n", state.Failed), on(state.Revoke, "n"),
			attempt(state.Revoked, started, changed, withError("it broke")), nil,
		},
		{
			"revoke may carry a reason", act("n", state.Running), on(state.Revoke, "n", texted("superseded by run 11")),
			attempt(state.Revoked, started, now, withError("superseded by run 11")), nil,
		},
		{
			"a reason replaces the error text", act("n", state.Failed), on(state.Revoke, "n", texted("given up")),
			attempt(state.Revoked, started, changed, withError("given up")), nil,
		},
		{
			"finish of a suspended leaf ends the attempt", act("n", state.Suspended), on(state.Finish, "n"),
			attempt(state.Finished, started, now), nil,
		},
		{
			"fail of a suspended leaf ends it too", act("n", state.Suspended), on(state.Fail, "n", texted("no such host")),
			attempt(state.Failed, started, now, withError("no such host")), nil,
		},
		{
			"the failure of a container can be ignored", sub("n", state.Running), on(state.Fail, "n", ignore, texted("no such host")),
			attempt(state.Finished, started, now, withError("no such host"), func(a *state.Attempt) { a.ErrorIgnored = true }), nil,
		},
		{
			"another fail moves the pending retry and leaves the failure", pending("n"),
			on(state.Fail, "n", func(op *state.Op) { op.RetryAt = at(600) }),
			attempt(state.Failed, started, changed, withError("it broke"), func(a *state.Attempt) { a.RetryAt = at(600) }), nil,
		},
		{
			"another fail cancels the pending retry and may say more", pending("n"), on(state.Fail, "n", texted("gave up")),
			attempt(state.Failed, started, changed, withError("gave up")), nil,
		},
		{
			"a failure that is not retryable announces no retry", act("n", state.Running).with(noRetry), on(state.Fail, "n", retryAt),
			attempt(state.Failed, started, now), nil,
		},
		{
			"skip of a node that has not run puts that attempt into the history", act("n", state.Created), on(state.Skip, "n"),
			attempt(state.Finished, now, now, begun, func(a *state.Attempt) { a.Skips, a.Skipped = 1, true }),
			func() *state.Attempt { a := attempt(state.Created, none, none); return &a }(),
		},
		{
			"skip of a subprocess does the same", sub("n", state.Failed), on(state.Skip, "n"),
			attempt(state.Finished, now, now, begun, func(a *state.Attempt) { a.Skips, a.Skipped = 1, true }), failed,
		},
		{
			"reset begins an attempt that has not started",
			act("n", state.Finished).with(func(n *state.Node) {
				n.Retries, n.Skips, n.Skipped, n.Loop, n.Error, n.ErrorIgnored = 2, 1, true, 4, "it broke", true
			}),
			on(state.Reset, "n"),
			attempt(state.Created, none, none, begun, func(a *state.Attempt) { a.Retries, a.Skips, a.Loop = 2, 1, 5 }),
			was(state.Finished, withError("it broke"), func(a *state.Attempt) {
				a.Retries, a.Skips, a.Skipped, a.Loop, a.ErrorIgnored = 2, 1, true, 4, true
			}),
		},
		{
			"reset cancels the automatic retry", pending("n"), on(state.Reset, "n"),
			attempt(state.Created, none, none, begun, func(a *state.Attempt) { a.Loop = 2 }),
			was(state.Failed, withError("it broke"), func(a *state.Attempt) { a.RetryAt = at(500) }),
		},
		{
			"retry cancels the automatic one and history remembers it", pending("n"), on(state.Retry, "n"),
			attempt(state.Created, none, none, begun, func(a *state.Attempt) { a.Retries = 1 }),
			was(state.Failed, withError("it broke"), func(a *state.Attempt) { a.RetryAt = at(500) }),
		},
		{
			"skip cancels the automatic retry", pending("n"), on(state.Skip, "n"),
			attempt(state.Finished, now, now, begun, func(a *state.Attempt) { a.Skips, a.Skipped = 1, true }),
			was(state.Failed, withError("it broke"), func(a *state.Attempt) { a.RetryAt = at(500) }),
		},
		{
			"revoke cancels the automatic retry", pending("n"), on(state.Revoke, "n"),
			attempt(state.Revoked, started, changed, withError("it broke")), nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := treeOf(t, pipeline(state.Running, c.node))
			after, tr := apply(t, before, c.op)
			want := state.Progress{Attempt: c.want, Updated: now}
			if c.op.Kind.NewAttempt() {
				want.Began, want.Supersedes = c.op.Kind, v(version)
			}
			if diff := cmp.Diff(want, node(t, after, "n").Progress, byValue); diff != "" {
				t.Errorf("values (-want +got):\n%s", diff)
			}
			wantTransition := &state.Transition{
				Task: key, Op: c.op.Kind, At: now, Recorded: now, Shown: after.Shown(0), Pending: after.Pending(0),
				Changes: []state.Change{{
					ID: "n", Index: 1, Kind: c.node.node.Kind, From: c.node.node.State, Progress: want, Superseded: c.superseded,
				}},
			}
			if diff := cmp.Diff(wantTransition, tr, byValue); diff != "" {
				t.Errorf("transition (-want +got):\n%s", diff)
			}
			if tr.Node() != "n" {
				t.Errorf("the transition is about node %q", tr.Node())
			}
		})
	}
}

func TestCreateAndDeclareMakeNodesThatShowAtOnce(t *testing.T) {
	tree, tr := apply(t, state.NewTree(key), create("root", named("deploy"), func(op *state.Op) { op.Actor = "me" }))
	progress := func(version state.Version, began state.OpKind) state.Progress {
		return state.Progress{Attempt: state.Attempt{Version: version, State: state.Created, Began: began, Loop: 1}, Updated: now}
	}
	root := state.Declaration{ParentIndex: -1, Name: "deploy"}
	want := &state.Transition{
		Task: key, Op: state.Create, At: now, Recorded: now, Actor: "me", Shown: state.Created,
		Changes: []state.Change{{
			ID: "root", Kind: state.Pipeline, Declared: &root, Progress: progress(state.Version{}, state.Create),
		}},
	}
	if diff := cmp.Diff(want, tr, byValue); diff != "" {
		t.Errorf("create (-want +got):\n%s", diff)
	}

	tree, tr = apply(t, tree, declare("root", "a", func(op *state.Op) {
		op.NodeKind, op.NoRetry, op.NoSkip, op.MaxLoops = state.ExclusiveGateway, true, true, 3
	}))
	child := state.Declaration{Parent: "root", NoRetry: true, NoSkip: true, MaxLoops: 3}
	want = &state.Transition{
		Task: key, Op: state.Declare, At: now, Recorded: now, Shown: state.Created,
		Changes: []state.Change{{
			ID: "a", Index: 1, Kind: state.ExclusiveGateway, Declared: &child, Progress: progress(v(98), state.Declare),
		}},
	}
	if diff := cmp.Diff(want, tr, byValue); diff != "" {
		t.Errorf("declare (-want +got):\n%s", diff)
	}
	if n := tree.Node(1); tree.Len() != 2 || tree.FirstChild(0) != 1 || n.DisplayName() != state.ExclusiveGateway.Class() {
		t.Errorf("%d nodes, %q", tree.Len(), n.DisplayName())
	}
}

func TestADeletionNamesNoNode(t *testing.T) {
	if tr := (&state.Transition{Op: state.Delete}); tr.Node() != "" {
		t.Errorf("it is about %q", tr.Node())
	}
}

func TestTheClassStringOfAKindCountsAsNoName(t *testing.T) {
	tree, _ := apply(t, state.NewTree(key),
		create("root", named(state.Pipeline.Class())), declare("root", "a", named(state.ServiceActivity.Class())),
		declare("root", "b", named(state.Pipeline.Class())))
	for id, want := range map[string]string{"root": "", "a": "", "b": state.Pipeline.Class()} {
		if got := node(t, tree, id).Name; got != want {
			t.Errorf("%s is named %q, want %q", id, got, want)
		}
	}
}

func TestAFailureBelowAnEndedNodeAnnouncesNoRetry(t *testing.T) {
	for _, st := range []state.State{state.Finished, state.Failed, state.Revoked} {
		tree := treeOf(t, pipeline(st, sub("s", state.Revoked, act("a", state.Running))))
		after, _ := apply(t, tree, on(state.Fail, "a", retryAt))
		if n := node(t, after, "a"); n.State != state.Failed || n.RetryAt.IsSet() {
			t.Errorf("under %s: %s, retry at %s", st, n.State, n.RetryAt)
		}
	}
}

func TestAReopenedTaskContinuesFromItsState(t *testing.T) {
	for _, st := range []state.State{state.Finished, state.Failed, state.Revoked} {
		for _, start := range []state.Instant{started, none} {
			root := pipeline(st, act("a", state.Failed), sub("s", state.Revoked)).with(func(n *state.Node) {
				n.Started, n.Error, n.ErrorIgnored = start, "it broke", st == state.Finished
			})
			before := treeOf(t, root)
			after, tr := apply(t, before, on(state.Reopen, ""))
			want := before.Node(0)
			superseded := want.Attempt
			want.State, want.Began, want.Loop, want.Updated = state.Running, state.Reopen, 2, now
			want.Finished, want.Error, want.ErrorIgnored = none, "", false
			if !start.IsSet() {
				want.Started = now
			}
			if diff := cmp.Diff(want, after.Node(0), byValue); diff != "" {
				t.Errorf("from %s (-want +got):\n%s", st, diff)
			}
			if len(tr.Changes) != 1 || tr.Node() != "root" || *tr.Changes[0].Superseded != superseded {
				t.Errorf("from %s: changes %+v", st, tr.Changes)
			}
			for i := 1; i < before.Len(); i++ {
				if after.Node(i) != before.Node(i) {
					t.Errorf("from %s: node %q changed", st, before.ID(i))
				}
			}
		}
	}
}
