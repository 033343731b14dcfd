//go:build unix

package runner

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
)

// outline is the names and states of all nodes, those still to come included.
func outline(s *query.Status) (lines []string) {
	lines = append(lines, s.Name+" "+s.State.String())
	for _, c := range s.Children {
		for _, l := range outline(c) {
			lines = append(lines, "  "+l)
		}
	}
	return lines
}

func TestRemainingStepsShowInTheOrderOfTheFlows(t *testing.T) {
	t.Parallel()
	inside := newTree("sub")
	activity(inside, "deep", "true")
	chain(inside, "sub_start", "deep", "sub_end")
	tree := newTree("p")
	activity(tree, "short", "exit 1")
	activity(tree, "a_last", "true") // by ID before those that lead to it
	activity(tree, "long", "true")
	subprocess(tree, "s", inside)
	gateway(tree, "fork", "ParallelGateway")
	gateway(tree, "join", "ConvergeGateway")
	chain(tree, "p_start", "fork", "short", "join", "s", "a_last", "p_end")
	chain(tree, "fork", "long", "join")
	o := callRunner(t, "-db", filepath.Join(t.TempDir(), "p.db"), write(t, tree))
	want := []string{
		pipelineName + " FAILED", "  start FINISHED", "  fork FINISHED", "  short FAILED", "  long FINISHED",
		"  join CREATED", "  s CREATED", "  a_last CREATED", "  end CREATED",
	}
	if diff := cmp.Diff(want, outline(o.status)); diff != "" {
		t.Error(diff)
	}
}

func TestABranchOfALoopIsSkippedOnlyWhenTheLoopHasEnded(t *testing.T) {
	t.Parallel()
	inside := newTree("sub")
	activity(inside, "first", "true")
	activity(inside, "second", "true")
	gateway(inside, "which", "ExclusiveGateway")
	inside["data"] = object{"inputs": object{"${n}": object{"value": 0}}}
	chain(inside, "sub_start", "which")
	connect(inside, "which", "first", "${n} == 0")
	connect(inside, "which", "second", "default")
	chain(inside, "first", "sub_end")
	chain(inside, "second", "sub_end")
	tree := newTree("p")
	tree["data"] = object{"inputs": object{"${n}": object{"value": 0}}}
	subprocess(tree, "s", inside)
	find(tree, "s")["params"] = object{"${n}": object{"type": "splice", "value": "${n}"}}
	activity(tree, "count", `echo "::set n=$NODE_LOOP"`)
	gateway(tree, "again", "ExclusiveGateway")
	activity(tree, "repair", "true")
	activity(tree, "never", "true")
	chain(tree, "p_start", "s", "count", "again")
	connect(tree, "again", "repair", "${n} == 1")
	connect(tree, "again", "never", "${n} > 5")
	connect(tree, "again", "p_end", "default")
	chain(tree, "repair", "s")
	chain(tree, "never", "p_end")
	// Both branches inside ran once, in one pass each, and so did repair: none was
	// skipped before.
	runTree(t, tree, exitFinished, pipelineName+" FINISHED", "  start FINISHED", "  s FINISHED loop=2",
		"    start FINISHED loop=2", "    which FINISHED loop=2", "    first FINISHED", "    second FINISHED", "    end FINISHED loop=2",
		"  count FINISHED loop=2", "  again FINISHED loop=2", "  repair FINISHED", "  never FINISHED retry=1 skip", "  end FINISHED")
}

func TestForwardOrderPutsANodeAfterAllThatLeadToIt(t *testing.T) {
	t.Parallel()
	def, err := parseDefinition(encode(t, everythingTree("flag")), false)
	if err != nil {
		t.Fatal(err)
	}
	at := map[*node]int{}
	for i, n := range def.root.nodes {
		at[n] = i
	}
	if len(at) != 13 || def.root.nodes[0].kind != state.StartEvent || def.root.nodes[12].kind != state.EndEvent {
		t.Fatalf("%d nodes", len(at))
	}
	back := 0
	for _, n := range def.root.nodes {
		for _, br := range n.next {
			if at[br.to] <= at[n] {
				back++
			}
		}
	}
	if back != 2 {
		t.Errorf("%d flows lead back, want the 2 of the loops", back)
	}
}

func TestTheFlowsOfTheDefinitionAreRecorded(t *testing.T) {
	t.Parallel()
	def, err := parseDefinition(encode(t, everythingTree(filepath.Join(t.TempDir(), "flag"))), false)
	if err != nil {
		t.Fatal(err)
	}
	r := inMemory(t, def)
	if _, err := r.do(nil, proceed); err != nil {
		t.Fatal(err)
	}
	tree := r.tree(state.Key{Business: "1", Task: "1"})
	came := map[string]string{}
	for i := range tree.Len() {
		n := tree.Node(i)
		if i == 0 {
			continue
		}
		if n.CameFrom > 0 {
			came[n.Key] = tree.Node(n.CameFrom).Key
		}
		leading := map[string]bool{}
		for from := range n.After.All() {
			leading[tree.Node(from).Key] = true
		}
		for _, m := range def.nodes[n.Key].previous {
			if !leading[m.id] && m.id != "again" && m.id != "x_again" { // which lead back to sub and x
				t.Errorf("%s is not recorded as leading to %s, only %v", m.id, n.Key, leading)
			}
			delete(leading, m.id)
		}
		if len(leading) > 0 {
			t.Errorf("%v are recorded as leading to %s", leading, n.Key)
		}
	}
	for to, from := range map[string]string{"sub": "again", "x": "x_again", "thrice": "thrice", "spread": "again", "count": "sub"} {
		if came[to] != from {
			t.Errorf("%s came from %q, want %q", to, came[to], from)
		}
	}
}
