package boltstore

import (
	"encoding/binary"
	"slices"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// overlay holds the transitions that are in the journal and not in the file: everything
// after the checkpoint, in two generations. Commits add to the active one. The frozen
// one is being written back, and does not change any more. Values in the overlay take
// precedence over the file, which may be older.
type overlay struct {
	active *generation
	frozen *generation // nil if none is being written back
}

// generation is a run of commits, by task.
type generation struct {
	entries     map[uint64]*entry    // by task number
	keys        map[state.Key]*entry // those that are not deleted
	ids         map[string]place
	created     []uint64     // numbers of the tasks created in it, ascending; some may be deleted since
	joined      []uint64     // numbers of older tasks that joined an index of the file, ascending
	records     []feedRecord // in order
	transitions int
	bytes       int64  // size of its frames in the journal
	payload     int64  // size of their payloads
	deletions   int    // entries that are deleted
	last        uint64 // sequence of its last transition, 0 if it is empty
}

// entry is a generation's part of one task. The byte slices in its pieces do
// not change; a reader copies the slice headers while it holds the store's
// lock.
type entry struct {
	in      *generation
	number  uint64
	before  indexed    // by the indexes of the file, once all older generations are written back
	task    store.Task // the header after all pieces
	isNew   bool       // the task was created in this generation
	joined  bool       // the generation's joined has the task
	labeled bool       // the task's labels were changed
	deleted bool       // the task is deleted; its records in the file must be removed
	pieces  []piece    // of this generation
	data    []put      // for the data bucket
	// Protected by the turn:
	traces traces // of its nodes, as far as known
	plan   uint64 // the last plan with a write of the task
}

// newGeneration makes a generation with room for as many tasks and new nodes as
// an earlier one has; like may be nil. Growing the maps anew in each generation
// took a third of the memory of adding a change.
func newGeneration(like *generation) *generation {
	var tasks, nodes int
	if like != nil {
		tasks, nodes = len(like.entries), len(like.ids)
	}
	return &generation{
		entries: make(map[uint64]*entry, tasks), keys: make(map[state.Key]*entry, tasks), ids: make(map[string]place, nodes),
	}
}

func newOverlay() overlay { return overlay{active: newGeneration(nil)} }

// generations returns the one or two generations, the newest first.
func (o *overlay) generations() []*generation {
	if o.frozen == nil {
		return []*generation{o.active}
	}
	return []*generation{o.active, o.frozen}
}

// transitions is the number of transitions in the overlay.
func (o *overlay) transitions() int {
	if o.frozen == nil {
		return o.active.transitions
	}
	return o.active.transitions + o.frozen.transitions
}

// deletions reports whether the file may have deleted tasks.
func (o *overlay) deletions() bool {
	return o.active.deletions > 0 || o.frozen != nil && o.frozen.deletions > 0
}

// entry returns the newest entry of a task, nil if the overlay does not have
// it.
func (o *overlay) entry(number uint64) *entry {
	if e := o.active.entries[number]; e != nil || o.frozen == nil {
		return e
	}
	return o.frozen.entries[number]
}

// live returns the newest entry of a task, nil if the overlay does not have it
// or the task is deleted.
func (o *overlay) live(number uint64) *entry {
	if e := o.entry(number); e != nil && !e.deleted {
		return e
	}
	return nil
}

// deleted reports whether a task is deleted that the file may still have.
func (o *overlay) deleted(number uint64) bool {
	e := o.entry(number)
	return e != nil && e.deleted
}

// key returns the newest entry of the task with a key, nil if the overlay does
// not have one.
func (o *overlay) key(key state.Key) *entry {
	e := o.active.keys[key]
	if e != nil || o.frozen == nil {
		return e
	}
	if e = o.frozen.keys[key]; e == nil || o.deleted(e.number) {
		return nil
	}
	return e
}

// id returns the place of the node with an ID, if the overlay has it.
func (o *overlay) id(id string) (p place, found bool) {
	if p, found = o.active.ids[id]; found || o.frozen == nil {
		return p, found
	}
	p, found = o.frozen.ids[id]
	return p, found && !o.deleted(p.number)
}

// addData adds records of data to the entries of their tasks. A task without an
// entry, or deleted, needs none.
func (g *generation) addData(records []put) {
	for _, p := range records {
		if e := g.entries[binary.BigEndian.Uint64(p.key)]; e != nil && !e.deleted {
			e.data = append(e.data, p)
		}
	}
}

// records returns the overlay's records of a task's data, by generation.
func (o *overlay) records(number uint64) (all [2][]put) {
	for i, g := range o.generations() {
		if e := g.entries[number]; e != nil {
			all[i] = e.data
		}
	}
	return all
}

// pieces returns the overlay's pieces of a task, oldest first.
func (o *overlay) pieces(number uint64) []piece {
	var list []piece
	if o.frozen != nil {
		if e := o.frozen.entries[number]; e != nil {
			list = slices.Clip(e.pieces)
		}
	}
	if e := o.active.entries[number]; e != nil {
		list = append(list, e.pieces...)
	}
	return list
}

// enter returns the entry of a task in the active generation, and adds one if
// necessary. newest is the newest entry of the task in the overlay, or nil.
// header is then the task's header in the file, nil if the task is new.
func (o *overlay) enter(newest *entry, p *owned, header *store.Task) *entry {
	g := o.active
	if newest != nil && newest.in == g {
		return newest
	}
	e := &entry{in: g, number: p.number, task: store.Task{Key: p.key, Number: p.number}}
	if newest != nil {
		e.task = newest.task
		e.pieces = make([]piece, 0, len(newest.pieces)) // usually the same number
	} else if header != nil {
		e.task = *header
	}
	if e.task.Revision > 0 {
		e.before = indexedOf(&e.task)
	}
	g.entries[p.number] = e
	g.keys[p.key] = e
	return e
}

// add adds a committed change of a task to its entry, which is in the active
// generation. During replay the file may already have a part of the change; the
// header then has the revision up to which it does.
func (o *overlay) add(e *entry, p *owned, trs []*state.Transition) {
	g := e.in
	g.transitions += p.count
	g.last = p.last()
	if trs[0].Op == state.Delete {
		g.delete(e)
		return
	}
	for i, tr := range trs {
		if tr.Op == state.Create {
			e.isNew = true
			g.created = append(g.created, p.number)
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
				g.ids[c.ID] = place{p.number, c.Index}
			}
		}
	}
	e.pieces = append(e.pieces, p.piece)
	if now := indexedOf(&e.task); !e.isNew && now != e.before {
		g.reindex(e, now)
	}
}

