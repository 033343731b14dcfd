package state_test

import (
	"testing"

	"github.com/pipestatus/pipestatus/state"
)

// superseding makes operation op the one that began v(1) after v(50).
func superseding(op state.OpKind) func(*state.Node) {
	return func(n *state.Node) { n.Began, n.Supersedes = op, v(50) }
}

// wasOnce makes an operation name an earlier attempt, with its entry in the
// history.
func wasOnce(st state.State, by state.OpKind, changes ...func(*state.Attempt)) func(*state.Op) {
	a := state.Attempt{Version: v(40), State: st, Started: started}
	for _, change := range changes {
		change(&a)
	}
	return func(op *state.Op) { op.Version, op.Past = a.Version, &state.Past{Attempt: a, By: by} }
}

func rootOnce(st state.State) func(*state.Op) {
	return func(op *state.Op) {
		op.Loop = 1
		op.Past = &state.Past{Attempt: state.Attempt{State: st, Loop: 1, Started: started}, By: state.Reopen}
	}
}

func unstarted(a *state.Attempt) { a.Started = none }
func forgiven(a *state.Attempt)  { a.ErrorIgnored, a.Error = true, "it broke" }
func broken(a *state.Attempt)    { a.Error = "it broke" }

func looped(n int) func(*state.Node) { return func(r *state.Node) { r.Loop = n } }

func build(n *state.Node)     { n.Key = "build" }
func keyedBuild(op *state.Op) { op.Key = "build" }

func ignored(n *state.Node) { n.ErrorIgnored, n.Error = true, "it broke" }

