package boltstore

import (
	"fmt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// folded is the result of pieces of one task: the last values of each changed node. The
// zero folded is empty.
type folded struct {
	at    positions // in nodes
	nodes []newest
	r     blockReader
	tr    state.Transition // the one being read
}

// newest is the newest value of a node in the overlay.
type newest struct {
	index    int
	kind     state.Kind
	declared *state.Declaration // nil if the node was declared before
	id       string             // only if declared
	progress state.Progress
}

// add folds pieces in and calls each, if not nil, with every transition. The
// transition is only valid during the call, and has the IDs of new nodes only.
func (f *folded) add(pieces []piece, each func(tr *state.Transition)) error {
	f.r.lean = true
	for i := range pieces {
		f.r.restart(pieces[i].block, pieces[i].first-1)
		for f.r.next(&f.tr) {
			f.addTransition(&f.tr)
			if each != nil {
				each(&f.tr)
			}
		}
		if err := f.r.d.end("journal"); err != nil {
			return err
		}
	}
	return nil
}

func (f *folded) addTransition(tr *state.Transition) {
	for i := range tr.Changes {
		c := &tr.Changes[i]
		at, ok := f.at.find(c.Index)
		if !ok {
			at = len(f.nodes)
			f.at.add(c.Index)
			f.nodes = append(f.nodes, newest{index: c.Index, kind: c.Kind})
		}
		n := &f.nodes[at]
		if c.Declared != nil {
			n.declared, n.id = c.Declared, c.ID
		}
		n.progress = c.Progress
	}
}

// reset empties f for another task.
func (f *folded) reset() {
	f.at.reset()
	clear(f.nodes)
	f.nodes = f.nodes[:0]
	clear(f.r.declared)
	f.r.declared = f.r.declared[:0]
}

// get returns the newest value of a node, nil if no piece changed it.
func (f *folded) get(index int) *newest {
	if at, ok := f.at.find(index); ok {
		return &f.nodes[at]
	}
	return nil
}

// countUpTo is the number of transitions with sequences up to last.
func countUpTo(trs []*state.Transition, last uint64) int {
	n := 0
	for n < len(trs) && trs[n].Sequence <= last {
		n++
	}
	return n
}

// node returns the complete node, if its declaration is in the overlay.
func (n *newest) node(index int) (state.Node, error) {
	if n == nil || n.declared == nil {
		return state.Node{}, fmt.Errorf("%w: node %d has no declaration", store.ErrCorrupt, index)
	}
	return state.Node{ID: n.id, Index: index, Kind: n.kind, Declaration: *n.declared, Progress: n.progress}, nil
}