// indexed has the values of a task that select its indexes in the file and may
// change.
type indexed struct {
	unfinished, failures bool
	labels               state.Labels
}

func indexedOf(t *store.Task) indexed { return indexed{t.Unfinished(), t.HasFailures(), t.Labels} }

// reindex notes that an older task now belongs to other indexes. The file's
// indexes do not lead to it yet.
func (g *generation) reindex(e *entry, now indexed) {
	was := e.before
	e.labeled = now.labels != was.labels
	if e.joined || !(e.labeled || now.unfinished && !was.unfinished || now.failures && !was.failures) {
		return
	}
	e.joined = true
	at, _ := slices.BinarySearch(g.joined, e.number)
	g.joined = slices.Insert(g.joined, at, e.number)
}

// delete makes an entry the mark of a deleted task.
func (g *generation) delete(e *entry) {
	g.forgetIDs(e)
	if g.keys[e.task.Key] == e {
		delete(g.keys, e.task.Key)
	}
	e.deleted, e.pieces, e.data, e.traces = true, nil, nil, nil
	g.deletions++
}

// forgetIDs removes the nodes that an entry declares from the index of IDs.
func (g *generation) forgetIDs(e *entry) {
	for _, p := range e.pieces {
		trs, err := p.transitions(e.task.Key)
		if err != nil {
			continue // impossible: the piece was encoded or decoded before
		}
		for _, tr := range trs {
			for j := range tr.Changes {
				if c := &tr.Changes[j]; c.Declared != nil && g.ids[c.ID].number == e.number {
					delete(g.ids, c.ID)
				}
			}
		}
	}
}

// freeze makes the active generation the frozen one and begins a new one.
func (o *overlay) freeze() *generation {
	o.frozen, o.active = o.active, newGeneration(o.active)
	return o.frozen
}
