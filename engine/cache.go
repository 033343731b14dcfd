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
// passed gets another round. Trees of tasks that are not unfinished have a
// bound of their own, a small part of the other: nothing will be applied to
// them, and a heap full of them measured 15 % of a transition's CPU in
// garbage collection.
type cache struct {
	evicted func(*state.Tree)

	mu    sync.RWMutex // protects everything below
	tasks map[state.Key]*task
	nodes map[string]*task
	rings [2]ring
	// removals counts the trees that went, so that a tree read from the store
	// meanwhile is not put back in place of a newer one.
	removals uint64
}

// ring is the trees of one sort.
type ring struct {
	list  list.List // of *task; the clock's hand is at the front
	nodes int
	bound int
}

// The rings of the cache.
const (
	unfinished = iota
	ended
)

// endedShare is the part of the bound that ended tasks may take.
const endedShare = 64

// task is a task in memory.
type task struct {
	tree atomic.Pointer[state.Tree]
	used atomic.Bool
	ring int
	elem *list.Element
}

// use tells the clock. It writes only if that changes something, since all
// processors share the memory.
func (t *task) use() {
	if !t.used.Load() {
		t.used.Store(true)
	}
}

func newCache(bound int, evicted func(*state.Tree)) *cache {
	c := &cache{evicted: evicted, tasks: make(map[state.Key]*task), nodes: make(map[string]*task)}
	c.rings[unfinished].bound = bound
	c.rings[ended].bound = bound / endedShare
	return c
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
	t.use()
	return t.tree.Load()
}

// put makes committed trees the current ones, unless newer ones are there.
//
// Most trees take the place of one with the same nodes. That goes on beside
// readers, so that they seldom wait for a commit's trees. It uses up the slice.
func (c *cache) put(trees ...*state.Tree) {
	rest := trees[:0]
	c.mu.RLock()
	for _, tree := range trees {
		if !c.swap(tree) {
			rest = append(rest, tree)
		}
	}
	c.mu.RUnlock()
	if len(rest) == 0 {
		return
	}
	c.mu.Lock()
	for _, tree := range rest {
		c.set(tree)
	}
	c.shrinkAndUnlock()
}

// swap puts a tree in place of an older one of the same nodes and in the same
// ring, if there is one. mu is held for reading, and only commits call it.
func (c *cache) swap(tree *state.Tree) bool {
	t := c.tasks[tree.Key()]
	if t == nil {
		return false
	}
	old := t.tree.Load()
	if old.ID(0) != tree.ID(0) || old.Len() != tree.Len() || old.Unfinished() != tree.Unfinished() ||
		old.Revision() >= tree.Revision() {
		return false
	}
	t.tree.Store(tree)
	t.use()
	return true
}

// offer puts a tree that was read from the store, unless a newer one is there
// or may have been, or the task was removed, since removals was read.
func (c *cache) offer(tree *state.Tree, removals uint64) {
	c.mu.Lock()
	if c.removals == removals {
		if t := c.tasks[tree.Key()]; t != nil && t.tree.Load().Revision() < tree.Revision() {
			// Another engine changed the task, or deleted it and made it anew:
			// its nodes need not be those that are indexed.
			c.drop(t)
		}
		c.set(tree)
	}
	c.shrinkAndUnlock()
}

func (c *cache) removalCount() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.removals
}

// set replaces or adds a tree. The caller holds mu.
func (c *cache) set(tree *state.Tree) {
	t := c.tasks[tree.Key()]
	if t != nil && t.tree.Load().Revision() >= tree.Revision() {
		return
	}
	if t != nil && t.tree.Load().ID(0) != tree.ID(0) {
		// The key was freed and used again, which another engine can do.
		c.drop(t)
		t = nil
	}
	known, in := 0, ended
	if tree.Unfinished() {
		in = unfinished
	}
	switch {
	case t == nil:
		t = &task{ring: in}
		t.elem = c.rings[in].list.PushBack(t)
		c.tasks[tree.Key()] = t
	case t.ring != in:
		known = t.tree.Load().Len()
		c.unlink(t)
		t.ring, t.elem = in, c.rings[in].list.PushBack(t)
		c.rings[in].nodes += known
	default:
		known = t.tree.Load().Len()
	}
	for i := known; i < tree.Len(); i++ {
		c.nodes[tree.ID(i)] = t
	}
	c.rings[in].nodes += tree.Len() - known
	t.tree.Store(tree)
	t.used.Store(true)
}

func (c *cache) unlink(t *task) {
	r := &c.rings[t.ring]
	r.list.Remove(t.elem)
	r.nodes -= t.tree.Load().Len()
}

// remove drops a task. It counts as removed also if it is not here: a tree of
// it may be on its way here from the store.
func (c *cache) remove(key state.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removals++
	if t := c.tasks[key]; t != nil {
		c.drop(t)
	}
}

// removed counts a removal, for trees that were not there to be removed.
func (c *cache) removed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removals++
}

// removeOlder drops tasks that transitions, of other engines, have left behind.
func (c *cache) removeOlder(trs []*state.Transition) {
	for _, tr := range trs {
		if tree := c.get(store.Ref{Key: tr.Task}); tree != nil && tree.Revision() < tr.Sequence {
			c.remove(tr.Task)
		}
	}
}

// clear drops all tasks.
func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removals++
	clear(c.tasks)
	clear(c.nodes)
	for i := range c.rings {
		c.rings[i].list.Init()
		c.rings[i].nodes = 0
	}
}

// shrinkAndUnlock drops trees until the bounds hold and tells of them when mu,
// which the caller holds, is free again.
func (c *cache) shrinkAndUnlock() {
	var gone []*state.Tree
	for i := range c.rings {
		r := &c.rings[i]
		for r.nodes > r.bound && r.list.Len() > 1 {
			t := r.list.Front().Value.(*task)
			if t.used.Swap(false) {
				r.list.MoveToBack(t.elem)
				continue
			}
			c.drop(t)
			gone = append(gone, t.tree.Load())
		}
	}
	c.mu.Unlock()
	for _, tree := range gone {
		c.evicted(tree)
	}
}

// drop takes a task out. The caller holds mu.
func (c *cache) drop(t *task) {
	tree := t.tree.Load()
	for i := range tree.Len() {
		// Another task may have the ID, if another engine deleted this one.
		if id := tree.ID(i); c.nodes[id] == t {
			delete(c.nodes, id)
		}
	}
	delete(c.tasks, tree.Key())
	c.unlink(t)
	c.removals++
}
