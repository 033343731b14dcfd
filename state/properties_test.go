package state_test

import (
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/pipestatus/pipestatus/state"
)

// After any operations, rebuilding the tree from its transitions or from its nodes
// gives the same tree, with every count, link and shown state, and the previous tree
// is unchanged. Other tests check the effects of the operations.
func TestApplyReplayAndBuilderAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := state.NewTree(key)
		var transitions []*state.Transition
		t.Repeat(map[string]func(*rapid.T){
			"apply": func(t *rapid.T) {
				before := contents(tree)
				next, outcomes, err := tree.Apply(state.Limits{Levels: 6, Nodes: 100}, drawOps(t, tree)...)
				sameContents(t, "the tree before", contents(tree), before)
				if err != nil {
					if refused := new(state.Error); !errors.As(err, &refused) {
						t.Fatalf("%v is no refusal", err)
					}
					return
				}
				for _, o := range outcomes {
					if o.Transition != nil {
						o.Transition.Sequence = uint64(len(transitions) + 1)
						transitions = append(transitions, o.Transition)
					}
				}
				tree = next.WithRevision(uint64(len(transitions)))
			},
			"": func(t *rapid.T) {
				replayed, err := state.NewTree(key).Replay(transitions...)
				if err != nil {
					t.Fatal(err)
				}
				sameTree(t, "replayed", replayed, tree)
				extended := state.NewTree(key)
				for _, tr := range transitions {
					silent := *tr
					silent.Shown, silent.Pending = 0, 0
					if extended, err = extended.Extend(&silent); err != nil {
						t.Fatal(err)
					}
					if silent.Shown != tr.Shown || silent.Pending != tr.Pending {
						t.Fatalf("extended: %s and %d pending, want %s and %d", silent.Shown, silent.Pending, tr.Shown, tr.Pending)
					}
				}
				sameTree(t, "extended", extended, tree)
				if tree.Len() > 0 {
					sameTree(t, "rebuilt", rebuilt(t, tree), tree)
				}
				if n := len(transitions); n > 0 && transitions[n-1].Shown != tree.Shown(0) {
					t.Fatalf("the last transition says %s, the tree shows %s", transitions[n-1].Shown, tree.Shown(0))
				}
			},
		})
	})
}

func sameContents(t *rapid.T, what string, got, want []content) {
	t.Helper()
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%s: node %d is %+v, was %+v", what, i, got[i], want[i])
		}
	}
}

// drawOps draws up to eight operations, most of them legal, on existing nodes
// or on nodes that earlier operations of the batch declare.
func drawOps(t *rapid.T, tree *state.Tree) (ops []state.Op) {
	if tree.Len() == 0 {
		return []state.Op{create("n0"), on(state.Start, "n0")}
	}
	nodes := tree.Len()
	for range rapid.IntRange(1, 8).Draw(t, "operations") {
		// Counted from the end, since rapid prefers small numbers.
		i := nodes - 1 - rapid.IntRange(0, nodes-1).Draw(t, "node")
		id := fmt.Sprint("n", i)
		container := i < tree.Len() && tree.Kind(i).Container()
		var op state.Op
		switch kind := drawKind(t, tree, i); {
		case container && (kind != state.Start && rapid.Bool().Draw(t, "declare")):
			op = declare(id, fmt.Sprint("n", nodes))
			if rapid.Bool().Draw(t, "subprocess") {
				asSubprocess(&op)
			}
			nodes++
		case kind == state.Fail && !container && rapid.Bool().Draw(t, "retry later"):
			op = on(kind, id, texted("503"), func(op *state.Op) { op.RetryAt = at(rapid.Int64Range(300, 302).Draw(t, "retry at")) })
		case kind == state.Fail:
			op = on(kind, id, texted("it broke"))
			op.Ignore = rapid.Bool().Draw(t, "ignore")
			op.Abandon = container && !op.Ignore && rapid.Bool().Draw(t, "abandon")
		case kind == state.Finish:
			op = on(kind, id)
			op.Tolerate = container && rapid.Bool().Draw(t, "tolerate")
		default:
			op = on(kind, id)
		}
		op.At = at(rapid.Int64Range(0, 200).Draw(t, "at"))
		ops = append(ops, op)
	}
	return ops
}

// drawKind draws an operation that is probably legal in a node's own state.
func drawKind(t *rapid.T, tree *state.Tree, i int) state.OpKind {
	if i >= tree.Len() {
		return state.Start
	}
	legal := map[state.State][]state.OpKind{
		state.Created:   {state.Start, state.Start, state.Suspend, state.Skip},
		state.Running:   {state.Finish, state.Fail, state.Suspend, state.Revoke},
		state.Failed:    {state.Retry, state.Skip, state.Fail, state.Reset},
		state.Suspended: {state.Resume, state.Finish},
		state.Finished:  {state.Loop, state.Reset},
		state.Revoked:   {state.Revoke, state.Reset},
	}
	if i == 0 {
		legal[state.Running] = []state.OpKind{state.Start, state.Suspend, state.Suspend, state.Finish, state.Fail, state.Revoke}
		for _, st := range []state.State{state.Failed, state.Finished, state.Revoked} {
			legal[st] = []state.OpKind{state.Reopen}
		}
	}
	return rapid.SampledFrom(legal[tree.State(i)]).Draw(t, "operation")
}
