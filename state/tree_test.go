package state_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/pipestatus/pipestatus/state"
)

// grown is a pipeline to which n-1 nodes were added by operations: leaves in
// eight subprocesses, so that siblings are far apart.
func grown(t testing.TB, n int) *state.Tree {
	t.Helper()
	tree, _ := apply(t, state.NewTree(key), create("root"), on(state.Start, "root"))
	for i := 1; i < n; i++ {
		op := declare("root", fmt.Sprint("n", i), asSubprocess)
		if i > 8 {
			op = declare(fmt.Sprint("n", 1+i%8), fmt.Sprint("n", i))
		}
		tree, _ = apply(t, tree, op)
	}
	return tree
}

// The sizes are around those at which the index makes tables and the sequence
// of nodes gets another level.
var sizes = []int{1, 2, 9, 15, 16, 17, 31, 32, 33, 64, 65, 1000, 1023, 1024, 1025, 2048, 2049}

func TestATreeNeverChanges(t *testing.T) {
	for _, n := range sizes {
		t.Run(fmt.Sprint("nodes=", n), func(t *testing.T) {
			tree := grown(t, n)
			was, leaf := contents(tree), tree.ID(n-1)
			parent := "root"
			if n > 8 {
				parent = "n1"
			}
			tree.Apply(state.Limits{}, declare(parent, "new"))
			tree.Apply(state.Limits{}, on(state.Suspend, leaf))
			tree.Apply(state.Limits{}, on(state.Revoke, "root"))
			tree.Apply(state.Limits{}, declare(parent, "new"), on(state.Fail, "root"))
			next, tr := apply(t, tree, on(state.Revoke, "root"))
			if _, err := tree.Replay(tr); err != nil {
				t.Fatal(err)
			}
			tree.WithRevision(99)
			for i, c := range contents(tree) {
				if c != was[i] {
					t.Errorf("node %d was %+v, is %+v", i, was[i], c)
				}
			}
			if _, found := tree.Find("new"); found || tree.Revision() != 0 {
				t.Error("changes of trees that were made from it show in it")
			}
			if next.State(0) != state.Revoked {
				t.Errorf("the tree after it is %s", next.State(0))
			}
		})
	}
}

func TestForksOfATreeAreIndependent(t *testing.T) {
	for i := range 2 * len(sizes) {
		n, loaded := sizes[i/2], i%2 == 1
		t.Run(fmt.Sprint("nodes=", n, "/loaded=", loaded), func(t *testing.T) {
			trunk := grown(t, n)
			if loaded {
				trunk = rebuilt(t, trunk)
			}
			was := contents(trunk)
			parent := "root"
			if n > 8 {
				parent = "n1"
			}
			fork := func(name string, leaves int) *state.Tree {
				tree := trunk
				for i := range leaves {
					tree, _ = apply(t, tree, declare(parent, fmt.Sprint(name, i)))
				}
				return tree
			}
			const leaves = 40 // enough for both to merge the trunk's tables
			a := fork("a", leaves)
			b := fork("b", leaves)
			for i := range leaves {
				for _, c := range []struct {
					name string
					tree *state.Tree
					want bool
				}{
					{"a", a, true}, {"b", a, false}, {"b", b, true}, {"a", b, false}, {"a", trunk, false}, {"b", trunk, false},
				} {
					at, found := c.tree.Find(fmt.Sprint(c.name, i))
					if found != c.want || found && at != n+i {
						t.Fatalf("%s%d is found at %d, %t", c.name, i, at, found)
					}
				}
			}
			for i, c := range contents(trunk) {
				if c != was[i] {
					t.Fatalf("node %d of the trunk was %+v, is %+v", i, was[i], c)
				}
			}
			sameTree(t, "fork a", a, rebuilt(t, a))
			sameTree(t, "fork b", b, rebuilt(t, b))
		})
	}
}

// A loaded tree gets its index at the first lookup of a node. Several goroutines,
// and trees derived from it, may do this at the same time.
func TestALoadedTreeCanBeSearchedConcurrently(t *testing.T) {
	const nodes = 100
	tree := rebuilt(t, grown(t, nodes))
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			later := tree.WithRevision(9)
			for i := range nodes {
				if at, found := later.Find(tree.ID(i)); !found || at != i {
					t.Errorf("node %d is found at %d, %t", i, at, found)
				}
			}
		})
		group.Go(func() {
			next, _, err := tree.Apply(state.Limits{}, declare("root", "new"))
			if err != nil {
				t.Error(err)
				return
			}
			if at, found := next.Find("new"); !found || at != nodes {
				t.Errorf("the new node is found at %d, %t", at, found)
			}
			if _, found := tree.Find("new"); found {
				t.Error("the new node is found in the tree before")
			}
		})
	}
	group.Wait()
}

