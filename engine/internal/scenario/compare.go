package scenario

import (
	"fmt"

	"github.com/pipestatus/pipestatus/state"
)

// Compare lists the differences between a tree, by the default convention, and the
// status that the step expects, one line for each.
func (s *Step) Compare(tree *state.Tree) []string {
	if tree.Len() == 0 {
		return []string{"there is no task"}
	}
	return s.Expect.compare("", ShownNode(tree, 0))
}

// ShownNode is the status, by the default convention, of the node at an index and
// its children.
func ShownNode(tree *state.Tree, i int) Node {
	n := tree.Node(i)
	s := Node{
		ID: n.ID, State: tree.Shown(i), Retry: n.Retry(), Loop: n.Loop, Skip: n.Skipped,
		Start: n.Started, Finish: n.Finished,
	}
	for c := range tree.Children(i) {
		s.Children = append(s.Children, ShownNode(tree, c))
	}
	return s
}

// compare lists the differences between the expected and the actual status at and
// below a path.
func (n *Node) compare(above string, got Node) (diffs []string) {
	path := above + "/" + n.ID
	note := func(what string, got, want any) {
		if got != want {
			diffs = append(diffs, fmt.Sprintf("%s: %s is %v, want %v", path, what, got, want))
		}
	}
	note("id", got.ID, n.ID)
	note("state", got.State, n.State)
	note("retry", got.Retry, n.Retry)
	note("loop", got.Loop, n.Loop)
	note("skip", got.Skip, n.Skip)
	note("start time", got.Start, n.Start)
	note("finish time", got.Finish, n.Finish)
	note("number of children", len(got.Children), len(n.Children))
	for i := range min(len(got.Children), len(n.Children)) {
		diffs = append(diffs, n.Children[i].compare(path, got.Children[i])...)
	}
	return diffs
}

// CompareHistory lists the differences between the recorded superseded attempts of
// the scenario's nodes, at its end, and the actual ones. attempts returns those of
// a node, oldest first.
func (s *Scenario) CompareHistory(attempts func(node string) []state.Attempt) (diffs []string) {
	for _, id := range s.Nodes() {
		got, want := attempts(id), s.History[id]
		if len(got) != len(want) {
			diffs = append(diffs, fmt.Sprintf("%s: %d superseded attempts, want %d", id, len(got), len(want)))
			continue
		}
		for i := range want {
			a := &got[i]
			shown := Attempt{
				Loop: a.Loop, Retry: a.Retry(), Skip: a.Skipped, State: a.State,
				Start: a.Started, Finish: a.Finished, Error: a.Error,
			}
			if shown != want[i] {
				diffs = append(diffs, fmt.Sprintf("%s: attempt %d is %v, want %v", id, i, shown, want[i]))
			}
		}
	}
	return diffs
}

// Nodes lists the IDs of the scenario's nodes in the order of creation, the
// root first.
func (s *Scenario) Nodes() (ids []string) {
	for _, step := range s.Steps {
		for _, op := range step.Ops {
			if op.Refused == "" && (op.Kind == state.Create || op.Kind == state.Declare) {
				ids = append(ids, op.Node)
			}
		}
	}
	return ids
}
