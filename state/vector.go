package state

// vector is a persistent sequence of nodes: set and add return a new vector
// that shares all blocks off the path to the node. With blocks of 32 an update
// copies at most 256 bytes a level, three levels for 32,768 nodes.
type vector struct {
	root  *block
	shift uint // bits of the index that the blocks below the root use up
	n     int
}

const (
	blockBits = 5
	blockSize = 1 << blockBits
)

// block holds nodes on the lowest level and blocks on all others.
type block struct {
	nodes []*node
	below []*block
}

func (v vector) get(i int) *node {
	b := v.root
	for s := v.shift; s > 0; s -= blockBits {
		b = b.below[i>>s&(blockSize-1)]
	}
	return b.nodes[i&(blockSize-1)]
}

// set returns v with node i replaced; i == v.n appends.
func (v vector) set(i int, n *node) vector {
	if i == v.n {
		if v.n == blockSize<<v.shift && v.root != nil {
			v.root = &block{below: []*block{v.root}}
			v.shift += blockBits
		}
		v.n++
	}
	v.root = v.root.with(v.shift, i, n)
	return v
}

func (b *block) with(shift uint, i int, n *node) *block {
	if b == nil {
		b = &block{}
	}
	at := i >> shift & (blockSize - 1)
	if shift == 0 {
		return &block{nodes: replaced(b.nodes, at, n)}
	}
	var child *block
	if at < len(b.below) {
		child = b.below[at]
	}
	return &block{below: replaced(b.below, at, child.with(shift-blockBits, i, n))}
}

// replaced is a copy of s with element i set; i == len(s) appends.
func replaced[T any](s []T, i int, v T) []T {
	c := make([]T, max(len(s), i+1))
	copy(c, s)
	c[i] = v
	return c
}

// build makes a vector of nodes that nobody else holds, block by block.
func buildVector(nodes []*node) vector {
	var level []*block
	for i := 0; i < len(nodes); i += blockSize {
		level = append(level, &block{nodes: nodes[i:min(i+blockSize, len(nodes)):min(i+blockSize, len(nodes))]})
	}
	v := vector{n: len(nodes)}
	for len(level) > 1 {
		var up []*block
		for i := 0; i < len(level); i += blockSize {
			up = append(up, &block{below: level[i:min(i+blockSize, len(level)):min(i+blockSize, len(level))]})
		}
		level = up
		v.shift += blockBits
	}
	if len(level) == 1 {
		v.root = level[0]
	}
	return v
}
