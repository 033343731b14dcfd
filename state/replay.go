package state

import (
	"errors"
	"fmt"
)

// ErrMalformed says that nodes or transitions do not form a tree. Results of Apply
// never cause it; stores report it as corruption.
var ErrMalformed = errors.New("malformed tree")

// Replay returns the tree after transitions that followed t, at the sequence
// of the last. It runs no rule. The transitions must be well-formed
// ([Transition.Validate]), follow from the nodes they change
// ([Change.Follows]), and have the right shown state. The caller ensures that the ID
// of a new node is not in use. An error matches [ErrMalformed].
func (t *Tree) Replay(transitions ...*Transition) (*Tree, error) {
	next := *t
	next.nodes = next.nodes.begin()
	for _, tr := range transitions {
		if tr.Task != t.key {
			return nil, fmt.Errorf("%w: transition %d of task %s in task %s", ErrMalformed, tr.Sequence, tr.Task, t.key)
		}
		if err := next.replay(tr); err != nil {
			return nil, fmt.Errorf("task %s, transition %d: %w", t.key, tr.Sequence, err)
		}
		next.revision = tr.Sequence
	}
	next.nodes = next.nodes.end()
	return &next, nil
}

// Extend is [Tree.Replay] of one transition whose shown state and number of pending
// retries are not known yet: Extend sets both in tr. Tools need it that make
// transitions from nodes instead of operations, such as salvage.
func (t *Tree) Extend(tr *Transition) (*Tree, error) {
	next := *t
	next.nodes = next.nodes.begin()
	tr.Shown, tr.Pending = Created, 0 // any that is valid
	if err := next.replayChanges(tr); err != nil {
		return nil, fmt.Errorf("task %s, transition %d: %w", t.key, tr.Sequence, err)
	}
	next.nodes, next.revision = next.nodes.end(), tr.Sequence
	tr.Shown, tr.Pending = next.Shown(0), next.Pending(0)
	return &next, nil
}

func (t *Tree) replayChanges(tr *Transition) error {
	if err := tr.Validate(); err != nil {
		return err
	}
	for i := range tr.Changes {
		c := &tr.Changes[i]
		if err := t.replayChange(c); err != nil {
			return err
		}
		if c.CameFrom >= t.Len() {
			return fmt.Errorf("%w: node %q came from node %d of %d", ErrMalformed, c.ID, c.CameFrom, t.Len())
		}
	}
	if tr.Op == Create || tr.Op == Label {
		t.labels = tr.Labels
	}
	return nil
}

func (t *Tree) replay(tr *Transition) error {
	if err := t.replayChanges(tr); err != nil {
		return err
	}
	if len(tr.Changes) > 0 && tr.Shown != t.Shown(0) {
		return fmt.Errorf("%w: the task shows %s, not %s", ErrMalformed, t.Shown(0), tr.Shown)
	}
	// Transitions of programs that did not record it have 0.
	if tr.Pending > 0 && tr.Pending != t.Pending(0) {
		return fmt.Errorf("%w: %d retries are pending, not %d", ErrMalformed, t.Pending(0), tr.Pending)
	}
	return nil
}

func (t *Tree) replayChange(c *Change) error {
	if c.Declared == nil {
		if c.Index >= t.Len() {
			return fmt.Errorf("%w: change of node %d of %d", ErrMalformed, c.Index, t.Len())
		}
		n := t.nodes.get(c.Index)
		was := n.progress()
		if err := c.Follows(TraceOf(n.id, n.kind, &was)); err != nil {
			return err
		}
		n = n.copy()
		n.setProgress(&c.Progress)
		t.put(c.Index, n)
		return nil
	}
	n := new(node)
	if err := n.init(&Node{ID: c.ID, Index: c.Index, Kind: c.Kind, Declaration: *c.Declared, Progress: c.Progress}); err != nil {
		return err
	}
	if c.Index != t.Len() {
		return fmt.Errorf("%w: node %d after %d nodes", ErrMalformed, c.Index, t.Len())
	}
	if n.parent >= 0 {
		if p := t.nodes.get(int(n.parent)); p.family == nil || p.id != c.Declared.Parent {
			return fmt.Errorf("%w: node %q in %q at %d", ErrMalformed, c.ID, c.Declared.Parent, n.parent)
		}
	}
	t.ownIndex()
	if _, used := t.FindKey(n.key()); used {
		return fmt.Errorf("%w: two nodes with the key %q", ErrMalformed, n.key())
	}
	t.put(c.Index, n)
	t.index(n)
	return nil
}

