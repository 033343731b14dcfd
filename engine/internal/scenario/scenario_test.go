package scenario_test

import (
	"testing"

	"github.com/pipestatus/pipestatus/engine/internal/model"
	"github.com/pipestatus/pipestatus/engine/internal/scenario"
	"github.com/pipestatus/pipestatus/state"
)

func TestTreesReproduceTheRecordings(t *testing.T) {
	all := scenario.All(t)
	if len(all) != 73 {
		t.Fatalf("%d recordings, want 73", len(all))
	}
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) {
			tree, m := state.NewTree(s.Task), model.New(state.Limits{}, nil)
			history := map[string][]state.Attempt{}
			for i, step := range s.Steps {
				for _, op := range step.Ops {
					tree = apply(t, tree, op, history)
					_, refused := m.Do(op.Op)
					if refused == nil {
						refused = &model.Refusal{}
					}
					if refused.Code != op.Refused {
						t.Fatalf("%s node %q: the model says %q, recorded %q", op.Kind, op.Node, refused.Code, op.Refused)
					}
				}
				for _, diff := range step.Compare(tree) {
					t.Errorf("step %d, %s: %s", i, step.Call, diff)
				}
			}
			for _, diff := range s.CompareHistory(func(id string) []state.Attempt { return history[id] }) {
				t.Error(diff)
			}
			for _, diff := range s.CompareHistory(m.History) {
				t.Errorf("in the model: %s", diff)
			}
		})
	}
}

// apply applies an operation or sees it refused, and collects what it
// superseded.
func apply(t *testing.T, tree *state.Tree, op scenario.Op, history map[string][]state.Attempt) *state.Tree {
	t.Helper()
	next, outcomes, err := tree.Apply(state.Limits{}, op.Op)
	if code := model.Code(err); code != op.Refused {
		t.Fatalf("code %q, recorded %q: %v", code, op.Refused, err)
	}
	if err != nil {
		return tree
	}
	for _, c := range outcomes[0].Transition.Changes {
		if c.Superseded != nil {
			history[c.ID] = append(history[c.ID], *c.Superseded)
		}
	}
	return next
}

// Each step's accepted operations given together lead to the same snapshot.
func TestStepsAsBatchesGiveTheSameSnapshots(t *testing.T) {
	for _, s := range scenario.All(t) {
		tree := state.NewTree(s.Task)
		for i, step := range s.Steps {
			var ops []state.Op
			for _, op := range step.Ops {
				if op.Refused == "" {
					ops = append(ops, op.Op)
				}
			}
			next, _, err := tree.Apply(state.Limits{}, ops...)
			if err != nil {
				t.Fatalf("%s, step %d: %v", s.Name, i, err)
			}
			tree = next
			for _, diff := range step.Compare(tree) {
				t.Errorf("%s, step %d: %s", s.Name, i, diff)
			}
		}
	}
}

// A comparison that finds nothing must not be because it looks at nothing.
func TestCompareFindsEveryDifference(t *testing.T) {
	s := find(t, "v2_i4_loop_skip_then_rerun")
	tree, m := state.NewTree(s.Task), model.New(state.Limits{}, nil)
	for _, step := range s.Steps {
		for _, op := range step.Ops {
			tree = apply(t, tree, op, map[string][]state.Attempt{})
			m.Do(op.Op)
		}
	}
	last := s.Steps[len(s.Steps)-1]
	other := state.UnixInstant(1, 0)
	for name, change := range map[string]func(*scenario.Node){
		"id":       func(n *scenario.Node) { n.ID = "other" },
		"state":    func(n *scenario.Node) { n.State = state.Failed },
		"retry":    func(n *scenario.Node) { n.Retry++ },
		"loop":     func(n *scenario.Node) { n.Loop++ },
		"skip":     func(n *scenario.Node) { n.Skip = !n.Skip },
		"start":    func(n *scenario.Node) { n.Start = other },
		"finish":   func(n *scenario.Node) { n.Finish = other },
		"children": func(n *scenario.Node) { n.Children = append(n.Children, scenario.Node{}) },
	} {
		step := scenario.Step{Expect: scenario.ShownNode(tree, 0)}
		change(&step.Expect.Children[1])
		if diffs := step.Compare(tree); len(diffs) != 1 {
			t.Errorf("%s of a child: differences %q", name, diffs)
		}
	}
	if diffs := last.Compare(state.NewTree(s.Task)); len(diffs) == 0 {
		t.Error("no difference to a task that does not exist")
	}

	changed := func(change func(*state.Attempt)) func(string) []state.Attempt {
		return func(id string) []state.Attempt {
			past := m.History(id)
			if id == "act1" {
				change(&past[1])
			}
			return past
		}
	}
	for name, change := range map[string]func(*state.Attempt){
		"loop":   func(a *state.Attempt) { a.Loop++ },
		"retry":  func(a *state.Attempt) { a.Skips++ },
		"skip":   func(a *state.Attempt) { a.Skipped = false },
		"state":  func(a *state.Attempt) { a.State = state.Failed },
		"start":  func(a *state.Attempt) { a.Started = other },
		"finish": func(a *state.Attempt) { a.Finished = other },
		"error":  func(a *state.Attempt) { a.Error = "other" },
	} {
		if diffs := s.CompareHistory(changed(change)); len(diffs) != 1 {
			t.Errorf("%s of an attempt: differences %q", name, diffs)
		}
	}
	if diffs := s.CompareHistory(func(string) []state.Attempt { return nil }); len(diffs) != len(s.History) {
		t.Errorf("no history at all: differences %q", diffs)
	}
}

func find(t *testing.T, name string) scenario.Scenario {
	t.Helper()
	for _, s := range scenario.All(t) {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no recording %s", name)
	return scenario.Scenario{}
}
