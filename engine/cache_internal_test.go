package engine

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// tree is a task of so many nodes at a revision, ended or not. The root has the
// task's ID.
func tree(t *testing.T, task string, revision uint64, nodes int, end bool) *state.Tree {
	t.Helper()
	now := state.UnixInstant(0, 0)
	key := state.Key{Business: "2", Task: task}
	ops := []state.Op{{Kind: state.Create, Task: key, Node: task, Now: now}}
	for i := 1; i < nodes; i++ {
		ops = append(ops, state.Op{
			Kind: state.Declare, Parent: task, Node: fmt.Sprint(task, ".", i), NodeKind: state.EndEvent,
			NewVersion: state.VersionOf([16]byte{1}), Now: now,
		})
	}
	if end {
		ops = append(ops, state.Op{Kind: state.Revoke, Node: task, Now: now})
	}
	tr, _, err := state.NewTree(key).Apply(state.Limits{}, ops...)
	if err != nil {
		t.Fatal(err)
	}
	return tr.WithRevision(revision)
}

// inMemory lists those of the given tasks that are in memory.
func inMemory(c *cache, tasks ...string) (in []string) {
	for _, task := range tasks {
		if c.get(store.ByKey("2", task)) != nil {
			in = append(in, task)
		}
	}
	return in
}

// put replaces a tree as a commit does.
func (c *cache) put(tree *state.Tree) { c.replace([]*work{{tree: tree}}) }

func TestCacheKeepsTheNewestTree(t *testing.T) {
	c := newCache(100, func(*state.Tree) {})
	c.put(tree(t, "a", 5, 3, false))
	c.put(tree(t, "a", 4, 2, false))
	c.offer(tree(t, "a", 4, 2, false), store.ByNode("a"), c.removals.Load())
	if got := c.get(store.ByNode("a.2")); got == nil || got.Revision() != 5 {
		t.Errorf("got %v", got)
	}
}

func TestCacheRefusesTreesReadBeforeARemoval(t *testing.T) {
	for what, remove := range map[string]func(c *cache){
		"of what is there":     func(c *cache) { c.put(tree(t, "a", 5, 1, false)); c.remove(state.Key{Business: "2", Task: "a"}) },
		"of what is not there": func(c *cache) { c.remove(state.Key{Business: "2", Task: "a"}) },
		"of everything":        func(c *cache) { c.clear() },
	} {
		c := newCache(100, func(*state.Tree) {})
		before := c.removals.Load()
		remove(c)
		c.offer(tree(t, "a", 4, 1, false), store.ByNode("a"), before)
		if in := inMemory(c, "a"); len(in) > 0 {
			t.Errorf("removal %s: the tree is back", what)
		}
	}
}

// A reused key has new nodes; a reused ID leads to its new task, even when the
// old task is dropped.
func TestCacheFollowsKeysAndIDsThatAreUsedAgain(t *testing.T) {
	c := newCache(100, func(*state.Tree) {})
	old := tree(t, "a", 5, 3, false)
	c.put(old)
	key := state.Key{Business: "2", Task: "other"}
	now := state.UnixInstant(0, 0)
	heir, _, err := state.NewTree(key).Apply(state.Limits{}, state.Op{Kind: state.Create, Task: key, Node: "a.1", Now: now})
	if err != nil {
		t.Fatal(err)
	}
	c.put(heir.WithRevision(9))
	c.remove(old.Key())
	if got := c.get(store.ByNode("a.1")); got == nil || got.Key() != key {
		t.Errorf("node a.1 leads to %v", got)
	}

	c.put(old)
	again, _, err := state.NewTree(old.Key()).Apply(state.Limits{}, state.Op{Kind: state.Create, Task: old.Key(), Node: "new", Now: now})
	if err != nil {
		t.Fatal(err)
	}
	c.put(again.WithRevision(12))
	if c.get(store.ByNode("a.2")) != nil || c.get(store.ByNode("new")) == nil {
		t.Error("the key's old nodes are still there, or the new ones are not")
	}
}

func TestCacheDropsTheLeastRecentlyUsed(t *testing.T) {
	var gone []string
	var c *cache
	c = newCache(6, func(tr *state.Tree) {
		gone = append(gone, tr.Key().Task)
		c.get(store.ByKey("2", "a")) // the lock is free
	})
	for i, task := range []string{"a", "b", "c"} {
		c.put(tree(t, task, uint64(i+1), 2, false))
	}
	c.put(tree(t, "d", 4, 2, false)) // the hand passes all and takes the first
	c.get(store.ByNode("b"))
	c.put(tree(t, "e", 5, 2, false))
	if got := fmt.Sprint(gone); got != "[a c]" {
		t.Errorf("dropped %s, want [a c]", got)
	}
	c.put(tree(t, "huge", 6, 50, false))
	if in := inMemory(c, "a", "b", "c", "d", "e", "huge"); fmt.Sprint(in) != "[huge]" {
		t.Errorf("with one that is too large: %v", in)
	}
}

