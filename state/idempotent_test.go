package state_test

import (
	"testing"

	"github.com/pipestatus/pipestatus/state"
)

// superseding says that operation op made v(1) follow v(50).
func superseding(op state.OpKind) func(*state.Node) {
	return func(n *state.Node) { n.Began, n.Supersedes = op, v(50) }
}

func ignored(n *state.Node) { n.ErrorIgnored, n.Error = true, "it broke" }

func TestAnIdempotentOperationKnowsItsRepeat(t *testing.T) {
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
		want any // repeat, done, or what it is refused with
	}{
		{"start: it runs at that version", leaf(state.Running), on(state.Start, "n", basedOn(1)), repeat},
		{"start: it runs, and no version is named", leaf(state.Running), on(state.Start, "n"), repeat},
		{"start: it runs at another version", leaf(state.Running), on(state.Start, "n", basedOn(2)), mismatch},
		{"start: it has finished since", leaf(state.Finished), on(state.Start, "n", basedOn(1)), transition},
		{"start: it has not been done", leaf(state.Created), on(state.Start, "n", basedOn(1)), done},
		{"start: what a loop set running runs", leaf(state.Running, superseding(state.Loop)), on(state.Start, "n", basedOn(1)), repeat},

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
		{"fail: its failure was ignored", leaf(state.Finished, ignored), on(state.Fail, "n", basedOn(1)), transition},
		{"fail and ignore: its failure was ignored", leaf(state.Finished, ignored), on(state.Fail, "n", ignore, basedOn(1)), repeat},
		{"fail and ignore: it has finished", leaf(state.Finished), on(state.Fail, "n", ignore, basedOn(1)), transition},
		{"fail and ignore: it has failed", leaf(state.Failed), on(state.Fail, "n", ignore, basedOn(1)), transition},
		{"fail and retry later: it has failed", leaf(state.Failed), on(state.Fail, "n", retryAt, basedOn(1)), repeat},
		{"fail: it has not been done", leaf(state.Running), on(state.Fail, "n", basedOn(1)), done},

		{"suspend: it is suspended", leaf(state.Suspended), on(state.Suspend, "n", basedOn(1)), repeat},
		{"suspend: it has been resumed since", leaf(state.Running), on(state.Suspend, "n", basedOn(1)), done},
		{"resume: it runs", leaf(state.Running), on(state.Resume, "n", basedOn(1)), repeat},
		{"resume: it has not started and is to be", leaf(state.Created), on(state.Resume, "n", basedOn(1)), repeat},
		{"resume: it is suspended", leaf(state.Suspended), on(state.Resume, "n", basedOn(1)), done},
		{"resume: it has failed", leaf(state.Failed), on(state.Resume, "n", basedOn(1)), transition},
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
				t.Fatalf("recognised as a repeat: %t", isRepeat)
			}
			if c.want == repeat {
				sameTree(t, "tree after a repeat", after, tree)
				id := c.op.Node
				if c.op.Kind == state.Create {
					id = "root"
				}
				if n := node(t, tree, id); outcomes[0].Node != n.ID || outcomes[0].Version != n.Version {
					t.Errorf("answered %+v, want the node as it is", outcomes[0])
				}
			}

			c.op.Idempotent = false
			if _, _, err := tree.Apply(state.Limits{}, c.op); c.want == repeat && err == nil {
				t.Error("without being idempotent the repeat is accepted")
			}
		})
	}
}
