package store_test

import (
	"context"
	"fmt"
	"log"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// A store keeps the transitions that the rules computed and gives them sequences.
// Engines do this for their users.
func ExampleMemory() {
	ctx, s := context.Background(), store.NewMemory()
	defer s.Close()

	key := state.Key{Business: "2", Task: "10"}
	tree, outcomes, err := state.NewTree(key).Apply(
		state.Limits{},
		state.Op{Kind: state.Create, Task: key, Node: "root", Now: state.UnixInstant(1524730114, 0)},
		state.Op{Kind: state.Start, Node: "root", Now: state.UnixInstant(1524730115, 0)},
	)
	if err != nil {
		log.Fatal(err)
	}
	change := store.Write{Base: tree.Revision()}
	for _, o := range outcomes {
		change.Transitions = append(change.Transitions, o.Transition)
	}
	results, err := s.Commit(ctx, []store.Write{change})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("first sequence", results[0].First, results[0].Err)

	// The same change again was computed from a task that did not exist yet.
	results, err = s.Commit(ctx, []store.Write{change})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(results[0].Err)

	snap, err := s.Load(ctx, store.ByNode("root"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(snap.Tree.Key(), snap.Tree.Shown(0), "at revision", snap.Tree.Revision())
	// Output:
	// first sequence 1 <nil>
	// already exists: task "2"/"10"
	// "2"/"10" RUNNING at revision 2
}
