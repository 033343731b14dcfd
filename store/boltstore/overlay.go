package boltstore

import (
	"encoding/binary"
	"slices"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// overlay is what the journal has and the file does not: everything after the
// checkpoint, in two generations. Commits add to the active one. The frozen one
// is being written back, and does not change any more. For what the overlay has
// of a task it is right, and the file may be older.
type overlay struct {
	active *generation
	frozen *generation // nil if none is being written back
}

// generation is a run of commits, by task.
type generation struct {
	entries     map[uint64]*entry    // by task number
	keys        map[state.Key]uint64 // of entries that are not deleted
	ids         map[string]place
	created     []uint64     // numbers of tasks that were created in it, ascending; some may be deleted since
	joined      []uint64     // of older ones that came into an index of the file; ascending too
	records     []feedRecord // in order
	transitions int
	bytes       int64  // what its frames take in the journal
	payload     int64  // what is in them
	deletions   int    // entries that are deleted
	last        uint64 // sequence of its last transition, 0 if it is empty
}

// entry is what a generation has of one task. The byte slices in its pieces do
// not change; a reader copies the slice headers under the store's lock.
type entry struct {
	number  uint64
	task    store.Task // the header after all pieces
	isNew   bool       // the task was created in this generation
	joined  bool       // the task is among its generation's joined ones
	labeled bool       // the labels are not those that the task had before
	deleted bool       // the task is deleted; what is in the file of it must go
	pieces  []piece    // of this generation
	data    []put      // for the data bucket
	traces  traces     // of nodes, as far as known; for who has the turn
}

// newGeneration makes a generation with room for as many tasks and new nodes as
// another one, nil for none, has: maps that grow again in each generation were
// a third of the memory that it took to add a change.
func newGeneration(like *generation) *generation {
	var tasks, nodes int
	if like != nil {
		tasks, nodes = len(like.entries), len(like.ids)
	}
	return &generation{
		entries: make(map[uint64]*entry, tasks), keys: make(map[state.Key]uint64, tasks), ids: make(map[string]place, nodes),
	}
}

func newOverlay() overlay { return overlay{active: newGeneration(nil)} }

// generations are those there are, the newest first.
func (o *overlay) generations() []*generation {
	if o.frozen == nil {
		return []*generation{o.active}
	}
	return []*generation{o.active, o.frozen}
}

// transitions is how many are in the overlay.
func (o *overlay) transitions() int {
	if o.frozen == nil {
		return o.active.transitions
	}
	return o.active.transitions + o.frozen.transitions
}

// deletions reports whether the file may have tasks that are deleted.
func (o *overlay) deletions() bool {
	return o.active.deletions > 0 || o.frozen != nil && o.frozen.deletions > 0
}

// entry returns the newest entry of a task, nil if there is none.
func (o *overlay) entry(number uint64) *entry {
	if e := o.active.entries[number]; e != nil || o.frozen == nil {
		return e
	}
	return o.frozen.entries[number]
}

// live returns the newest entry of a task that is not deleted, nil if there is
// none.
func (o *overlay) live(number uint64) *entry {
	if e := o.entry(number); e != nil && !e.deleted {
		return e
	}
	return nil
}

// deleted reports whether a task that may be in the file is deleted.
func (o *overlay) deleted(number uint64) bool {
	e := o.entry(number)
	return e != nil && e.deleted
}

// key returns the number of the task with a key, if the overlay has it.
func (o *overlay) key(key state.Key) (number uint64, found bool) {
	if number, found = o.active.keys[key]; found || o.frozen == nil {
		return number, found
	}
	number, found = o.frozen.keys[key]
	return number, found && !o.deleted(number)
}

// id returns where the node with an ID is, if the overlay has it.
func (o *overlay) id(id string) (p place, found bool) {
	if p, found = o.active.ids[id]; found || o.frozen == nil {
		return p, found
	}
	p, found = o.frozen.ids[id]
	return p, found && !o.deleted(p.number)
}

// addData takes records of data into the entries of their tasks, which are there.
func (g *generation) addData(records []put) {
	for _, p := range records {
		if e := g.entries[binary.BigEndian.Uint64(p.key)]; e != nil && !e.deleted {
			e.data = append(e.data, p)
		}
	}
}

// records returns what the overlay has for a task's data.
func (o *overlay) records(number uint64) (all [2][]put) {
	for i, g := range o.generations() {
		if e := g.entries[number]; e != nil {
			all[i] = e.data
		}
	}
	return all
}

// pieces returns what the overlay has of a task, oldest first.
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

// add takes a committed change into the active generation. header is the task's
// header before it, nil if the overlay has the task or if there is none. On
// replay the file may have a part of the change already; then the header tells.
func (o *overlay) add(p *owned, trs []*state.Transition, header *store.Task) {
	g := o.active
	e := g.entries[p.number]
	if e == nil {
		e = &entry{number: p.number, task: store.Task{Key: p.key, Number: p.number}}
		if older := o.entry(p.number); older != nil {
			e.task = older.task
			e.pieces = make([]piece, 0, len(older.pieces)) // as many come, mostly
		} else if header != nil {
			e.task = *header
		}
		g.entries[p.number] = e
		g.keys[p.key] = p.number
	}
	g.transitions += p.count
	g.last = p.last()
	if trs[0].Op == state.Delete {
		g.delete(e)
		return
	}
	was := indexedOf(&e.task)
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
	if now := indexedOf(&e.task); !e.isNew && now != was {
		g.reindex(e, was, now)
	}
}

// indexed is what the indexes of the file say of a task that may change.
type indexed struct {
	unfinished, failures bool
	labels               state.Labels
}

func indexedOf(t *store.Task) indexed { return indexed{t.Unfinished(), t.HasFailures(), t.Labels} }

// reindex takes note that an older task is in other indexes than it was. Those of
// the file do not lead to it yet.
func (g *generation) reindex(e *entry, was, now indexed) {
	e.labeled = e.labeled || now.labels != was.labels
	if e.joined || !(e.labeled || now.unfinished && !was.unfinished || now.failures && !was.failures) {
		return
	}
	e.joined = true
	at, _ := slices.BinarySearch(g.joined, e.number)
	g.joined = slices.Insert(g.joined, at, e.number)
}

// delete turns an entry into the mark of a task that is deleted.
func (g *generation) delete(e *entry) {
	g.forgetIDs(e)
	if g.keys[e.task.Key] == e.number {
		delete(g.keys, e.task.Key)
	}
	e.deleted, e.pieces, e.data, e.traces = true, nil, nil, nil
	g.deletions++
}

// forgetIDs takes the nodes that an entry declares out of the index.
func (g *generation) forgetIDs(e *entry) {
	for _, p := range e.pieces {
		trs, err := p.transitions(e.task.Key)
		if err != nil {
			continue // cannot be: they were decoded or encoded before
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

// freeze makes the active generation the frozen one and begins another.
func (o *overlay) freeze() *generation {
	o.frozen, o.active = o.active, newGeneration(o.active)
	return o.frozen
}
