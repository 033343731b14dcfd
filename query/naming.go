package query

import (
	"iter"
	"slices"
	"strconv"

	"github.com/pipestatus/pipestatus/state"
)

// naming gives the nodes of a tree identities that are the same in other runs.
type naming struct {
	tree     *state.Tree
	identity []string // by index
	nth      []int
}

func newNaming(tree *state.Tree) *naming {
	m := &naming{tree, make([]string, tree.Len()), make([]int, tree.Len())}
	seen := make(map[string]int, tree.Len())
	for i := range tree.Len() {
		n := tree.Node(i)
		if i == 0 {
			m.nth[i] = 1
			continue
		}
		if n.Key != "" {
			m.nth[i], m.identity[i] = 1, "key "+n.Key
			continue
		}
		// The parent is older, so its identity is known.
		name := m.identity[n.ParentIndex] + "/" + strconv.Quote(n.DisplayName())
		seen[name]++
		m.nth[i] = seen[name]
		m.identity[i] = name + "#" + strconv.Itoa(m.nth[i])
	}
	return m
}

// inOrder iterates over the nodes from top to bottom, as a tree is drawn.
func (m *naming) inOrder(yield func(i int) bool) { topDown(m.tree, 0)(yield) }

// topDown iterates over a node and all nodes below it, as a tree is drawn: each
// container before its content, children in the order of creation.
func topDown(t *state.Tree, from int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := from; yield(i); {
			next := t.FirstChild(i)
			for next < 0 {
				if i == from {
					return
				}
				if next = t.NextSibling(i); next < 0 {
					i = t.Parent(i)
				}
			}
			i = next
		}
	}
}

// path is the display names on the way down to a node.
func (m *naming) path(i int) (names []string) {
	for ; i > 0; i = m.tree.Parent(i) {
		n := m.tree.Node(i)
		names = append(names, n.DisplayName())
	}
	slices.Reverse(names)
	return names
}