// init packs n.
func (p *node) init(n *Node) error {
	isRoot := n.Index == 0
	if !n.Kind.Valid() || !n.State.Valid() || isRoot != (n.Kind == Pipeline) ||
		n.ParentIndex >= n.Index || n.ParentIndex < -1 || isRoot != (n.ParentIndex == -1) {
		return fmt.Errorf("%w: node %d (%s, %s) in %d", ErrMalformed, n.Index, n.Kind, n.State, n.ParentIndex)
	}
	p.id, p.name, p.kind = n.ID, n.Name, n.Kind
	p.parent, p.next, p.maxLoops = int32(n.ParentIndex), -1, int32(n.MaxLoops)
	p.flags = flagIf(n.NoRetry, flagNoRetry) | flagIf(n.NoSkip, flagNoSkip)
	p.family = newFamily(n.Kind)
	if n.Key != "" || n.After != (Edges{}) {
		if err := n.After.validate(n.Index); err != nil {
			return fmt.Errorf("%w: node %d: %w", ErrMalformed, n.Index, err)
		}
		p.rare = &rare{place: &declared{n.Key, n.After}}
	}
	p.setProgress(&n.Progress)
	return nil
}

// Builder makes a tree from the values of all its nodes, in the order of creation.
// Stores load trees with it: in linear time, and with one allocation for the nodes
// if their number is known.
type Builder struct {
	tree  Tree
	nodes []*node
	slab  []node
}

// sizeBelieved bounds the memory that a Builder allocates for nodes that are
// only expected.
const sizeBelieved = 1 << 16

// NewBuilder begins the tree of a task; size is the number of nodes expected,
// 0 if unknown. A larger tree than expected takes longer to build, a smaller one
// more memory.
func NewBuilder(key Key, size int) *Builder {
	size = min(max(size, 0), sizeBelieved)
	return &Builder{tree: Tree{key: key}, nodes: make([]*node, 0, size), slab: make([]node, size)}
}

// Add adds the next node. Its container is the one at ParentIndex; Parent is
// ignored. n is not kept. An error matches [ErrMalformed].
func (b *Builder) Add(n *Node) error {
	parent := n.ParentIndex
	if n.Index != len(b.nodes) || parent >= 0 && (parent >= len(b.nodes) || b.nodes[parent].family == nil) {
		return fmt.Errorf("%w: node %d in %d after %d nodes", ErrMalformed, n.Index, parent, len(b.nodes))
	}
	if len(b.slab) == 0 {
		b.slab = make([]node, blockSize)
	}
	p := &b.slab[0]
	b.slab = b.slab[1:]
	if err := p.init(n); err != nil {
		return err
	}
	if parent >= 0 {
		f := b.nodes[parent].family
		if f.first < 0 {
			f.first = int32(n.Index)
		} else {
			b.nodes[f.last].next = int32(n.Index)
		}
		f.last = int32(n.Index)
	}
	b.nodes = append(b.nodes, p)
	if n.Key != "" {
		b.tree.keyed++
	}
	return nil
}

// Label gives the tree its labels.
func (b *Builder) Label(labels Labels) { b.tree.labels = labels }

// Tree returns the tree at a revision. The builder must not be used again. An
// error matches [ErrMalformed].
func (b *Builder) Tree(revision uint64) (*Tree, error) {
	if len(b.nodes) == 0 {
		return nil, fmt.Errorf("%w: task %s has no root", ErrMalformed, b.tree.key)
	}
	var none share
	for i := len(b.nodes) - 1; i > 0; i-- {
		n := b.nodes[i]
		if n.rare != nil && int(n.rare.cameFrom) >= len(b.nodes) {
			return nil, fmt.Errorf("%w: node %q came from node %d of %d", ErrMalformed, n.id, n.rare.cameFrom, len(b.nodes))
		}
		f := b.nodes[n.parent].family
		if n.family == nil {
			f.addLeaf(n)
			continue
		}
		after := n.share()
		f.move(&none, &after)
	}
	b.tree.revision = revision
	b.tree.nodes = buildVector(b.nodes)
	b.tree.late = &lateIndex{}
	return &b.tree, nil
}