func TestAnIdempotentOperationRecognizesItsRepeat(t *testing.T) {
	leaf := func(st state.State, changes ...func(*state.Node)) spec {
		s := act("n", st) // at version v(1)
		for _, change := range changes {
			s = s.with(change)
		}
		return pipeline(state.Running, s)
	}
	mismatch, transition := state.ErrVersionMismatch, state.ErrInvalidTransition
	const repeat, done = "repeat", "done"
	for _, c := range []struct {
		name string
		tree spec
		op   state.Op
		want any // repeat, done, or the expected refusal
	}{
		{"start: it runs at that version", leaf(state.Running), on(state.Start, "n", basedOn(1)), repeat},
		{"start: it runs, and no version is named", leaf(state.Running), on(state.Start, "n"), repeat},
		{"start: it runs at another version", leaf(state.Running), on(state.Start, "n", basedOn(2)), mismatch},
		{"start: it has finished since", leaf(state.Finished), on(state.Start, "n", basedOn(1)), repeat},
		{"start: it has finished since, and no version is named", leaf(state.Finished), on(state.Start, "n"), transition},
		{"start: it is suspended", leaf(state.Suspended), on(state.Start, "n", basedOn(1)), repeat},
		{"start: it was suspended before", leaf(state.Suspended, notYet), on(state.Start, "n", basedOn(1)), transition},
		{"start: it was revoked before", leaf(state.Revoked, notYet), on(state.Start, "n", basedOn(1)), transition},
		{"start: it has not been done", leaf(state.Created), on(state.Start, "n", basedOn(1)), done},
		{"start: a loop has started the node", leaf(state.Running, superseding(state.Loop)), on(state.Start, "n", basedOn(1)), repeat},

		{"finish: it has finished at that version", leaf(state.Finished), on(state.Finish, "n", basedOn(1)), repeat},
		{"finish: it was skipped to that version", leaf(state.Finished, superseding(state.Skip)), on(state.Finish, "n", basedOn(1)), repeat},
		{"finish: it has looped since", leaf(state.Running, superseding(state.Loop)), on(state.Finish, "n", basedOn(50)), mismatch},
		{"finish: its failure was ignored", leaf(state.Finished, ignored), on(state.Finish, "n", basedOn(1)), transition},
		{"finish: it has not been done", leaf(state.Running), on(state.Finish, "n", basedOn(1)), done},

		{"fail: it has failed at that version", leaf(state.Failed), on(state.Fail, "n", basedOn(1)), repeat},
		{
			"fail: it has failed with another text", leaf(state.Failed),
			on(state.Fail, "n", basedOn(1), func(op *state.Op) { op.Error = "other" }), repeat,
		},
		{"fail: it has been retried since", leaf(state.Created, superseding(state.Retry)), on(state.Fail, "n", basedOn(50)), mismatch},
		{"fail: its failure was ignored", leaf(state.Finished, ignored), on(state.Fail, "n", basedOn(1)), repeat},
		{"fail: its failure was ignored, and no version is named", leaf(state.Finished, ignored), on(state.Fail, "n"), transition},
		{"fail: it has finished", leaf(state.Finished), on(state.Fail, "n", basedOn(1)), transition},
		{
			"fail: it was revoked after its failure", leaf(state.Revoked, func(n *state.Node) { n.Error = "it broke" }),
			on(state.Fail, "n", basedOn(1)), repeat,
		},
		{"fail: it was revoked", leaf(state.Revoked), on(state.Fail, "n", basedOn(1)), transition},
		{"fail and ignore: its failure was ignored", leaf(state.Finished, ignored), on(state.Fail, "n", ignore, basedOn(1)), repeat},
		{"fail and ignore: it has finished", leaf(state.Finished), on(state.Fail, "n", ignore, basedOn(1)), transition},
		{"fail and ignore: it has failed", leaf(state.Failed), on(state.Fail, "n", ignore, basedOn(1)), transition},
		{"fail and retry later: it has failed", leaf(state.Failed), on(state.Fail, "n", retryAt, basedOn(1)), repeat},
		{"fail and retry later: it has failed, and no version is named", leaf(state.Failed), on(state.Fail, "n", retryAt), transition},
		{"fail and retry later: it could not be retried", leaf(state.Failed, noRetry), on(state.Fail, "n", retryAt), repeat},
		{"fail and retry later: it awaits that retry", pipeline(state.Running, pending("n")), on(state.Fail, "n", retryAt), repeat},
		{"fail and retry later: the same by version", pipeline(state.Running, pending("n")), on(state.Fail, "n", retryAt, basedOn(1)), repeat},
		{
			"fail and retry later: it awaits another retry", pipeline(state.Running, pending("n")),
			on(state.Fail, "n", basedOn(1), func(op *state.Op) { op.RetryAt = at(600) }), done,
		},
		{"suspend: it has failed and awaits a retry", pipeline(state.Running, pending("n")), on(state.Suspend, "n", basedOn(1)), repeat},
		{"fail: it awaits a retry", pipeline(state.Running, pending("n")), on(state.Fail, "n", basedOn(1)), done},
		{"fail: it has not been done", leaf(state.Running), on(state.Fail, "n", basedOn(1)), done},

		{"suspend: it is suspended", leaf(state.Suspended), on(state.Suspend, "n", basedOn(1)), repeat},
		{"suspend: it has been resumed since", leaf(state.Running), on(state.Suspend, "n", basedOn(1)), done},
		{"resume: it runs", leaf(state.Running), on(state.Resume, "n", basedOn(1)), repeat},
		{"resume: it has not started and is to be", leaf(state.Created), on(state.Resume, "n", basedOn(1)), repeat},
		{"resume: it is suspended", leaf(state.Suspended), on(state.Resume, "n", basedOn(1)), done},
		{"resume: it has failed", leaf(state.Failed), on(state.Resume, "n", basedOn(1)), repeat},
		{"resume: it has failed, and no version is named", leaf(state.Failed), on(state.Resume, "n"), transition},
		{
			"suspend: something above has ended",
			pipeline(state.Revoked, act("n", state.Running).with(paused)), on(state.Suspend, "n", basedOn(1)), repeat,
		},
		{
			"resume: something above has ended",
			pipeline(state.Revoked, sub("s", state.Suspended).with(paused)), on(state.Resume, "s", basedOn(1)), repeat,
		},
		{
			"suspend: something above has ended, and it never was suspended",
			pipeline(state.Revoked, act("n", state.Running)), on(state.Suspend, "n", basedOn(1)), transition,
		},
		{
			"suspend: something above has ended, and no version is named",
			pipeline(state.Revoked, act("n", state.Running).with(paused)), on(state.Suspend, "n"), transition,
		},
		{"suspend: it has finished", leaf(state.Finished), on(state.Suspend, "n", basedOn(1)), repeat},
		{"revoke: it is revoked", leaf(state.Revoked), on(state.Revoke, "n", basedOn(1)), repeat},
		{"revoke: it is revoked at another version", leaf(state.Revoked), on(state.Revoke, "n", basedOn(2)), mismatch},
		{"revoke: it has finished", leaf(state.Finished), on(state.Revoke, "n", basedOn(1)), transition},

		{"retry: it was retried from that version", leaf(state.Created, superseding(state.Retry)), on(state.Retry, "n", basedOn(50)), repeat},
		{
			"retry: it was, and its successor has failed again", leaf(state.Failed, superseding(state.Retry)),
			on(state.Retry, "n", basedOn(50)), repeat,
		},
		{"retry: that version was skipped", leaf(state.Finished, superseding(state.Skip)), on(state.Retry, "n", basedOn(50)), mismatch},
		{"retry: an earlier version", leaf(state.Failed, superseding(state.Retry)), on(state.Retry, "n", basedOn(49)), mismatch},
		{"retry: the current version", leaf(state.Failed, superseding(state.Retry)), on(state.Retry, "n", basedOn(1)), done},
		{"retry: no version is named", leaf(state.Failed, superseding(state.Retry)), on(state.Retry, "n"), done},
		{"retry: no version is named, and it would not be legal", leaf(state.Created, superseding(state.Retry)), on(state.Retry, "n"), transition},
		{"skip: that version was skipped", leaf(state.Finished, superseding(state.Skip)), on(state.Skip, "n", basedOn(50)), repeat},
		{"skip: that version was retried", leaf(state.Failed, superseding(state.Retry)), on(state.Skip, "n", basedOn(50)), mismatch},
		{"skip: no version is named", leaf(state.Finished, superseding(state.Skip)), on(state.Skip, "n"), transition},
		{"loop: it looped from that version", leaf(state.Running, superseding(state.Loop)), on(state.Loop, "n", basedOn(50)), repeat},
		{"loop: it did, and has finished since", leaf(state.Finished, superseding(state.Loop)), on(state.Loop, "n", basedOn(50)), repeat},
		{"loop: the current version", leaf(state.Finished, superseding(state.Loop)), on(state.Loop, "n", basedOn(1)), done},
		{"loop: no version is named", leaf(state.Running, superseding(state.Loop)), on(state.Loop, "n"), transition},
		{"reset: it was reset from that version", leaf(state.Finished, superseding(state.Reset)), on(state.Reset, "n", basedOn(50)), repeat},
		{
			"reset: it was taken along from that version", leaf(state.Finished, superseding(state.Reset), along),
			on(state.Reset, "n", basedOn(50)), mismatch,
		},

		// Cases with the history of an earlier attempt.
		{"history: it had started", leaf(state.Created), on(state.Start, "n", wasOnce(state.Revoked, 0)), repeat},
		{"history: it had not started", leaf(state.Created), on(state.Start, "n", wasOnce(state.Revoked, 0, unstarted)), mismatch},
		{"history: it had finished", leaf(state.Created), on(state.Finish, "n", wasOnce(state.Finished, state.Loop)), repeat},
		{"history: it had failed, not finished", leaf(state.Created), on(state.Finish, "n", wasOnce(state.Failed, state.Retry)), mismatch},
		{"history: its failure was ignored", leaf(state.Created), on(state.Finish, "n", wasOnce(state.Finished, state.Loop, forgiven)), mismatch},
		{"history: it had failed", leaf(state.Created), on(state.Fail, "n", wasOnce(state.Failed, state.Retry)), repeat},
		{"history: it had failed and was revoked", leaf(state.Created), on(state.Fail, "n", wasOnce(state.Revoked, state.Reset, broken)), repeat},
		{"history: it had finished, not failed", leaf(state.Created), on(state.Fail, "n", wasOnce(state.Finished, state.Loop)), mismatch},
		{"history: the failure was to be ignored", leaf(state.Created), on(state.Fail, "n", ignore, wasOnce(state.Failed, state.Retry)), mismatch},
		{"history: a suspension", leaf(state.Created), on(state.Suspend, "n", wasOnce(state.Finished, state.Loop)), repeat},
		{"history: a resumption", leaf(state.Created), on(state.Resume, "n", wasOnce(state.Created, state.Skip)), repeat},
		{"history: it was revoked", leaf(state.Created), on(state.Revoke, "n", wasOnce(state.Revoked, state.Reset)), repeat},
		{"history: it was not revoked", leaf(state.Created), on(state.Revoke, "n", wasOnce(state.Finished, state.Reset)), mismatch},
		{"history: it was retried", leaf(state.Created), on(state.Retry, "n", wasOnce(state.Failed, state.Retry)), repeat},
		{"history: it was skipped, not retried", leaf(state.Created), on(state.Retry, "n", wasOnce(state.Failed, state.Skip)), mismatch},
		{"history: it was reset", leaf(state.Created), on(state.Reset, "n", wasOnce(state.Failed, state.Reset)), repeat},
		{"history: it was taken along", leaf(state.Created), on(state.Reset, "n", wasOnce(state.Failed, 0)), mismatch},

		// The root's attempt is named by its loop count.
		{"reopen: it was reopened from that loop", pipeline(state.Running).with(looped(3)), on(state.Reopen, "", onLoop(2)), repeat},
		{"reopen: long ago", pipeline(state.Failed).with(looped(3)), on(state.Reopen, "", onLoop(1)), repeat},
		{"reopen: the current loop", pipeline(state.Failed).with(looped(3)), on(state.Reopen, "", onLoop(3)), done},
		{"reopen: a loop to come", pipeline(state.Failed).with(looped(3)), on(state.Reopen, "", onLoop(4)), mismatch},
		{"reopen: no loop is named", pipeline(state.Running).with(looped(3)), on(state.Reopen, ""), transition},
		{"root: it had finished in that loop", pipeline(state.Running).with(looped(2)), on(state.Finish, "root", rootOnce(state.Finished)), repeat},
		{"root: it had failed in that loop", pipeline(state.Running).with(looped(2)), on(state.Finish, "root", rootOnce(state.Failed)), mismatch},
		{"root: it had started in that loop", pipeline(state.Failed).with(looped(2)), on(state.Start, "root", rootOnce(state.Failed)), repeat},
		{"root: it has failed in the current loop", pipeline(state.Failed).with(looped(2)), on(state.Start, "root", onLoop(2)), repeat},

		{
			"a repeat is one whatever has become of the ancestors",
			pipeline(state.Revoked, act("n", state.Suspended)), on(state.Suspend, "n", basedOn(1)), repeat,
		},
		{"a container's repeat", pipeline(state.Finished), on(state.Finish, "root"), repeat},

		{"create: the same task", pipeline(state.Running), create("root"), repeat},
		{"create: the same task, its name spelled out", pipeline(state.Running), create("root", named(state.Pipeline.Class())), repeat},
		{"create: the root's ID left open", pipeline(state.Running), create("generated", leftOpen), repeat},
		{"create: another root", pipeline(state.Running), create("other"), state.ErrExists},
		{"create: another name", pipeline(state.Running), create("root", named("other")), state.ErrExists},
		{"declare: the same node", leaf(state.Running), declare("root", "n"), repeat},
		{"declare: the same node, its name spelled out", leaf(state.Running), declare("root", "n", named(state.ServiceActivity.Class())), repeat},
		{"declare: another name", leaf(state.Running), declare("root", "n", named("other")), state.ErrExists},
		{"declare: another kind", leaf(state.Running), declare("root", "n", asSubprocess), state.ErrExists},
		{
			"declare: another parent",
			pipeline(state.Running, sub("s", state.Running), act("n", state.Running)), declare("s", "n"), state.ErrExists,
		},
		{
			"declare: the settings are not compared", leaf(state.Running),
			declare("root", "n", func(op *state.Op) { op.NoRetry, op.NoSkip, op.MaxLoops = true, true, 5 }), repeat,
		},
		{"declare: the same key, the ID left open", leaf(state.Running, build), declare("root", "generated", leftOpen, keyedBuild), repeat},
		{"declare: the same key, another ID", leaf(state.Running, build), declare("root", "other", keyedBuild), state.ErrExists},
		{"declare: the same key, another kind", leaf(state.Running, build), declare("root", "generated", leftOpen, keyedBuild, asSubprocess), state.ErrExists},
		{"declare: the same key, another name", leaf(state.Running, build), declare("root", "generated", leftOpen, keyedBuild, named("other")), state.ErrExists},
		{
			"declare: the same key, another parent",
			pipeline(state.Running, sub("s", state.Running), act("n", state.Running).with(build)),
			declare("s", "generated", leftOpen, keyedBuild), state.ErrExists,
		},
		{"declare: the same node of an ended task", pipeline(state.Finished, act("n", state.Finished)), declare("root", "n"), repeat},
		{"declare: the ID is another task's", pipeline(state.Running), declare("root", "n", taken), state.ErrExists},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := treeOf(t, c.tree)
			idempotent(&c.op)
			after, outcomes, err := tree.Apply(state.Limits{}, c.op)
			if want, refused := c.want.(error); refused {
				refusedWith(t, err, want)
				return
			}
			refusedWith(t, err, nil)
			if err != nil {
				return
			}
			if isRepeat := outcomes[0].Transition == nil; isRepeat != (c.want == repeat) {
				t.Fatalf("recognized as a repeat: %t", isRepeat)
			}
			if c.want == repeat {
				sameTree(t, "tree after a repeat", after, tree)
				id := c.op.Node
				switch {
				case c.op.Kind == state.Create || c.op.Kind == state.Reopen:
					id = "root"
				case c.op.Key != "":
					id = "n"
				}
				if n := node(t, tree, id); outcomes[0].Node != n.ID || outcomes[0].Version != n.Version {
					t.Errorf("answered %+v, want the node as it is", outcomes[0])
				}
			}

			c.op.Idempotent = false
			if tree.Pending(0) > 0 {
				return // announcing the same retry again is a repeat
			}
			if _, _, err := tree.Apply(state.Limits{}, c.op); c.want == repeat && err == nil {
				t.Error("without being idempotent the repeat is accepted")
			}
		})
	}
}

