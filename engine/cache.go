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
//
// The nodes of a tree that was read for its key are not found by their IDs
// before its task is changed or somebody has asked for one of them, and had the
// tree read again: for most of what is read nobody does, and it measured a tenth
// of the time to read a large tree.
type cache struct {
	evicted func(*state.Tree)
	tasks   index[state.Key]
	nodes   index[string]
	// removals counts the trees that went, so that a tree read from the store
	// meanwhile is not put back in place of a newer one.
	removals atomic.Uint64

	mu    sync.Mutex // held to change any of these; protects the rings
	rings [2]ring
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
	gone atomic.Bool // from the cache
	// The cache's mu protects the rest.
	ring  int
	elem  *list.Element
	named int // nodes that the cache finds by their IDs
}

// use tells the clock. It writes only if that changes something, since all
// processors share the memory.
func (t *task) use() {
	if !t.used.Load() {
		t.used.Store(true)
	}
}

func newCache(bound int, evicted func(*state.Tree)) *cache {
	c := &cache{evicted: evicted}
	c.tasks.clear()
	c.nodes.clear()
	c.rings[unfinished].bound = bound
	c.rings[ended].bound = bound / endedShare
	return c
}

// get returns the tree that ref names, nil if it is not found in memory.
func (c *cache) get(ref store.Ref) *state.Tree {
	t := c.find(ref)
	if t == nil {
		return nil
	}
	return t.tree.Load()
}

// find returns the task that ref names, nil if it is not found in memory.
func (c *cache) find(ref store.Ref) (t *task) {
	if ref.Node != "" {
		t = c.nodes.get(ref.Node)
	} else {
		t = c.tasks.get(ref.Key)
	}
	if t != nil {
		t.use()
	}
	return t
}

// put makes committed trees the current ones, unless newer ones are there.
func (c *cache) put(trees ...*state.Tree) { c.replace(trees, make([]*task, len(trees))) }

// replace is put for trees whose tasks were found before, nil where none was: to
// find one again costs two sums over its key.
func (c *cache) replace(trees []*state.Tree, tasks []*task) {
	c.mu.Lock()
	for i, tree := range trees {
		c.name(c.set(tree, tasks[i]))
	}
	c.shrinkAndUnlock()
}

// offer puts a tree that was read from the store for ref, unless a newer one is
// there or may have been, or the task was removed, since removals was read.
func (c *cache) offer(tree *state.Tree, ref store.Ref, removals uint64) {
	c.mu.Lock()
	if c.removals.Load() == removals {
		t := c.tasks.get(tree.Key())
		if t != nil && t.tree.Load().Revision() < tree.Revision() {
			// Another engine changed the task, or deleted it and made it anew:
			// its nodes need not be those that are known by their IDs.
			c.drop(t)
		}
		c.set(tree, nil)
	}
	if t := c.tasks.get(tree.Key()); ref.Node != "" && t != nil && t.tree.Load().Revision() == tree.Revision() {
		c.name(t) // also if it was there, whatever has been removed meanwhile
	}
	c.shrinkAndUnlock()
}

// set replaces or adds a tree, unless one that is as new is there, and returns
// its task. t is what the cache had of the task, if that was found before. The
// caller holds mu.
func (c *cache) set(tree *state.Tree, t *task) *task {
	if t == nil || t.gone.Load() {
		t = c.tasks.get(tree.Key())
	}
	if t != nil && t.tree.Load().Revision() >= tree.Revision() {
		return t
	}
	if t != nil && (t.tree.Load().ID(0) != tree.ID(0) || tree.Len() < t.named) {
		// The key was freed and used again, which another engine can do.
		c.drop(t)
		t = nil
	}
	in := ended
	if tree.Unfinished() {
		in = unfinished
	}
	switch {
	case t == nil:
		t = &task{ring: in}
		t.elem = c.rings[in].list.PushBack(t)
		c.rings[in].nodes += tree.Len()
		t.tree.Store(tree) // before anybody finds the task
		c.tasks.put(tree.Key(), t)
	case t.ring != in:
		c.unlink(t)
		t.ring, t.elem = in, c.rings[in].list.PushBack(t)
		c.rings[in].nodes += tree.Len()
	default:
		c.rings[in].nodes += tree.Len() - t.tree.Load().Len()
	}
	t.tree.Store(tree)
	t.use()
	return t
}

// name has all nodes of a task found by their IDs. They lead to a tree that has
// them, since the tree of a task is replaced first. The caller holds mu.
func (c *cache) name(t *task) {
	tree := t.tree.Load()
	for ; t.named < tree.Len(); t.named++ {
		c.nodes.put(tree.ID(t.named), t)
	}
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
	c.removals.Add(1)
	if t := c.tasks.get(key); t != nil {
		c.drop(t)
	}
}

// removed counts a removal, for trees that were not there to be removed. None of
// them is being offered when it returns.
func (c *cache) removed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removals.Add(1)
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
	c.removals.Add(1)
	c.tasks.clear()
	c.nodes.clear()
	for i := range c.rings {
		r := &c.rings[i]
		for elem := r.list.Front(); elem != nil; elem = elem.Next() {
			elem.Value.(*task).gone.Store(true)
		}
		r.list.Init()
		r.nodes = 0
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
	for i := range t.named {
		// Another task may have the ID, if another engine deleted this one.
		if id := tree.ID(i); c.nodes.get(id) == t {
			c.nodes.remove(id)
		}
	}
	c.tasks.remove(tree.Key())
	c.unlink(t)
	t.gone.Store(true)
	c.removals.Add(1)
}
