package boltstore

import (
	"bytes"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// present makes up transitions that lead to what the task's nodes were when
// they were last written to their place and, as far as nothing is missing in
// the journal after that, what became of them, with all their attempts. It
// returns an error if anything of these is missing.
func (t *remains) present(tx *bolt.Tx, upTo uint64) (list []piecemeal, err error) {
	if !t.headed || t.halfWritten(tx) {
		return nil, store.ErrCorrupt
	}
	now := t.found
	now.pieces = nil
	for i := range t.pieces {
		p := t.pieces[i]
		if p.last() <= t.header.Revision {
			continue
		}
		if !journaled(tx, max(now.header.Revision, upTo), p.first) {
			break
		}
		some, err := p.transitions(now.header.Key)
		if err != nil {
			return nil, err
		}
		for _, tr := range some[countUpTo(some, t.header.Revision):] {
			now.header.Add(tr)
		}
		now.pieces = append(now.pieces, p)
	}
	tree, err := now.tree(tx)
	if err != nil {
		return nil, err
	}
	made := state.NewTree(tree.Key())
	for i := range tree.Len() {
		n := tree.Node(i)
		now.place.index = i
		old, err := now.attempts(tx, 0, maxInt)
		if err == nil && len(old) != n.Number()-1 {
			err = fmt.Errorf("%w: node %q has %d superseded attempts", store.ErrCorrupt, n.ID, len(old))
		}
		if err != nil {
			return nil, err
		}
		for _, tr := range madeUp(&n, old) {
			tr.Task, tr.Sequence = tree.Key(), made.Revision()+1
			if i == 0 && tr.Op == state.Create {
				tr.Recorded = t.header.Recorded
			}
			if made, err = made.Replay(tr); err != nil {
				return nil, err
			}
			tr.Shown = made.Shown(0)
			list = append(list, piecemeal{tr: tr})
		}
	}
	return list, nil
}

// halfWritten reports whether nodes may be in their place that are newer than
// the header: the writing back of the task was interrupted.
func (t *remains) halfWritten(tx *bolt.Tx) bool {
	prefix := seqKey(t.place.number)
	c := nodesBucket.in(tx).Cursor()
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		var n state.Node
		if decodeNode(k, v, &n) != nil || n.Updated.After(t.header.Updated) {
			return true
		}
	}
	return false
}

// madeUp are transitions that declare a node and lead it through its attempts.
func madeUp(n *state.Node, old []state.Attempt) (trs []*state.Transition) {
	declared := n.Declaration
	for i := range len(old) + 1 {
		c := state.Change{ID: n.ID, Index: n.Index, Kind: n.Kind, Progress: state.Progress{Attempt: n.Attempt, Updated: n.Updated}}
		if i < len(old) {
			c.Attempt = old[i]
		}
		op := state.Declare
		if i == 0 {
			c.Declared = &declared
			if n.Index == 0 {
				op = state.Create
			}
		} else {
			before := &old[i-1]
			if op = c.Began; op == 0 { // from before records told
				past := state.PastOf(before, &c.Attempt)
				op = past.By
			}
			c.From, c.Superseded, c.Supersedes, c.Began = before.State, before, before.Version, op
		}
		if i == len(old) {
			c.Progress = n.Progress
		}
		trs = append(trs, &state.Transition{Op: op, At: n.Updated, Recorded: n.Updated, Actor: "salvage", Changes: []state.Change{c}})
	}
	return trs
}