// Ended tasks have a separate small bound and do not displace others.
func TestCacheKeepsFewEndedTasks(t *testing.T) {
	c := newCache(2*endedShare, func(*state.Tree) {})
	c.put(tree(t, "live", 1, 1, false))
	for i := range 10 {
		c.put(tree(t, fmt.Sprint("ended ", i), uint64(i+2), 1, true))
	}
	if in := inMemory(c, "live", "ended 7", "ended 8", "ended 9"); fmt.Sprint(in) != "[live ended 8 ended 9]" {
		t.Errorf("kept %v", in)
	}
	// A task that ends moves to the other ring.
	c.put(tree(t, "live", 20, 1, true))
	if n := c.rings[unfinished].nodes; n != 0 {
		t.Errorf("%d nodes counted as unfinished", n)
	}
	if n := c.rings[ended].nodes; n != 2 {
		t.Errorf("%d nodes counted as ended, want 2", n)
	}
}

// Another engine can delete a task and create it again, with the same root and
// as many other nodes.
func TestALoadedTreeReplacesTheNodesOfItsPredecessor(t *testing.T) {
	c := newCache(100, func(*state.Tree) {})
	c.put(tree(t, "10", 5, 2, false))
	now := state.UnixInstant(0, 0)
	anew, _, err := state.NewTree(state.Key{Business: "2", Task: "10"}).Apply(state.Limits{},
		state.Op{Kind: state.Create, Task: state.Key{Business: "2", Task: "10"}, Node: "10", Now: now},
		state.Op{
			Kind: state.Declare, Parent: "10", Node: "other", NodeKind: state.EndEvent,
			NewVersion: state.VersionOf([16]byte{1}), Now: now,
		})
	if err != nil {
		t.Fatal(err)
	}
	c.offer(anew.WithRevision(9), store.ByNode("other"), c.removals.Load())
	if c.get(store.ByNode("10.1")) != nil || c.get(store.ByNode("other")) == nil {
		t.Error("the nodes in memory are those of the task that was deleted")
	}
	c.remove(anew.Key())
	if names := names(&c.nodes); len(names) > 0 {
		t.Errorf("nodes of no task stay: %v", names)
	}
}

// names lists the names in an index.
func names[K comparable](x *index[K]) (names []K) {
	for i := range x.parts {
		names = slices.AppendSeq(names, maps.Keys(x.parts[i].tasks))
	}
	return names
}

// A tree that was loaded by its key is not in the index of nodes until a node
// is asked for.
func TestCacheIndexesNodesOnFirstUse(t *testing.T) {
	byKey := store.ByKey("2", "a")
	for _, tc := range []struct {
		then  string
		do    func(c *cache)
		known int
	}{
		{"nothing", func(*cache) {}, 0},
		{"it is read again", func(c *cache) { c.offer(tree(t, "a", 5, 3, false), byKey, c.removals.Load()) }, 0},
		{"it is read anew", func(c *cache) { c.offer(tree(t, "a", 6, 4, false), byKey, c.removals.Load()) }, 0},
		{"it is read for a node", func(c *cache) { c.offer(tree(t, "a", 5, 3, false), store.ByNode("a.1"), c.removals.Load()) }, 3},
		{"it is read anew for a node", func(c *cache) { c.offer(tree(t, "a", 6, 4, false), store.ByNode("a.1"), c.removals.Load()) }, 4},
		{"it changes", func(c *cache) { c.put(tree(t, "a", 6, 3, false)) }, 3},
		{"it grows", func(c *cache) { c.put(tree(t, "a", 6, 4, false)) }, 4},
		{"it ends", func(c *cache) { c.put(tree(t, "a", 6, 3, true)) }, 3},
	} {
		c := newCache(100, func(*state.Tree) {})
		c.offer(tree(t, "a", 5, 3, false), byKey, c.removals.Load())
		tc.do(c)
		if known := names(&c.nodes); len(known) != tc.known || c.get(byKey) == nil {
			t.Errorf("then %s: knows %v, want %d; task %v", tc.then, known, tc.known, c.get(byKey))
		}
		c.remove(state.Key{Business: "2", Task: "a"})
		if known := names(&c.nodes); len(known) > 0 || c.get(byKey) != nil {
			t.Errorf("then %s, then it is removed: knows %v", tc.then, known)
		}
	}
}

// A tree that was found by a node has that node.
func TestCacheReturnsTreesThatHaveTheNode(t *testing.T) {
	const nodes = 500
	c := newCache(10*nodes, func(*state.Tree) {})
	var trees []*state.Tree
	for n := 1; n <= nodes; n += 10 {
		trees = append(trees, tree(t, "a", uint64(n), n, false))
	}
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for n := 1; n < nodes-10; {
				id := fmt.Sprint("a.", n)
				tree := c.get(store.ByNode(id))
				if tree == nil {
					runtime.Gosched()
					continue
				}
				if _, ok := tree.Find(id); !ok {
					t.Errorf("node %s leads to a tree of %d nodes", id, tree.Len())
					return
				}
				n++
			}
		})
	}
	for _, tree := range trees {
		c.put(tree)
		runtime.Gosched()
	}
	readers.Wait()
}

// A removal during the read does not hide the nodes of other trees.
func TestCacheIndexesNodesReadDuringARemoval(t *testing.T) {
	c := newCache(100, func(*state.Tree) {})
	read := tree(t, "a", 5, 3, false)
	c.offer(read, store.ByKey("2", "a"), c.removals.Load())
	before := c.removals.Load()
	c.remove(state.Key{Business: "2", Task: "other"})
	c.offer(read, store.ByNode("a.1"), before)
	if c.get(store.ByNode("a.1")) == nil {
		t.Error("the node that was asked for is not found")
	}
}
