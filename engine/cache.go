package engine

import (
	"container/list"
	"sync"
	"sync/atomic"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// cache holds the trees in memory, by task key and by node ID. Only committed
// trees get in. It is bounded in nodes; when it is full the clock algorithm
// approximates least recently used first: a tree used since the hand last
// passed gets another round.
type cache struct {
	bound   int
	evicted func(*state.Tree)

	mu    sync.RWMutex // protects everything below
	tasks map[state.Key]*task
	nodes map[string]*task
	live  int       // nodes of all trees
	ring  list.List // of *task; the hand is at the front
	// removals counts the trees that went, so that a tree read from the store
	// meanwhile is not put back in place of a newer one.
	removals uint64
}

// task is a task in memory.
type task struct {
	tree atomic.Pointer[state.Tree]
	used atomic.Bool
	elem *list.Element
}

func newCache(bound int, evicted func(*state.Tree)) *cache {
	return &cache{
		bound: bound, evicted: evicted,
		tasks: make(map[state.Key]*task), nodes: make(map[string]*task),
	}
}

// get returns the tree that ref names, nil if it is not in memory.
func (c *cache) get(ref store.Ref) *state.Tree {
	var t *task
	c.mu.RLock()
	if ref.Node != "" {
		t = c.nodes[ref.Node]
	} else {
		t = c.tasks[ref.Key]
	}
	c.mu.RUnlock()
	if t == nil {
		return nil
	}
	if !t.used.Load() {
		t.used.Store(true)
	}
	return t.tree.Load()
}

// put makes committed trees the current ones.
func (c *cache) put(trees ...*state.Tree) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, tree := range trees {
		c.set(tree)
	}
	c.shrink()
}

// offer puts a tree that was read from the store, unless a newer one is there
// or may have been since removals was read.
func (c *cache) offer(tree *state.Tree, removals uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.tasks[tree.Key()]; c.removals != removals || t != nil && t.tree.Load().Revision() >= tree.Revision() {
		return
	}
	c.set(tree)
	c.shrink()
}

func (c *cache) removalCount() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.removals
}

// set replaces or adds a tree. The caller holds mu.
func (c *cache) set(tree *state.Tree) {
	t, known := c.tasks[tree.Key()], 0
	switch {
	case t == nil:
		t = &task{}
		t.elem = c.ring.PushBack(t)
		c.tasks[tree.Key()] = t
	case t.tree.Load().ID(0) != tree.ID(0):
		// The key was freed and used again, which another engine can do.
		c.forget(t.tree.Load())
	default:
		known = t.tree.Load().Len()
	}
	for i := known; i < tree.Len(); i++ {
		c.nodes[tree.ID(i)] = t
	}
	c.live += tree.Len() - known
	t.tree.Store(tree)
	t.used.Store(true)
}

// remove drops a task.
func (c *cache) remove(key state.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.tasks[key]; t != nil {
		c.drop(t)
	}
}

// shrink drops trees until the bound holds. The caller holds mu.
func (c *cache) shrink() {
	for c.live > c.bound && c.ring.Len() > 1 {
		t := c.ring.Front().Value.(*task)
		if t.used.Swap(false) {
			c.ring.MoveToBack(t.elem)
			continue
		}
		c.drop(t)
		c.evicted(t.tree.Load())
	}
}

func (c *cache) drop(t *task) {
	tree := t.tree.Load()
	c.forget(tree)
	delete(c.tasks, tree.Key())
	c.ring.Remove(t.elem)
	c.removals++
}

// forget takes the nodes of a tree out of the index.
func (c *cache) forget(tree *state.Tree) {
	for i := range tree.Len() {
		delete(c.nodes, tree.ID(i))
	}
	c.live -= tree.Len()
}
