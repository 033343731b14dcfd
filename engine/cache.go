package engine

import (
	"container/list"
	"sync"
	"sync/atomic"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// cache holds trees in memory, by task key and by node ID. It holds only
// committed trees, up to a bound on their nodes. When it is full, the clock
// algorithm approximates "least recently used first": a tree that was used
// since the hand last passed it stays for another round. Trees of tasks that
// are not unfinished have a separate, much smaller bound: no operation will be
// applied to them, and a heap full of them measured 15 % of a transition's CPU
// in garbage collection, and one of a 64th of the other bound still 3 %.
//
// The nodes of a tree that was loaded by its key are not in the index by node
// ID. They are added when the task is changed, or when a node is asked for by
// ID and the tree is loaded again. Most loaded trees are never asked for by
// node ID, and adding the nodes takes a tenth of the time to read a large tree.
type cache struct {
	evicted func(*state.Tree)
	tasks   index[state.Key]
	nodes   index[string]
	// removals counts the dropped trees. A tree that was read from the store before
	// a removal is not put into the cache after it, since it may be outdated.
	removals atomic.Uint64

	mu    sync.Mutex // held to change any of these; protects the rings
	rings [2]ring
}

// ring has the trees of one sort.
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

// endedShare is the divisor that gives the bound for ended tasks.
const endedShare = 256

// task is a task in memory.
type task struct {
	tree    atomic.Pointer[state.Tree]
	used    atomic.Bool
	dropped atomic.Bool // no longer in the cache
	// The cache's mu protects the rest.
	ring  int
	elem  *list.Element
	named int // number of nodes in the index by node ID
}

// use marks the task as used. It writes only if that changes the mark, since
// all processors share the memory.
func (t *task) use() {
	if !t.used.Load() {
		t.used.Store(true)
	}
}

func newCache(bound int, evicted func(*state.Tree)) *cache {
	c := &cache{evicted: evicted}
	c.rings[unfinished].bound = bound
	c.rings[ended].bound = bound / endedShare
	return c
}

// get returns the tree that ref names, nil if it is not in memory.
func (c *cache) get(ref store.Ref) *state.Tree {
	t := c.lookUp(ref)
	if t == nil {
		return nil
	}
	return t.tree.Load()
}

// lookUp returns the task that ref names, nil if it is not in memory.
func (c *cache) lookUp(ref store.Ref) (t *task) {
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

// replace makes the committed trees of works the current ones, unless the cache has
// newer ones. A work that knows its task saves two hashes of its key, and the tree
// before it a look at the old root, which is no longer in the processor's caches.
func (c *cache) replace(works []*work) {
	c.mu.Lock()
	for _, w := range works {
		c.nameLocked(c.setLocked(w.tree, w.task, w.base))
	}
	c.shrinkAndUnlock()
}

// offer puts a tree that was read from the store for ref, unless the cache may
// have had a newer one since, or the task was removed. removals is the count
// from before the tree was read.
func (c *cache) offer(tree *state.Tree, ref store.Ref, removals uint64) {
	c.mu.Lock()
	if c.removals.Load() == removals {
		t := c.tasks.get(tree.Key())
		if t != nil && t.tree.Load().Revision() < tree.Revision() {
			// Another engine changed the task, or deleted it and made a new one
			// with other nodes than those in the index.
			c.dropLocked(t)
		}
		c.setLocked(tree, nil, nil)
	}
	if t := c.tasks.get(tree.Key()); ref.Node != "" && t != nil && t.tree.Load().Revision() == tree.Revision() {
		c.nameLocked(t) // even if the tree was already in the cache, or other trees were removed
	}
	c.shrinkAndUnlock()
}

// setLocked adds or replaces a tree, unless the cache has one that is as new,
// and returns its task. t is the task if it is already known, or nil, and base
// the tree that this one was made from, or nil. The caller holds mu.
func (c *cache) setLocked(tree *state.Tree, t *task, base *state.Tree) *task {
	if t == nil || t.dropped.Load() {
		t = c.tasks.get(tree.Key())
	}
	if t != nil && t.tree.Load().Revision() >= tree.Revision() {
		return t
	}
	if t != nil && t.tree.Load() != base && (t.tree.Load().ID(0) != tree.ID(0) || tree.Len() < t.named) {
		// Another engine has deleted the task and created one with the same key.
		c.dropLocked(t)
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
		t.tree.Store(tree) // before lookups can return the task
		c.tasks.put(tree.Key(), t)
	case t.ring != in:
		c.unlinkLocked(t)
		t.ring, t.elem = in, c.rings[in].list.PushBack(t)
		c.rings[in].nodes += tree.Len()
	default:
		c.rings[in].nodes += tree.Len() - t.tree.Load().Len()
	}
	t.tree.Store(tree)
	t.use()
	return t
}

// nameLocked adds all nodes of a task to the index by node ID. The tree of a
// task is always replaced first, so the tree has all nodes that lead to it. The
// caller holds mu.
func (c *cache) nameLocked(t *task) {
	tree := t.tree.Load()
	for ; t.named < tree.Len(); t.named++ {
		c.nodes.put(tree.ID(t.named), t)
	}
}

func (c *cache) unlinkLocked(t *task) {
	r := &c.rings[t.ring]
	r.list.Remove(t.elem)
	r.nodes -= t.tree.Load().Len()
}

// remove drops a task. It counts as a removal even if the task is not in the
// cache, since a tree of it may just have been read from the store.
func (c *cache) remove(key state.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removals.Add(1)
	if t := c.tasks.get(key); t != nil {
		c.dropLocked(t)
	}
}

// removed counts a removal of trees that are not in the cache. When it returns,
// no offer of such a tree is running.
func (c *cache) removed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removals.Add(1)
}

// removeOlder drops tasks whose trees are older than transitions of other
// engines.
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
			elem.Value.(*task).dropped.Store(true)
		}
		r.list.Init()
		r.nodes = 0
	}
}

// shrinkAndUnlock drops trees until the bounds hold, releases mu, which the
// caller holds, and then reports the dropped trees.
func (c *cache) shrinkAndUnlock() {
	var evicted []*state.Tree
	for i := range c.rings {
		r := &c.rings[i]
		for r.nodes > r.bound && r.list.Len() > 1 {
			t := r.list.Front().Value.(*task)
			if t.used.Swap(false) {
				r.list.MoveToBack(t.elem)
				continue
			}
			c.dropLocked(t)
			evicted = append(evicted, t.tree.Load())
		}
	}
	c.mu.Unlock()
	for _, tree := range evicted {
		c.evicted(tree)
	}
}

// dropLocked drops a task. The caller holds mu.
func (c *cache) dropLocked(t *task) {
	tree := t.tree.Load()
	for i := range t.named {
		// Another task may have the ID now, if another engine deleted this one.
		if id := tree.ID(i); c.nodes.get(id) == t {
			c.nodes.remove(id)
		}
	}
	c.tasks.remove(tree.Key())
	c.unlinkLocked(t)
	t.dropped.Store(true)
	c.removals.Add(1)
}
