package state_test

import (
	"errors"
	"fmt"

	"github.com/pipestatus/pipestatus/state"
)

// A task from its creation to a failed activity. The pipeline shows FAILED, while
// its own state stays RUNNING.
func ExampleTree_Apply() {
	key := state.Key{Business: "2", Task: "10"}
	version, _ := state.ParseVersion("914d35fe7d143c2186e6d3532870b37d")
	now := state.UnixInstant(1524730114, 0)

	tree, _, err := state.NewTree(key).Apply(state.Limits{},
		state.Op{Kind: state.Create, Task: key, Node: "root", Now: now},
		state.Op{Kind: state.Start, Node: "root", Now: now},
		state.Op{Kind: state.Declare, Parent: "root", Node: "build", NodeKind: state.ServiceActivity, NewVersion: version, Now: now},
		state.Op{Kind: state.Start, Node: "build", Now: now},
		state.Op{Kind: state.Fail, Node: "build", Error: "no space left", Version: version, Now: now},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("own state", tree.State(0), "- shows", tree.Shown(0))

	// A refused operation changes nothing.
	_, _, err = tree.Apply(state.Limits{}, state.Op{Kind: state.Finish, Node: "build", Now: now})
	fmt.Println(err)
	fmt.Println(errors.Is(err, state.ErrInvalidTransition))

	// Output:
	// own state RUNNING - shows FAILED
	// finish node "build" (FAILED) of task "2"/"10": invalid transition
	// true
}

// Transitions contain outcomes, so a tree can be rebuilt from them without the
// rules.
func ExampleTree_Replay() {
	key := state.Key{Business: "2", Task: "10"}
	now := state.UnixInstant(1524730114, 0)

	tree := state.NewTree(key)
	_, outcomes, err := tree.Apply(state.Limits{},
		state.Op{Kind: state.Create, Task: key, Node: "root", Name: "deploy", Now: now},
		state.Op{Kind: state.Start, Node: "root", Now: now},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, outcome := range outcomes { // as a store would commit them
		outcome.Transition.Sequence = uint64(17 + i)
		if tree, err = tree.Replay(outcome.Transition); err != nil {
			fmt.Println(err)
			return
		}
		root := tree.Node(0)
		fmt.Printf("revision %d: %s %s, start time %q\n", tree.Revision(), root.DisplayName(), tree.Shown(0), root.Started)
	}

	// Output:
	// revision 17: deploy CREATED, start time ""
	// revision 18: deploy RUNNING, start time "2018-04-26T08:08:34Z"
}
