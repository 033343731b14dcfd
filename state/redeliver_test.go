package state_test

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/pipestatus/pipestatus/state"
)

// A runner that does not know how much of its log was recorded delivers all of it
// again: after any later operations, nothing is refused and the task is unchanged.
func TestALogWithVersionsCanBeDeliveredAgainFromItsBeginning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := state.NewTree(key)
		var history []*state.Transition
		deliver := func(op state.Op) (done bool, err error) {
			next, outcomes, err := tree.Apply(state.Limits{}, op)
			if errors.Is(err, state.ErrVersionMismatch) {
				id := op.Node
				if op.Kind == state.Reopen {
					id = tree.ID(0)
				}
				op.Past = op.Recall(id, history)
				next, outcomes, err = tree.Apply(state.Limits{}, op)
			}
			if err == nil {
				tree = next
				if tr := outcomes[0].Transition; tr != nil {
					history = append(history, tr)
					done = true
				}
			}
			return done, err
		}
		var log []state.Op
		for i := range rapid.IntRange(1, 120).Draw(t, "operations") {
			for _, op := range drawOps(t, tree)[:1] {
				if tree.Len() == 0 {
					op = create("n0")
				}
				op.Idempotent = true
				nameAttempt(tree, &op)
				if op.Kind.NamesAttempt() {
					op.NewVersion = state.VersionOf([16]byte{14: byte(i + 1)})
				}
				if done, _ := deliver(op); done {
					log = append(log, op)
				}
			}
		}
		was := tree
		for i, op := range log {
			if _, err := deliver(op); err != nil {
				t.Fatalf("operation %d of %d, delivered again: %v", i, len(log), err)
			}
		}
		for i := range was.Len() {
			w, g := was.Node(i), tree.Node(i)
			if w.State != g.State || w.Version != g.Version || w.RetryAt != g.RetryAt || w.Error != g.Error ||
				w.Started != g.Started || w.Finished != g.Finished || w.Number() != g.Number() {
				t.Fatalf("node %q was %+v, is %+v after all of the log was delivered again", w.ID, w, g)
			}
		}
	})
}

// nameAttempt makes an operation name the current attempt.
func nameAttempt(tree *state.Tree, op *state.Op) {
	if tree.Len() == 0 || op.Kind == state.Create || op.Kind == state.Declare {
		return
	}
	i, known := tree.Find(op.Node)
	if op.Kind == state.Reopen {
		i, known = 0, true
	}
	if !known {
		return
	}
	if n := tree.Node(i); i == 0 {
		op.Loop = n.Loop
	} else {
		op.Version = n.Version
	}
}
