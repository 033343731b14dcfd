package state_test

import (
	"errors"
	"testing"

	"github.com/pipestatus/pipestatus/state"
)

// again is an operation that begins an attempt of "a" with a version.
func again(kind state.OpKind, n byte, changes ...func(*state.Op)) state.Op {
	return on(kind, "a", append(changes, version(n), func(op *state.Op) { op.VersionGiven = true })...)
}

func TestANodeHasEachVersionOnce(t *testing.T) {
	tree := treeOf(t, pipeline(state.Running, act("a", state.Failed))) // version 1
	fails := []state.Op{on(state.Start, "a"), on(state.Fail, "a")}
	tree, _ = apply(t, tree, append([]state.Op{again(state.Retry, 2)}, fails...)...)
	for _, kind := range []state.OpKind{state.Retry, state.Skip, state.Reset} {
		for what, n := range map[string]byte{"the current version": 2, "the one before": 1} {
			if _, _, err := tree.Apply(state.Limits{}, again(kind, n)); !errors.Is(err, state.ErrExists) {
				t.Errorf("%s with %s: %v", kind, what, err)
			}
			generated := on(kind, "a", version(n))
			if _, _, err := tree.Apply(state.Limits{}, generated); !errors.Is(err, state.ErrExists) {
				t.Errorf("%s with %s, generated: %v", kind, what, err)
			}
		}
		if _, _, err := tree.Apply(state.Limits{}, again(kind, 3)); err != nil {
			t.Errorf("%s with a new version: %v", kind, err)
		}
	}
	// In a batch, also versions that the tree no longer has.
	batch := append([]state.Op{again(state.Retry, 3)}, fails...)
	batch = append(append(batch, again(state.Retry, 4)), fails...)
	for _, n := range []byte{2, 3, 4} {
		if _, _, err := tree.Apply(state.Limits{}, append(batch, again(state.Retry, n))...); !errors.Is(err, state.ErrExists) {
			t.Errorf("version %d at the end of a batch: %v", n, err)
		}
	}
}

func TestAnEarlierVersionIsLookedUpOnlyWhereTheTreeDoesNotKnow(t *testing.T) {
	second := act("a", state.Failed).with(func(n *state.Node) { n.Retries, n.Version, n.Supersedes = 1, v(2), v(1) })
	third := act("a", state.Failed).with(func(n *state.Node) { n.Retries, n.Version, n.Supersedes = 2, v(3), v(2) })
	generated := on(state.Retry, "a", version(9))
	for what, c := range map[string]struct {
		node spec
		op   state.Op
		want bool
	}{
		"a node with one attempt":                        {act("a", state.Failed), again(state.Retry, 9), false},
		"a node with two":                                {second, again(state.Retry, 9), false},
		"a node with three":                              {third, again(state.Retry, 9), true},
		"its current version":                            {third, again(state.Retry, 3), false},
		"a generated version":                            {third, generated, false},
		"a node that is not known":                       {act("b", state.Failed), again(state.Retry, 9), false},
		"the one before, which a batch may do away with": {second, again(state.Retry, 1), true},
	} {
		tree := treeOf(t, pipeline(state.Running, c.node))
		if got := tree.WantsVersions(&c.op); got != c.want {
			t.Errorf("%s: %t, want %t", what, got, c.want)
		}
	}
	told := again(state.Retry, 9, func(op *state.Op) { op.VersionTaken = true })
	_, _, err := treeOf(t, pipeline(state.Running, third)).Apply(state.Limits{}, told)
	refusedWith(t, err, state.ErrExists)
}

func TestAVersionInUseIsRefusedAfterAStaleOneAndBeforeTheState(t *testing.T) {
	tree := treeOf(t, pipeline(state.Running, act("a", state.Running)))
	_, _, err := tree.Apply(state.Limits{}, again(state.Retry, 1, basedOn(7)))
	refusedWith(t, err, state.ErrVersionMismatch)
	_, _, err = tree.Apply(state.Limits{}, again(state.Retry, 1))
	refusedWith(t, err, state.ErrExists)
	_, _, err = tree.Apply(state.Limits{}, again(state.Retry, 2))
	refusedWith(t, err, state.ErrInvalidTransition)
}