// rebuilt is the tree that a builder makes from all its nodes, with all counts
// computed from scratch.
func rebuilt(t failer, tree *state.Tree) *state.Tree {
	t.Helper()
	b := state.NewBuilder(tree.Key(), tree.Len()/2)
	b.Label(tree.Labels())
	for i := range tree.Len() {
		n := tree.Node(i)
		if err := b.Add(&n); err != nil {
			t.Fatalf("%v", err)
		}
	}
	copied, err := b.Tree(tree.Revision())
	if err != nil {
		t.Fatalf("%v", err)
	}
	return copied
}

func TestChildrenAreInTheOrderOfCreation(t *testing.T) {
	tree, _ := apply(t, state.NewTree(key), create("root"),
		declare("root", "a", asSubprocess), declare("root", "b", asSubprocess),
		declare("b", "b1"), declare("a", "a1"), declare("root", "c"), declare("a", "a2"), declare("b", "b2"))
	for id, want := range map[string]string{"root": "[a b c]", "a": "[a1 a2]", "b": "[b1 b2]", "c": "[]"} {
		i, _ := tree.Find(id)
		var got []string
		for c := range tree.Children(i) {
			got = append(got, tree.ID(c))
			if tree.Parent(c) != i {
				t.Errorf("the parent of %s is %d, not %s", tree.ID(c), tree.Parent(c), id)
			}
		}
		if fmt.Sprint(got) != want {
			t.Errorf("children of %s: %s, want %s", id, got, want)
		}
	}
	for c := range tree.Children(0) {
		if c > 1 {
			t.Error("the iteration continues after break")
		}
		break
	}
}

func TestAnUnknownIDIsNotFound(t *testing.T) {
	for _, n := range sizes {
		tree := grown(t, n)
		for _, id := range []string{"", "n", "n0", fmt.Sprint("n", n), "root "} {
			if i, found := tree.Find(id); found {
				t.Errorf("%d nodes: %q is found at %d", n, id, i)
			}
		}
	}
	if _, found := state.NewTree(key).Find("root"); found {
		t.Error("a node of a task that does not exist is found")
	}
}

func TestReplayContinuesFromAnyTree(t *testing.T) {
	ops := []state.Op{
		create("root"), on(state.Start, "root"), declare("root", "s", asSubprocess), on(state.Start, "s"),
		declare("s", "a"), on(state.Start, "a"), on(state.Fail, "a", retryAt), on(state.Retry, "a"),
		on(state.Suspend, "s"), declare("s", "b"), on(state.Revoke, "root"),
	}
	tree := state.NewTree(key)
	trees, transitions := []*state.Tree{tree}, []*state.Transition(nil)
	for i, op := range ops {
		var tr *state.Transition
		tree, tr = apply(t, tree, op)
		tr.Sequence = uint64(10 * (i + 1)) // sequences are the store's: other tasks have the ones between
		tree = tree.WithRevision(tr.Sequence)
		trees, transitions = append(trees, tree), append(transitions, tr)
	}
	for from := range trees {
		for to := from; to < len(trees); to++ {
			got, err := trees[from].Replay(transitions[from:to]...)
			if err != nil {
				t.Fatal(err)
			}
			sameTree(t, fmt.Sprintf("replayed from %d to %d", from, to), got, trees[to])
		}
	}
}

