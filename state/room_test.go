package state_test

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/pipestatus/pipestatus/state"
)

// Reusing a room does not change the results, and trees do not depend on it.
func TestARoomCanBeUsedAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := state.NewTree(key)
		var room state.Room
		t.Repeat(map[string]func(*rapid.T){
			"apply": func(t *rapid.T) {
				limits := state.Limits{Levels: 6, Nodes: 100}
				ops := drawOps(t, tree)
				want, outcomes, err := tree.Apply(limits, ops...)
				if err != nil {
					return
				}
				got, inRoom, err := tree.ApplyValid(&room, limits, ops...)
				if err != nil || !reflect.DeepEqual(inRoom, outcomes) {
					t.Fatalf("in a room: %+v, %v, want %+v", inRoom, err, outcomes)
				}
				if rapid.Bool().Draw(t, "clear") {
					room.Clear()
				}
				sameTree(t, "the tree", got, want)
				got.SetRevision(tree.Revision() + 1)
				tree = got
			},
		})
	})
}
