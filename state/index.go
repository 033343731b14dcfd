package state

import (
	"hash/maphash"
	"sync"
)

// index finds nodes by ID. It is persistent like the vector: immutable hash
// tables over runs of the creation order, each twice as long as the next or
// longer, and a short tail that is searched in line. Adding merges tables as a
// binary counter carries, so a node is hashed log2(n) times in its life, a
// lookup probes at most log2(n/tailMax) tables, and a node costs 6 to 12 bytes.
type index struct {
	tables []table // in order of creation, together [0, covered)
	byKey  bool    // finds nodes by key; nodes without a key are not in it
}

// names are the indexes of a tree, which trees of the same nodes share.
type names struct{ ids, keys index }

var noNames = &names{keys: index{byKey: true}}

// grown returns the names for v after nodes were added at its end, some of which
// have a key if keyed is set.
func (x *names) grown(v vector, keyed bool) *names {
	ids, keys := x.ids.grown(v), x.keys
	if keyed {
		keys = keys.grown(v)
	}
	if ids.covered() == x.ids.covered() && keys.covered() == x.keys.covered() {
		return x
	}
	return &names{ids, keys}
}

// name is the text by which the index finds a node.
func (x index) name(n *node) string {
	if x.byKey {
		return n.key()
	}
	return n.id
}

// table maps the IDs of the nodes [lo, hi) to their places, by open
// addressing; a slot holds the place plus one, 0 is empty.
type table struct {
	lo, hi int32
	slots  []int32
}

// tailMax is the number of nodes that are searched one by one before a table is
// made.
const tailMax = 16

// seed differs between processes, so that an attacker cannot choose colliding IDs.
var seed = maphash.MakeSeed()

func (x index) covered() int {
	if len(x.tables) == 0 {
		return 0
	}
	return int(x.tables[len(x.tables)-1].hi)
}

func (x index) find(v vector, id string) (int, bool) {
	for i := v.len() - 1; i >= x.covered(); i-- {
		if x.name(v.get(i)) == id {
			return i, true
		}
	}
	if len(x.tables) == 0 {
		return 0, false
	}
	h := maphash.String(seed, id)
	for _, t := range x.tables {
		mask := uint64(len(t.slots) - 1)
		for at := h & mask; t.slots[at] != 0; at = (at + 1) & mask {
			if i := int(t.slots[at] - 1); x.name(v.get(i)) == id {
				return i, true
			}
		}
	}
	return 0, false
}

// lateIndex is the index of a loaded tree. It is made when a node is looked up,
// because a status request never looks up nodes, and building it was a tenth of the
// time to load a tree. Trees of the same nodes share it.
type lateIndex struct {
	once, keysOnce sync.Once
	ids, keys      index
}

// keysOf is of for keys. Some node of the tree has one.
func (l *lateIndex) keysOf(v vector) index {
	l.keysOnce.Do(func() { l.keys = index{byKey: true}.grown(v) })
	return l.keys
}

func (l *lateIndex) of(v vector) index {
	l.once.Do(func() { l.ids = l.ids.grown(v) })
	return l.ids
}

// grown returns the index for v after nodes were added at its end.
func (x index) grown(v vector) index {
	lo, hi := x.covered(), v.len()
	if hi-lo < tailMax {
		return x
	}
	keep := len(x.tables)
	for keep > 0 && int(x.tables[keep-1].hi-x.tables[keep-1].lo) <= hi-lo {
		keep--
		lo = int(x.tables[keep].lo)
	}
	size := 2
	for size < (hi-lo)*3/2 {
		size *= 2
	}
	t := table{lo: int32(lo), hi: int32(hi), slots: make([]int32, size)}
	mask := uint64(size - 1)
	for i := lo; i < hi; i++ {
		name := x.name(v.get(i))
		if name == "" {
			continue
		}
		at := maphash.String(seed, name) & mask
		for t.slots[at] != 0 {
			at = (at + 1) & mask
		}
		t.slots[at] = int32(i) + 1
	}
	// The caller's slice may be shared with older trees: never append in place.
	x.tables = append(x.tables[:keep:keep], t)
	return x
}
