package boltstore

import (
	"slices"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// overlay is what the journal holds and the other buckets do not have yet, by
// task. It always holds everything after the checkpoint, so for what it has
// of a task it is right and the disk may be older.
type overlay struct {
	entries map[uint64]*entry    // by task number
	keys    map[state.Key]uint64 // of all entries that are not deleted
	ids     map[string]place
	created []uint64 // numbers of tasks with no header on disk, ascending; some may be gone
	queue   []*entry // entries with pieces to write back, oldest first
	pending int      // transitions in all pieces

	deletions int // entries that are deleted
}

// entry is what the overlay has of one task. The byte slices in its pieces are
// immutable; a reader copies the slice headers under the store's lock.
type entry struct {
	number  uint64
	task    store.Task // the header after all pieces
	isNew   bool       // no header on disk
	deleted bool       // the task is gone; what is on disk of it must go
	writing []piece    // being written back
	pieces  []piece    // newer than that
	first   uint64     // sequence of the oldest in pieces or of the delete, if queued
	queued  bool
	traces  traces // of nodes, as far as known; for who has the writer lock
}

func newOverlay() overlay {
	return overlay{
		entries: make(map[uint64]*entry), keys: make(map[state.Key]uint64), ids: make(map[string]place),
	}
}

// add takes in a committed change. header is the task's header before it, nil
// if the overlay has the task or if there is none. On replay the disk may have
// a part of the change already; then the header tells.
func (o *overlay) add(p *owned, trs []*state.Transition, header *store.Task) {
	e := o.entries[p.number]
	if e == nil {
		e = &entry{number: p.number, task: store.Task{Key: p.key, Number: p.number}}
		if header != nil {
			e.task = *header
		}
		o.entries[p.number] = e
		o.keys[p.key] = p.number
	}
	if trs[0].Op == state.Delete {
		o.delete(e, p.first)
		return
	}
	for i, tr := range trs {
		if tr.Op == state.Create {
			e.isNew = true
			o.created = append(o.created, p.number)
		}
		if seq := p.first + uint64(i); seq > e.task.Revision {
			numbered := *tr
			numbered.Sequence = seq
			e.task.Add(&numbered)
		}
		for i := range tr.Changes {
			c := &tr.Changes[i]
			e.traces.set(c.Index, state.TraceOf(c.ID, c.Kind, &c.Progress))
			if c.Declared != nil {
				o.ids[c.ID] = place{p.number, c.Index}
			}
		}
	}
	e.pieces = append(e.pieces, p.piece)
	o.pending += p.count
	o.enqueue(e, p.first)
}

func (o *overlay) enqueue(e *entry, first uint64) {
	if !e.queued {
		e.queued, e.first = true, first
		o.queue = append(o.queue, e)
	}
}

// delete turns an entry into the mark of a task that is gone.
func (o *overlay) delete(e *entry, seq uint64) {
	o.forgetIDs(e)
	o.forgetKey(e)
	for _, p := range e.pieces {
		o.pending -= p.count
	}
	e.deleted, e.pieces, e.traces = true, nil, nil
	o.deletions++
	o.pending++
	o.enqueue(e, seq)
}

// forgetKey takes a task's key out of the index, unless another task has it.
func (o *overlay) forgetKey(e *entry) {
	if o.keys[e.task.Key] == e.number {
		delete(o.keys, e.task.Key)
	}
}

// forgetIDs takes the nodes that an entry declares out of the index.
func (o *overlay) forgetIDs(e *entry) {
	for _, p := range slices.Concat(e.writing, e.pieces) {
		trs, err := p.transitions(e.task.Key)
		if err != nil {
			continue // cannot be: they were decoded or encoded before
		}
		for _, tr := range trs {
			for j := range tr.Changes {
				if c := &tr.Changes[j]; c.Declared != nil && o.ids[c.ID].number == e.number {
					delete(o.ids, c.ID)
				}
			}
		}
	}
}

// oldest is the sequence of the oldest transition that is not written back,
// or next if there is none.
func (o *overlay) oldest(next uint64) uint64 {
	if len(o.queue) > 0 {
		return o.queue[0].first
	}
	return next
}

// live returns the entry of a task that is not deleted, nil if there is none.
func (o *overlay) live(number uint64) *entry {
	if e := o.entries[number]; e != nil && !e.deleted {
		return e
	}
	return nil
}

// gone reports whether a task that may be on disk is deleted.
func (o *overlay) gone(number uint64) bool {
	e := o.entries[number]
	return e != nil && e.deleted
}
