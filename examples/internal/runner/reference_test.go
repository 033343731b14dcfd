//go:build unix

package runner

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// referenceCase is a tree and what the reference engine made of it.
type referenceCase struct {
	Name    string
	Tree    json.RawMessage
	Ends    *referenceNode // nil if the tree is refused
	Refused string         // a part of the problem
}

type referenceNode struct {
	State       string
	Loop, Retry int
	Skip        bool
	Children    map[string]*referenceNode // by the IDs in the tree
}

func TestEveryTreeEndsAsInTheReferenceEngine(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/reference.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for text := range bytes.Lines(data) {
		var c referenceCase
		if err := json.Unmarshal(text, &c); err != nil {
			t.Fatal(err)
		}
		if c.Ends != nil {
			ran++
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			def, err := parseDefinition(c.Tree, false)
			if c.Ends == nil {
				if err == nil || !strings.Contains(err.Error(), c.Refused) {
					t.Errorf("error is %v, want one about %q", err, c.Refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			r := inMemory(t, def)
			if _, err := r.do(nil, proceed); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.Ends, inTree(r.status(), r.passedOver())); diff != "" {
				t.Errorf("it ended otherwise (-reference +runner):\n%s", diff)
			}
		})
	}
	if ran != 57 {
		t.Errorf("%d trees ran, want 57", ran)
	}
}

// passedOver are the keys of the nodes that the pipeline has passed without
// beginning them. The reference engine does not know of them.
func (r *localRun) passedOver() map[string]bool {
	r.t.Helper()
	transitions, err := r.store.Transitions(r.t.Context(), state.Key{Business: "1", Task: "1"}, 0, 1<<20)
	if err != nil {
		r.t.Fatal(err)
	}
	tree := r.tree(state.Key{Business: "1", Task: "1"})
	passed := map[string]bool{}
	for _, tr := range transitions {
		passed[tree.Node(tr.Changes[0].Index).Key] = tr.Actor == notTaken
	}
	return passed
}

// inTree is a status by the IDs that the nodes have in the definition, without
// those that have not begun.
func inTree(s *query.Status, passed map[string]bool) *referenceNode {
	n := &referenceNode{State: s.State.String(), Loop: s.Loop, Retry: s.Retry, Skip: s.Skip}
	for _, c := range s.Children {
		if passed[c.ID] || c.State == state.Created && c.Retry == 0 && c.Loop == 1 {
			continue
		}
		if n.Children == nil {
			n.Children = map[string]*referenceNode{}
		}
		n.Children[c.ID] = inTree(c, passed)
	}
	return n
}

// smallTrees are trees with one feature each, and how the activities, or the
// nodes that failed, end. Those that begin with "refused: " are refused.
var smallTrees = map[string]string{
	"version_strings":            "_b FINISHED",
	"leading_zero":               "_b FINISHED",
	"string_order":               "_a FINISHED",
	"multi_true":                 "_g FAILED: several conditions of exclusive gateway multi_true_g hold, those of flows multi_true_f1, multi_true_f2",
	"in_list":                    "_a FINISHED",
	"quoted_ref":                 "_a FINISHED",
	"default_and_condition":      "_a FINISHED",
	"mako_cond":                  "refused: ${len(os)} is an expression",
	"mako_command":               "refused: component.inputs.command: ${int(n) + 1} is an expression",
	"splice_var":                 "_a FINISHED",
	"spaced_value":               "_a FINISHED",
	"list_var":                   "_a FINISHED",
	"timeout_config":             "_a FAILED: timed out after 1s",
	"loop_config":                "_a FINISHED loop=3",
	"endless":                    "_a FAILED loop=101: it exceeds the rerun limit of 100 passes",
	"retry_loop":                 "_a FINISHED retry=2 loop=2",
	"scope_plain":                "_in_a FINISHED",
	"scope":                      "_in_a FINISHED",
	"shadow":                     "_in_a FINISHED",
	"old_flags":                  "_a FAILED: exit status 3",
	"par_fail":                   "_a FAILED: exit status 2, _b FINISHED",
	"error_ignorable":            "_a FINISHED",
	"skippable_false_ignorable":  "_a FINISHED",
	"error_ignorable_auto_retry": "_a FINISHED retry=2",
	"executable_end":             `refused: end_event: type "ExecutableEndEvent"`,
	// A ${} in a plain command is for the shell, which fails.
	"mako_command_plain": "_a FAILED: ",
	"longline":           "a1 FAILED: " + strings.Repeat(".", headBytes) + "… 4003 bytes …" + strings.Repeat(".", endBytes-27) + " fatal: certificate expired: exit status 1",
	"progress":           "a1 FAILED: fatal: disk quota exceeded: exit status 1",
	"set-long":           "a1 FINISHED, a2 FINISHED",
}

func TestSmallTreesEndAsTheyShould(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/trees/*.json")
	if err != nil || len(files) != len(smallTrees) {
		t.Fatalf("there are %d trees, %v, want %d", len(files), err, len(smallTrees))
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			def, err := parseDefinition(data, false)
			want, refused := strings.CutPrefix(smallTrees[name], "refused: ")
			if refused {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error is %v, want one about %q", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			r := inMemory(t, def)
			if _, err := r.do(nil, proceed); err != nil {
				t.Fatal(err)
			}
			if got := summary(t, r, def); got != want && (name != "mako_command_plain" || !strings.HasPrefix(got, want)) {
				t.Errorf("it ended with\n%s, want\n%s", got, want)
			}
		})
	}
}

// summary is how the activities of a run and its nodes that failed ended, with
// their IDs as far as they differ from the definition's.
func summary(t *testing.T, r *localRun, def *definition) string {
	t.Helper()
	status, passed := r.status(), r.passedOver()
	var parts []string
	for _, id := range slices.Sorted(maps.Keys(def.nodes)) {
		n := def.nodes[id]
		s := byID(status, id)
		if s == nil || s.State == state.Created || passed[s.ID] || n.kind != state.ServiceActivity && (s.State != state.Failed || n.kind == state.Subprocess) {
			continue
		}
		s.Name = strings.TrimPrefix(id, def.root.id)
		if cut := strings.LastIndexByte(id, '_'); cut >= 0 && n.in == def.root {
			s.Name = id[cut:]
		}
		part := shape(s)[0]
		if s.State == state.Failed {
			snap, err := r.store.Load(t.Context(), store.ByNodeKey("1", "1", s.ID))
			if err != nil {
				t.Fatal(err)
			}
			part += ": " + strings.ReplaceAll(snap.Tree.Node(snap.Index).Error, "\n", ": ")
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

func byID(s *query.Status, id string) *query.Status {
	if s.ID == id {
		return s
	}
	for _, c := range s.Children {
		if found := byID(c, id); found != nil {
			return found
		}
	}
	return nil
}

// If the time to check a definition grew with the cube of its size, as it once did, this
// would take hours.
func TestALargeDefinitionIsDividedIntoItsParallelParts(t *testing.T) {
	t.Parallel()
	const parts = 4000
	tree := newTree("p")
	before := "p_start"
	for i := range parts {
		a, fork, b, c, join := fmt.Sprint("a", i), fmt.Sprint("fork", i), fmt.Sprint("b", i), fmt.Sprint("c", i), fmt.Sprint("join", i)
		activity(tree, a, "true")
		gateway(tree, fork, "ParallelGateway")
		activity(tree, b, "true")
		activity(tree, c, "true")
		gateway(tree, join, "ConvergeGateway")
		chain(tree, before, a, fork, b, join)
		chain(tree, fork, c, join)
		before = join
	}
	chain(tree, before, "p_end")
	def, err := parseDefinition(encode(t, tree), false)
	if err != nil {
		t.Fatal(err)
	}
	for i := range parts {
		b, fork := def.nodes[fmt.Sprint("b", i)], def.nodes[fmt.Sprint("fork", i)]
		if b.region != fork.opens || b.region.outer != nil || fork.opens.converge != def.nodes[fmt.Sprint("join", i)] {
			t.Fatalf("part %d is not what it should be", i)
		}
	}
}
