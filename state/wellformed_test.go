package state_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/pipestatus/pipestatus/state"
)

// The fast check of IDs agrees with the definition.
func TestIDsAreJudgedByTheirRunes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := []byte(rapid.StringOfN(rapid.RuneFrom([]rune("az09 ~\x1f\x7f\x80\x9f\u00a0é")), 0, 70, -1).Draw(t, "id"))
		if len(id) > 0 && rapid.Bool().Draw(t, "alter") {
			id[rapid.IntRange(0, len(id)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		control := strings.ContainsFunc(string(id), func(r rune) bool { return r < 0x20 || r >= 0x7f && r <= 0x9f })
		want := len(id) > 0 && len(id) <= state.MaxIDBytes && utf8.Valid(id) && !control
		if err := state.CheckID("ID", string(id)); (err == nil) != want {
			t.Fatalf("%q: %v", id, err)
		}
	})
}

// A node with any different value has a different trace, so that Follows refuses
// changes of other nodes.
func TestDifferentNodesHaveDifferentTraces(t *testing.T) {
	id := func(b byte) state.Version { return state.VersionOf([16]byte{b}) }
	base := func() state.Node {
		return state.Node{ID: "n", Index: 1, Kind: state.ServiceActivity, Progress: state.Progress{
			Attempt: state.Attempt{
				Version: id(1), State: state.Failed, Began: state.Retry, Loop: 2, Retries: 1,
				Started: at(10), Finished: at(20), Error: "text",
			},
			Updated: at(20), Supersedes: id(2),
		}}
	}
	trace := func(n *state.Node) state.Trace { return state.TraceOf(n.ID, n.Kind, &n.Progress) }
	seen := map[state.Trace]string{{}: "no node"}
	same := base()
	seen[trace(&same)] = "the node"
	for name, alter := range map[string]func(n *state.Node){
		"ID":            func(n *state.Node) { n.ID = "m" },
		"kind":          func(n *state.Node) { n.Kind = state.EndEvent },
		"state":         func(n *state.Node) { n.State = state.Revoked },
		"version":       func(n *state.Node) { n.Version = id(3) },
		"no version":    func(n *state.Node) { n.Version = state.Version{} },
		"loop":          func(n *state.Node) { n.Loop = 1 },
		"retries":       func(n *state.Node) { n.Retries = 2 },
		"skips":         func(n *state.Node) { n.Skips = 1 },
		"counts moved":  func(n *state.Node) { n.Retries, n.Skips = 0, 1 },
		"along":         func(n *state.Node) { n.Along = true },
		"paused":        func(n *state.Node) { n.Paused = true },
		"skipped":       func(n *state.Node) { n.Skipped = true },
		"ignored":       func(n *state.Node) { n.ErrorIgnored = true },
		"started":       func(n *state.Node) { n.Started = at(11) },
		"started later": func(n *state.Node) { n.Started = state.UnixInstant(1<<33, 10) },
		"not started":   func(n *state.Node) { n.Started = state.Instant{} },
		"finished":      func(n *state.Node) { n.Finished = at(10) },
		"error":         func(n *state.Node) { n.Error = "texts" },
		"no error":      func(n *state.Node) { n.Error = "" },
		"retry":         func(n *state.Node) { n.RetryAt = at(30) },
		"began":         func(n *state.Node) { n.Began = state.Loop },
		"supersedes":    func(n *state.Node) { n.Supersedes = id(3) },
	} {
		n := base()
		alter(&n)
		if other, twice := seen[trace(&n)]; twice {
			t.Errorf("another %s has the trace of: %s", name, other)
		}
		seen[trace(&n)] = name
	}
	if other := base(); trace(&other) != trace(&same) {
		t.Error("the same node has two traces")
	}
}

// Validate runs for every committed transition.
func TestAWellFormedTransitionIsExaminedWithoutAllocation(t *testing.T) {
	tree, _ := apply(t, state.NewTree(key), create("n0"), on(state.Start, "n0"), declare("n0", "n1"))
	n := node(t, tree, "n1")
	before := state.TraceOf(n.ID, n.Kind, &n.Progress)
	_, tr := apply(t, tree, on(state.Start, "n1"))
	if n := testing.AllocsPerRun(100, func() {
		if tr.Validate() != nil || tr.Changes[0].Follows(before) != nil {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkValidate(b *testing.B) {
	tree, _ := apply(b, state.NewTree(key), create("0123456789abcdef0123456789abcdef"),
		on(state.Start, "0123456789abcdef0123456789abcdef"), declare("0123456789abcdef0123456789abcdef", "1123456789abcdef0123456789abcdef"))
	n := tree.Node(1)
	before := state.TraceOf(n.ID, n.Kind, &n.Progress)
	_, tr := apply(b, tree, on(state.Start, n.ID))
	for b.Loop() {
		if tr.Validate() != nil || tr.Changes[0].Follows(before) != nil {
			b.Fatal("refused")
		}
	}
}
