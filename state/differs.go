package state

import (
	"fmt"
	"strings"
)

// differs names the difference between an existing node and the one that an
// operation makes in container p, -1 for the root; "" if there is none. A Begin
// compares no name, and a key only if it gives one.
func (t *Tree) differs(n *node, op *Op, p int) string {
	var reasons []string
	unlike := func(what string, has, wanted any) {
		reasons = append(reasons, fmt.Sprintf("its %s is %s, not %s", what, has, wanted))
	}
	kind := op.NodeKind
	if op.Kind == Create {
		kind = Pipeline
	}
	if op.NodeGiven && n.id != op.Node {
		unlike("ID", brief(n.id), brief(op.Node))
	}
	if n.kind != kind {
		unlike("kind", n.kind, kind)
	}
	if int(n.parent) != p {
		unlike("parent", t.place(int(n.parent)), t.place(p))
	}
	if key := n.key(); key != op.Key && (op.Kind != Begin || op.Key != "") {
		unlike("key", brief(key), brief(op.Key))
	}
	if name := ownName(CutName(op.Name), kind); n.name != name && op.Kind != Begin {
		unlike("name", brief(n.name), brief(name))
	}
	return strings.Join(reasons, "; ")
}

// place names a container for people.
func (t *Tree) place(p int) string {
	if p < 0 {
		return "none"
	}
	return fmt.Sprintf("node %q", t.ID(p))
}

// repeatOf makes the operation a repeat of the one that made node i, if it is
// idempotent and asks for the same node in container p. Otherwise it returns
// exists, with the difference if the operation is idempotent.
func (e *edit) repeatOf(i, p int, exists error) error {
	if !e.op.Idempotent {
		return exists
	}
	differs := e.tree.differs(e.tree.nodes.get(i), e.op, p)
	if differs == "" {
		e.repeat(i)
		return nil
	}
	return fmt.Errorf("%w: %s", exists, differs)
}
