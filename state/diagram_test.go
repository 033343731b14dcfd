package state

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// The order of states in the diagram: states before the end, then ended ones.
var diagramOrder = []State{Created, Running, Suspended, Failed, Revoked, Finished}

// diagram draws the table of rules: every move from one own state to another
// that the table allows and that the code makes.
func diagram(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n")
	for _, op := range []OpKind{Create, Declare} {
		fmt.Fprintf(&b, "    [*] --> %s: %s\n", Created, op)
	}
	for _, op := range onNodes {
		for _, from := range diagramOrder {
			reached := reached(t, op, from)
			for _, to := range diagramOrder {
				if reached.has(to) {
					fmt.Fprintf(&b, "    %s --> %s: %s\n", from, to, op)
				}
			}
		}
	}
	return b.String()
}

func TestTheDiagramInTheDocumentMatchesTheRules(t *testing.T) {
	document, err := os.ReadFile("RULES.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(document), "```mermaid\n")
	documented, _, _ := strings.Cut(rest, "```")
	if want := diagram(t); documented != want {
		t.Errorf("RULES.md has\n%s\nthe rules are\n%s", documented, want)
	}
}

// The rule for the state after an operation must agree with the code that makes
// it.
func TestEffectsStayWithinTheTable(t *testing.T) {
	for _, op := range onNodes {
		r := &rules[op]
		var all set
		for _, from := range diagramOrder {
			to := reached(t, op, from)
			if starts := r.from | r.leafFrom; starts.has(from) != (to != 0) {
				t.Errorf("%s from %s leads to the states %06b, the table says it starts from %06b", op, from, to, starts)
			}
			all |= to
		}
		if all != r.to {
			t.Errorf("%s leads to the states %06b, the table says %06b", op, all, r.to)
		}
	}
}

// reached returns the states that op leads to from a state.
func reached(t *testing.T, op OpKind, from State) (all set) {
	t.Helper()
	for _, ignore := range []bool{false, true} {
		for _, at := range []Instant{{}, UnixInstant(1, 0)} {
			if to, ok := led(t, op, from, ignore, at); ok {
				all |= in(to)
			}
		}
	}
	return all
}

// led applies op to a node in state from, started at a time or not, and returns
// the resulting state. The node is a leaf unless the operation is for the root.
// A failed leaf waits for its automatic retry.
func led(t *testing.T, op OpKind, from State, ignore bool, startedAt Instant) (to State, ok bool) {
	t.Helper()
	root := Attempt{State: Running}
	leaf := Attempt{State: from, Started: startedAt}
	o := Op{Kind: op, Node: "a", Now: UnixInstant(2, 0), Ignore: ignore && op == Fail}
	target := 1
	if rules[op].place == onlyRoot {
		target, root, o.Node, o.Task = 0, leaf, "", Key{"2", "10"}
	}
	if from == Failed {
		leaf.RetryAt = UnixInstant(3, 0)
	}
	b := NewBuilder(Key{"2", "10"}, 2)
	for _, n := range []Node{
		{ID: "root", Kind: Pipeline, Declaration: Declaration{ParentIndex: -1}, Progress: Progress{Attempt: root}},
		{ID: "a", Index: 1, Kind: StartEvent, Progress: Progress{Attempt: leaf}},
	} {
		if err := b.Add(&n); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := b.Tree(1)
	if err != nil {
		t.Fatal(err)
	}
	if op.NamesAttempt() {
		o.NewVersion = VersionOf([16]byte{1})
	}
	next, _, err := tree.Apply(Limits{}, o)
	if err != nil {
		return 0, false
	}
	return next.State(target), true
}
