package boltstore

import (
	"bytes"
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// present reconstructs transitions that lead to the task's present nodes, with
// all their attempts. These are the nodes as last written back, with the later
// transitions in the journal up to the first missing one. It returns an error
// if a node or an attempt is missing.
func (t *remains) present(tx *bolt.Tx, upTo uint64) (list []foundTransition, err error) {
	if !t.headed || t.halfWritten(tx) {
		return nil, store.ErrCorrupt
	}
	now := t.storedTask
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
	var declared, rest []*state.Transition // declarations first, since a later node may have led to an attempt
	for i := range tree.Len() {
		n := tree.Node(i)
		now.place.index = i
		old, err := now.superseded(tx, 0, maxInt)
		if err == nil && len(old) != n.Number()-1 {
			err = fmt.Errorf("%w: node %q has %d superseded attempts", store.ErrCorrupt, n.ID, len(old))
		}
		if err != nil {
			return nil, err
		}
		trs := reconstructed(&n, old)
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
		list = append(list, foundTransition{tr: tr})
	}
	t.nameData(tx, list)
	return list, nil
}

// halfWritten reports whether some nodes may be newer than the header. The
// write-back of the task was then interrupted.
func (t *remains) halfWritten(tx *bolt.Tx) bool {
	prefix := seqKey(t.place.number)
	c := nodesBucket.in(tx).Cursor()
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		var n state.Node
		if readNode(tx, t.place.number, int(binary.BigEndian.Uint32(k[8:])), &n) != nil || n.Updated.After(t.header.Updated) {
			return true
		}
	}
	return false
}

// reconstructed returns transitions that declare a node and lead it through its
// attempts.
func reconstructed(n *state.Node, old []state.Attempt) (trs []*state.Transition) {
	var before *state.Attempt
	from := state.State(0)
	add := func(op state.OpKind, p state.Progress) {
		c := state.Change{ID: n.ID, Index: n.Index, Kind: n.Kind, From: from, Progress: p}
		switch {
		case from == 0:
			c.Declared = &n.Declaration
		case op.NewAttempt():
			c.Superseded = before
		}
		from = p.State
		trs = append(trs, &state.Transition{Op: op, At: n.Updated, Recorded: n.Updated, Actor: "salvage", Changes: []state.Change{c}})
	}
	for i := range len(old) + 1 {
		p := n.Progress
		if i < len(old) {
			p = state.Progress{Attempt: old[i], Updated: n.Updated}
		}
		switch { // records of schema 1 lack the operation that began an attempt
		case i == 0 && n.Index == 0:
			p.Began = state.Create
		case i == 0:
			p.Began = state.Declare
		default:
			before = &old[i-1]
			if p.Supersedes = before.Version; p.Began == 0 {
				p.Began = state.PastOf(before, &p.Attempt).By
			}
		}
		began := begunAs(&p)
		add(p.Began, began)
		if from == state.Created && p.Started.IsSet() {
			began = runningAs(&p)
			add(state.Start, began)
		}
		if began != p {
			add(ledTo[p.State], p)
		}
	}
	return trs
}

// begunAs returns the progress of a node when the attempt with the progress p
// began.
func begunAs(p *state.Progress) state.Progress {
	switch {
	case p.Began == state.Skip, p.State == state.Created:
		return *p
	case p.Began == state.Loop || p.Began == state.Reopen:
		return runningAs(p)
	}
	a := &p.Attempt
	return state.Progress{
		Attempt: state.Attempt{
			Version: a.Version, State: state.Created, Began: a.Began, Along: a.Along, Loop: a.Loop, Retries: a.Retries, Skips: a.Skips,
		},
		Updated: p.Updated, Supersedes: p.Supersedes,
	}
}

// runningAs returns the progress of a node when the attempt with the progress p
// was running: p if it still is.
func runningAs(p *state.Progress) state.Progress {
	if p.State == state.Running {
		return *p
	}
	q := *p
	q.State, q.Finished, q.Error, q.RetryAt, q.Note = state.Running, state.Instant{}, "", state.Instant{}, ""
	q.Paused, q.ErrorIgnored = false, false
	return q
}

// ledTo has, for each state, an operation that leads to it.
var ledTo = map[state.State]state.OpKind{
	state.Running: state.Start, state.Finished: state.Finish, state.Failed: state.Fail,
	state.Suspended: state.Suspend, state.Revoked: state.Revoke,
}