func TestReplayRefusesInconsistentTransitions(t *testing.T) {
	tree := treeOf(t, pipeline(state.Running, act("a", state.Running)))
	_, finish := apply(t, tree, on(state.Finish, "a"))
	_, add := apply(t, tree, declare("root", "b"))
	_, begin := apply(t, state.NewTree(key), create("root"))
	for _, c := range []struct {
		name   string
		tree   *state.Tree
		tr     *state.Transition
		change func(*state.Change)
	}{
		{"a change of a node that is not there", tree, finish, func(c *state.Change) { c.Index = 2 }},
		{"a change of a node before the first", tree, finish, func(c *state.Change) { c.Index = -1 }},
		{"a change to no state", tree, finish, func(c *state.Change) { c.State = 0 }},
		{"a change to an unknown state", tree, finish, func(c *state.Change) { c.State = state.Finished + 1 }},
		{"a change in a task that does not exist", state.NewTree(key), finish, func(*state.Change) {}},
		{"a node that leaves a gap", tree, add, func(c *state.Change) { c.Index = 3 }},
		{"a node where there is one", tree, add, func(c *state.Change) { c.Index = 1 }},
		{"a node before the first", tree, add, func(c *state.Change) { c.Index = -1 }},
		{"a node of no kind", tree, add, func(c *state.Change) { c.Kind = 0 }},
		{"a node of an unknown kind", tree, add, func(c *state.Change) { c.Kind = end(state.Pipeline) }},
		{"a node in no state", tree, add, func(c *state.Change) { c.State = 0 }},
		{"a second root", tree, add, func(c *state.Change) { c.Kind = state.Pipeline }},
		{"a node in none", tree, add, func(c *state.Change) { c.Declared.ParentIndex = -1 }},
		{"a node in a leaf", tree, add, func(c *state.Change) { c.Declared.ParentIndex = 1 }},
		{"a node in itself", tree, add, func(c *state.Change) { c.Declared.ParentIndex = 2 }},
		{"a node in one to come", tree, add, func(c *state.Change) { c.Declared.ParentIndex = 3 }},
		{"a node in one before the first", tree, add, func(c *state.Change) { c.Declared.ParentIndex = -2 }},
		{"a root that exists", tree, begin, func(*state.Change) {}},
		{"a root that is a leaf", state.NewTree(key), begin, func(c *state.Change) { c.Kind = state.StartEvent }},
		{"a root in another node", state.NewTree(key), begin, func(c *state.Change) { c.Declared.ParentIndex = 0 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			was := contents(c.tree)
			change := c.tr.Changes[0]
			if change.Declared != nil {
				declared := *change.Declared
				change.Declared = &declared
			}
			c.change(&change)
			tr := *c.tr
			tr.Changes = []state.Change{change}
			if _, err := c.tree.Replay(&tr); !errors.Is(err, state.ErrMalformed) {
				t.Errorf("got %v, want ErrMalformed", err)
			}
			if len(contents(c.tree)) != len(was) {
				t.Error("the tree changed")
			}
		})
	}
}

func TestABuilderRefusesInconsistentNodes(t *testing.T) {
	good := func() []state.Node {
		root, s, a := pipeline(state.Running).node, sub("s", state.Running).node, act("a", state.Running).node
		root.ParentIndex, s.Index, a.Index, a.ParentIndex = -1, 1, 2, 1
		return []state.Node{root, s, a}
	}
	for _, c := range []struct {
		name   string
		change func(nodes []state.Node)
		ok     bool
	}{
		{"nodes that fit", func([]state.Node) {}, true},
		{"a gap", func(nodes []state.Node) { nodes[2].Index = 3 }, false},
		{"the same place twice", func(nodes []state.Node) { nodes[2].Index = 1 }, false},
		{"a root that is a leaf", func(nodes []state.Node) { nodes[0].Kind = state.StartEvent }, false},
		{"a root that is a subprocess", func(nodes []state.Node) { nodes[0].Kind = state.Subprocess }, false},
		{"a root in itself", func(nodes []state.Node) { nodes[0].ParentIndex = 0 }, false},
		{"a second root", func(nodes []state.Node) { nodes[1].ParentIndex = -1 }, false},
		{"a pipeline in a pipeline", func(nodes []state.Node) { nodes[1].Kind = state.Pipeline }, false},
		{"a node in a leaf", func(nodes []state.Node) { nodes[1].Kind = state.ServiceActivity }, false},
		{"a node in itself", func(nodes []state.Node) { nodes[2].ParentIndex = 2 }, false},
		{"a node in one to come", func(nodes []state.Node) { nodes[1].ParentIndex = 2 }, false},
		{"a node in one before the first", func(nodes []state.Node) { nodes[1].ParentIndex = -2 }, false},
		{"no kind", func(nodes []state.Node) { nodes[2].Kind = 0 }, false},
		{"no state", func(nodes []state.Node) { nodes[2].State = 0 }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			nodes := good()
			c.change(nodes)
			b := state.NewBuilder(key, 0)
			for i := range nodes {
				if err := b.Add(&nodes[i]); err != nil {
					if c.ok || !errors.Is(err, state.ErrMalformed) {
						t.Errorf("%v", err)
					}
					return
				}
			}
			if tree, err := b.Tree(7); !c.ok || err != nil || tree.Len() != 3 || tree.Revision() != 7 {
				t.Errorf("built, %v", err)
			}
		})
	}
	if _, err := state.NewBuilder(key, 5).Tree(1); !errors.Is(err, state.ErrMalformed) {
		t.Errorf("a tree without a root: %v", err)
	}
}

func TestABuiltTreeBehavesLikeItsOriginal(t *testing.T) {
	for _, n := range sizes {
		original := grown(t, n)
		built := rebuilt(t, original)
		sameTree(t, "built", built, original)
		ops := []state.Op{declare("root", "x", asSubprocess), declare("x", "y"), on(state.Suspend, "y"), on(state.Revoke, "root")}
		a, _ := apply(t, original, ops...)
		b, _ := apply(t, built, ops...)
		sameTree(t, "after more operations", b, a)
	}
}
