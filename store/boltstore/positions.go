package boltstore

import (
	"slices"

	"github.com/pipestatus/pipestatus/state"
)

// positions numbers the nodes of a task in the order in which they are added. A
// task changes few nodes at a time, and scanning a short slice costs less than
// a map: maps took a tenth of the time of a write-back. The zero positions is
// empty.
type positions struct {
	indexes []int
	more    map[int]int // position by index, if there are more than fewNodes
}

const fewNodes = 32

// find returns the position of a node.
func (p *positions) find(index int) (at int, ok bool) {
	if len(p.indexes) <= fewNodes {
		at = slices.Index(p.indexes, index)
		return at, at >= 0
	}
	at, ok = p.more[index]
	return at, ok
}

// add gives a new node the next position.
func (p *positions) add(index int) {
	at := len(p.indexes)
	p.indexes = append(p.indexes, index)
	switch {
	case at < fewNodes:
	case at == fewNodes:
		p.more = make(map[int]int, 2*fewNodes)
		for i, index := range p.indexes {
			p.more[index] = i
		}
	default:
		p.more[index] = at
	}
}

// reset removes all nodes.
func (p *positions) reset() { p.indexes, p.more = p.indexes[:0], nil }

// versions remembers, within a block, the last version of each node. The zero
// versions is that of an empty block.
type versions struct {
	nodes positions
	last  []state.Version // by position
}

// get returns the last version of a node in the block, unset if it has none.
func (v *versions) get(index int) state.Version {
	if at, ok := v.nodes.find(index); ok {
		return v.last[at]
	}
	return state.Version{}
}

func (v *versions) set(index int, version state.Version) {
	if at, ok := v.nodes.find(index); ok {
		v.last[at] = version
		return
	}
	v.nodes.add(index)
	v.last = append(v.last, version)
}

func (v *versions) reset() {
	v.nodes.reset()
	v.last = v.last[:0]
}
