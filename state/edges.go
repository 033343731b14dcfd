package state

import (
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
)

// Edges are the indices of nodes that lead to another one, ascending, each
// once. The zero Edges are empty. Edges can be compared with ==.
type Edges struct {
	packed string // uvarints: the first index, then the distances
}

// EdgesOf returns the edges from the nodes with these indices, in any order and
// with or without repeats.
func EdgesOf(from ...int) Edges {
	from = slices.Clone(from)
	slices.Sort(from)
	var packed []byte
	last := 0
	for _, i := range slices.Compact(from) {
		packed = binary.AppendUvarint(packed, uint64(i-last))
		last = i
	}
	return Edges{string(packed)}
}

// All iterates over the indices.
func (e Edges) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		last := 0
		for rest := []byte(e.packed); len(rest) > 0; {
			d, n := binary.Uvarint(rest)
			last, rest = last+int(d), rest[n:]
			if !yield(last) {
				return
			}
		}
	}
}

// Len is the number of edges.
func (e Edges) Len() (n int) {
	for range e.All() {
		n++
	}
	return n
}

// String lists the indices, such as "[1 4]".
func (e Edges) String() string { return fmt.Sprint(slices.Collect(e.All())) }

// validate checks the edges that lead to the node at an index.
func (e Edges) validate(index int) error {
	if n := e.Len(); n > MaxAfter {
		return malformed("%d nodes that lead there", n)
	}
	for i := range e.All() {
		if i < 1 || i >= index {
			return malformed("an edge from node %d to node %d", i, index)
		}
	}
	return nil
}

// Equal is e == o.
func (e Edges) Equal(o Edges) bool { return e == o }
