package state

import "slices"

// vector is a persistent sequence of nodes: set returns a new vector that
// shares all blocks except those on the path to the node. With blocks of 32, an
// update copies at most 256 bytes a level, with three levels for 32,768 nodes,
// and a series of updates (see begin) copies no block twice. Up to a block's
// number of nodes, as in most tasks, no block is needed: a block and an edition
// were two of the 22 allocations of a transition.
type vector struct {
	few   []*node // all nodes, unless there is a root
	root  *block
	edit  *edition // nil: every block may be shared
	n     int32
	shift uint8 // bits of the index that the blocks below the root use up
	begun bool  // a series of changes
	own   bool  // few was copied in that series
}

// edition marks the blocks that were made since the vector was last shared:
// these are modified in place. It has a size, so that no two editions are
// equal.
type edition struct{ _ byte }

// begin returns v for a series of private changes until [vector.end]. During the
// series, set may modify the previous vector's blocks; that vector must not be used
// again.
func (v vector) begin() vector {
	v.begun = true
	if v.root != nil {
		v.edit = new(edition)
	}
	return v
}

func (v vector) end() vector {
	v.begun, v.own, v.edit = false, false, nil
	return v
}

const (
	blockBits = 5
	blockSize = 1 << blockBits
)

// block holds nodes on the lowest level and blocks on all others.
type block struct {
	nodes []*node
	below []*block
	edit  *edition // that it was made in
}

func (v vector) len() int { return int(v.n) }

func (v vector) get(i int) *node {
	if v.root == nil {
		return v.few[i]
	}
	b := v.root
	for s := v.shift; s > 0; s -= blockBits {
		b = b.below[i>>s&(blockSize-1)]
	}
	return b.nodes[i&(blockSize-1)]
}

// set returns v with node i replaced; i == v.n appends.
func (v vector) set(i int, n *node) vector {
	if v.root == nil {
		if i < blockSize {
			v.few = replaced(v.few, i, n, v.own)
			v.n, v.own = int32(len(v.few)), v.begun
			return v
		}
		if v.root, v.few = (&block{nodes: v.few}), nil; v.begun {
			v.edit = new(edition)
		}
	}
	if i == v.len() {
		if i == blockSize<<v.shift {
			v.root = &block{below: []*block{v.root}}
			v.shift += blockBits
		}
		v.n++
	}
	v.root = v.root.with(v.edit, v.shift, i, n)
	return v
}

func (b *block) with(edit *edition, shift uint8, i int, n *node) *block {
	if b == nil {
		b = &block{edit: edit}
	}
	own := edit != nil && b.edit == edit
	if !own {
		b = &block{nodes: b.nodes, below: b.below, edit: edit}
	}
	at := i >> shift & (blockSize - 1)
	if shift == 0 {
		b.nodes = replaced(b.nodes, at, n, own)
		return b
	}
	var child *block
	if at < len(b.below) {
		child = b.below[at]
	}
	b.below = replaced(b.below, at, child.with(edit, shift-blockBits, i, n), own)
	return b
}

// replaced returns s with element i set, in place if own is true and otherwise
// as a copy; i == len(s) appends.
func replaced[T any](s []T, i int, v T, own bool) []T {
	switch {
	case !own:
		s = append(make([]T, 0, max(len(s), i+1)), s...)[:max(len(s), i+1)]
	case i == len(s):
		return append(s, v)
	}
	s[i] = v
	return s
}

// build makes a private vector of nodes, block by block.
func buildVector(nodes []*node) vector {
	if len(nodes) <= blockSize {
		return vector{few: slices.Clip(nodes), n: int32(len(nodes))}
	}
	var level []*block
	for i := 0; i < len(nodes); i += blockSize {
		level = append(level, &block{nodes: nodes[i:min(i+blockSize, len(nodes)):min(i+blockSize, len(nodes))]})
	}
	v := vector{n: int32(len(nodes))}
	for len(level) > 1 {
		var up []*block
		for i := 0; i < len(level); i += blockSize {
			up = append(up, &block{below: level[i:min(i+blockSize, len(level)):min(i+blockSize, len(level))]})
		}
		level = up
		v.shift += blockBits
	}
	v.root = level[0]
	return v
}
