package state

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// The order of states in the diagram: those that go on before those that have
// ended.
var diagramOrder = []State{Created, Running, Suspended, Failed, Revoked, Finished}

// diagram draws the table of rules.
func diagram() string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n")
	for _, op := range []OpKind{Create, Declare} {
		fmt.Fprintf(&b, "    [*] --> %s: %s\n", Created, op)
	}
	for op := Start; op <= Revoke; op++ {
		for _, from := range diagramOrder {
			for _, to := range diagramOrder {
				if rules[op].from.has(from) && rules[op].to.has(to) {
					fmt.Fprintf(&b, "    %s --> %s: %s\n", from, to, op)
				}
			}
		}
	}
	return b.String()
}

func TestTheDiagramInThePackageCommentIsThatOfTheRules(t *testing.T) {
	source, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var documented strings.Builder
	for line := range strings.Lines(string(source)) {
		if text, ok := strings.CutPrefix(line, "//\t"); ok {
			documented.WriteString(text)
		}
	}
	if got, want := documented.String(), diagram(); got != want {
		t.Errorf("doc.go has\n%s\nthe rules are\n%s", got, want)
	}
}

// The rule that says where an operation leads and the code that leads there
// must not drift apart.
func TestEffectsStayWithinTheTable(t *testing.T) {
	for op := Start; op <= Revoke; op++ {
		var reached set
		for _, from := range diagramOrder {
			for _, ignore := range []bool{false, true} {
				for _, at := range []Instant{{}, UnixInstant(1, 0)} {
					if to, ok := led(t, op, from, ignore, at); ok {
						reached |= in(to)
					}
				}
			}
		}
		if reached != rules[op].to {
			t.Errorf("%s leads to the states %06b, the table says %06b", op, reached, rules[op].to)
		}
	}
}

// led applies op to a leaf in state from, which had started at a time or not,
// and returns where it leads.
func led(t *testing.T, op OpKind, from State, ignore bool, startedAt Instant) (to State, ok bool) {
	t.Helper()
	b := NewBuilder(Key{"2", "10"}, 2)
	for _, n := range []Node{
		{ID: "root", Kind: Pipeline, Declaration: Declaration{ParentIndex: -1}, Progress: Progress{Attempt: Attempt{State: Running}}},
		{ID: "a", Index: 1, Kind: StartEvent, Progress: Progress{Attempt: Attempt{State: from, Started: startedAt}}},
	} {
		if err := b.Add(&n); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := b.Tree(1)
	if err != nil {
		t.Fatal(err)
	}
	o := Op{Kind: op, Node: "a", Now: UnixInstant(2, 0), Ignore: ignore && op == Fail}
	if op.NewAttempt() {
		o.NewVersion = VersionOf([16]byte{1})
	}
	next, _, err := tree.Apply(Limits{}, o)
	if err != nil {
		return 0, false
	}
	return next.State(1), true
}
