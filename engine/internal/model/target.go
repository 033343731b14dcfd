package model

import (
	"slices"

	"github.com/pipestatus/pipestatus/state"
)

// byTask reports whether an operation names its place by the key of a task.
func byTask(op state.Op) bool {
	switch op.Kind {
	case state.Create, state.Reopen, state.Label:
		return true
	case state.Declare:
		return op.Parent == ""
	case state.Begin:
		if op.NodeKind == state.Pipeline {
			return !op.NodeGiven
		}
		return op.Parent == ""
	}
	return op.Node == ""
}

// taskOf returns the task of an operation, nil if it does not exist. For the
// creation of a task it returns one without nodes.
func (s *Store) taskOf(op state.Op) *task {
	if byTask(op) {
		t := s.tasks[op.Task]
		if t == nil && op.Kind == state.Create {
			t = &task{key: op.Task}
		}
		return t
	}
	id := op.Node
	if op.Parent != "" {
		id = op.Parent
	}
	if key, ok := s.Owner(id); ok {
		return s.tasks[key]
	}
	return nil
}

// named returns the node of t that an operation names: by its ID, by its key, or as
// the root. A declare names no existing node.
func (s *Store) named(t *task, op state.Op) (n *node, code string) {
	switch {
	case op.Kind == state.Begin && op.NodeKind != state.Pipeline:
		if n = t.keyed(op.Key); op.NodeGiven {
			n = t.find(op.Node)
		}
		if n == nil {
			return nil, NotFound
		}
		return n, ""
	case byTask(op):
		return t.inTask(op.Task, op.NodeKey)
	}
	return s.withID(t, op.Node)
}

// container returns the container in t that a declare or begin names.
func (s *Store) container(t *task, op state.Op) (n *node, code string) {
	if op.Parent != "" {
		return s.withID(t, op.Parent)
	}
	return t.inTask(op.Task, op.ParentKey)
}

func (s *Store) withID(t *task, id string) (n *node, code string) {
	n = t.find(id)
	switch {
	case n != nil:
		return n, ""
	case s.usedElsewhere(t, id):
		return nil, InvalidArgument // a batch is for one task
	}
	return nil, NotFound
}

// inTask returns the node of t with a key, or the root without one, for an
// operation that names a task.
func (t *task) inTask(task state.Key, key string) (n *node, code string) {
	if task != t.key {
		return nil, InvalidArgument // a batch is for one task
	}
	if n = t.keyed(key); key == "" && len(t.nodes) > 0 {
		n = t.nodes[0]
	}
	if n == nil {
		return nil, NotFound
	}
	return n, ""
}

// keyed returns the node with a key. No node has the key "".
func (t *task) keyed(key string) *node {
	for _, n := range t.nodes {
		if key != "" && n.key == key {
			return n
		}
	}
	return nil
}

// sibling returns the node in a container with a name: an ID or, if no node has
// it, a key.
func (t *task) sibling(container, name string) (n *node, code string) {
	if n = t.find(name); n == nil {
		n = t.keyed(name)
	}
	switch {
	case n == nil:
		return nil, NotFound
	case n.parent != container:
		return nil, InvalidArgument
	}
	return n, ""
}

// origin returns the node that led to the attempt that begins in a container,
// nil if the operation names none.
func (t *task) origin(container string, op state.Op) (n *node, code string) {
	switch {
	case op.From == "":
		return nil, ""
	case container == "":
		return nil, InvalidArgument // nothing leads to the root
	}
	return t.sibling(container, op.From)
}

// leading returns the nodes that lead to a new one, in order of creation.
func (t *task) leading(container *node, op state.Op) (all []*node, code string) {
	for _, name := range op.After {
		n, code := t.sibling(container.id, name)
		if code != "" {
			return nil, code
		}
		if !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	slices.SortFunc(all, func(a, b *node) int { return t.index(a) - t.index(b) })
	return all, ""
}

// place is the index of a node, 0 for none.
func (t *task) place(n *node) int {
	if n == nil {
		return 0
	}
	return t.index(n)
}
