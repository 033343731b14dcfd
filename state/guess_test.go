package state_test

import (
	"testing"

	"github.com/pipestatus/pipestatus/state"
)

// Even a repeat is refused if it names a version that never existed.
func TestAGuessedVersionIsAlwaysRefused(t *testing.T) {
	guess := state.VersionOf([16]byte{0xde, 0xad})
	tree := treeOf(t, pipeline(state.Running))
	for _, op := range []state.Op{declare("root", "a"), on(state.Start, "a"), on(state.Fail, "a")} {
		for _, kind := range onExisting {
			if kind == state.Reopen {
				continue // the root has no version
			}
			for _, idempotent := range []bool{false, true} {
				for _, id := range []string{"root", "a"} {
					if _, known := tree.Find(id); !known {
						continue
					}
					guessed := on(kind, id, func(op *state.Op) { op.Version, op.Idempotent = guess, idempotent })
					_, _, err := tree.Apply(state.Limits{}, guessed)
					refusedWith(t, err, state.ErrVersionMismatch)
				}
			}
		}
		tree, _ = apply(t, tree, op)
	}
}
