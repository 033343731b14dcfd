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
	var declared, rest []*state.Transition // an attempt may have come from a later node
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
		trs := madeUp(&n, old)
		if i == 0 {
			trs[0].Recorded, trs[0].Labels = t.header.Recorded, tree.Labels()
		}
		declared, rest = append(declared, trs[0]), append(rest, trs[1:]...)
	}
	made := state.NewTree(tree.Key())
	for _, tr := range append(declared, rest...) {
		tr.Task, tr.Sequence = tree.Key(), made.Revision()+1
		if made, err = made.Extend(tr); err != nil {
			return nil, err
		}
		list = append(list, piecemeal{tr: tr})
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
	add := func(op state.OpKind, c state.Change) {
		trs = append(trs, &state.Transition{Op: op, At: n.Updated, Recorded: n.Updated, Actor: "salvage", Changes: []state.Change{c}})
	}
	// values are those that an attempt came to, the current one last.
	values := func(i int) state.Progress {
		if i == len(old) {
			return n.Progress
		}
		return state.Progress{Attempt: old[i], Updated: n.Updated}
	}
	change := func(p state.Progress) state.Change {
		return state.Change{ID: n.ID, Index: n.Index, Kind: n.Kind, Progress: p}
	}
	declared, op := n.Declaration, state.Declare
	if n.Index == 0 {
		op = state.Create
	}
	first := values(0)
	first.Began = op // records of schema 1 do not say it
	c := change(first)
	if first.State != state.Created {
		c.Attempt, c.Note = state.Attempt{Version: first.Version, State: state.Created, Began: op, Loop: 1}, ""
	}
	c.Declared = &declared
	add(op, c)
	if first.State != state.Created {
		c = change(first)
		c.From = state.Created
		add(ledTo[first.State], c)
	}
	for i := 1; i <= len(old); i++ {
		before, c := &old[i-1], change(values(i))
		if c.Began == 0 {
			past := state.PastOf(before, &c.Attempt)
			c.Began = past.By
		}
		c.From, c.Superseded, c.Supersedes = before.State, before, before.Version
		add(c.Began, c)
	}
	return trs
}

// ledTo is an operation that leads to a state.
var ledTo = map[state.State]state.OpKind{
	state.Running: state.Start, state.Finished: state.Finish, state.Failed: state.Fail,
	state.Suspended: state.Suspend, state.Revoked: state.Revoke,
}