// The attempt may have been superseded a moment ago.
func TestARepeatInABatchSeesEarlierOperations(t *testing.T) {
	tree := treeOf(t, pipeline(state.Running, act("n", state.Running))) // at version v(1)
	to := func(n byte) func(*state.Op) { return func(op *state.Op) { op.NewVersion = v(n) } }
	_, outcomes, err := tree.Apply(state.Limits{},
		on(state.Fail, "n", basedOn(1), texted("it broke")), on(state.Retry, "n", basedOn(1), to(2)), on(state.Skip, "n", basedOn(2), to(3)),
		on(state.Start, "n", basedOn(1), idempotent), on(state.Fail, "n", basedOn(1), idempotent),
		on(state.Retry, "n", basedOn(1), to(2), idempotent), on(state.Skip, "n", basedOn(2), to(3), idempotent))
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range outcomes {
		if repeat := o.Transition == nil; repeat != (i >= 3) {
			t.Errorf("operation %d is a repeat: %t", i, repeat)
		}
	}
	_, _, err = tree.Apply(state.Limits{},
		on(state.Fail, "n", basedOn(1)), on(state.Retry, "n", basedOn(1), to(2)), on(state.Finish, "n", basedOn(1), idempotent))
	refusedWith(t, err, state.ErrVersionMismatch)
}

// Histories from before attempts recorded the operation that began them.
func TestCountsShowTheOperationThatSupersededAnOldAttempt(t *testing.T) {
	a := state.Attempt{Version: v(1), Loop: 2, Retries: 3, Skips: 1}
	for want, change := range map[state.OpKind]func(*state.Attempt){
		state.Retry: func(a *state.Attempt) { a.Retries++ },
		state.Skip:  func(a *state.Attempt) { a.Skips++ },
		state.Loop:  func(a *state.Attempt) { a.Loop++ },
	} {
		next := a
		change(&next)
		if got := state.PastOf(&a, &next); got.By != want || got.Attempt != a {
			t.Errorf("superseded by %s, want %s", got.By, want)
		}
	}
}
