package state

import "fmt"

// from is the index of the node that led to the attempt which begins, 0 if the
// operation does not name one.
func (t *Tree) from(n *node, op *Op) (int, error) {
	if op.From == "" {
		return 0, nil
	}
	if n.parent < 0 {
		return 0, fmt.Errorf("%w: nothing leads to the root", ErrInvalidArgument)
	}
	return t.sibling(int(n.parent), op.From)
}

// Target is the index of the node that an operation names by ID, by key, or as the
// root of its task; ok is false if the tree does not have it.
func (t *Tree) Target(op *Op) (i int, ok bool) {
	i, err := t.target(op)
	return i, err == nil
}

// target is Target with the reason.
func (t *Tree) target(op *Op) (int, error) {
	switch {
	case op.Kind == Begin && !op.NodeGiven && op.Key != "":
		if i, ok := t.FindKey(op.Key); ok {
			return i, nil
		}
		return 0, ErrNotFound
	case op.Node == "" || op.beginsRoot() && !op.NodeGiven:
		return t.byKey(op.Task, op.NodeKey)
	}
	i, ok := t.Find(op.Node)
	if !ok {
		return 0, ErrNotFound
	}
	return i, nil
}

// parent is the index of the container that a Declare or Begin names.
func (t *Tree) parent(op *Op) (int, error) {
	if op.Parent != "" {
		if p, ok := t.Find(op.Parent); ok {
			return p, nil
		}
		return 0, fmt.Errorf("%w: parent %q", ErrNotFound, op.Parent)
	}
	p, err := t.byKey(op.Task, op.ParentKey)
	if err != nil {
		return 0, fmt.Errorf("%w: parent with key %q", err, op.ParentKey)
	}
	return p, nil
}

// byKey is the index of the node with a key in a task, the root for "".
func (t *Tree) byKey(task Key, key string) (int, error) {
	if task != t.key {
		return 0, fmt.Errorf("%w: a batch is for one task, %s, and not also for task %s", ErrInvalidArgument, t.key, task)
	}
	if key == "" && t.Len() > 0 {
		return 0, nil
	}
	if i, ok := t.FindKey(key); ok {
		return i, nil
	}
	return 0, ErrNotFound
}

// edges lead from the nodes in container p that names name.
func (t *Tree) edges(p int, names []string) (Edges, error) {
	if len(names) == 0 {
		return Edges{}, nil
	}
	var from []int
	for _, name := range names {
		i, err := t.sibling(p, name)
		if err != nil {
			return Edges{}, err
		}
		from = append(from, i)
	}
	return EdgesOf(from...), nil
}

// sibling is the index of the node in container p with an ID or else a key.
func (t *Tree) sibling(p int, name string) (int, error) {
	i, ok := t.Named(name)
	switch {
	case !ok:
		return 0, fmt.Errorf("%w: node %s that leads there", ErrNotFound, brief(name))
	case t.Parent(i) != p:
		return 0, fmt.Errorf("%w: node %q that leads there is in another container", ErrInvalidArgument, t.ID(i))
	}
	return i, nil
}
