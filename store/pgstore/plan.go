package pgstore

import (
	"errors"
	"fmt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// names are the values that a commit has to look up before it can be planned: the keys
// of its updates and creates by their place among the changes, the nodes that updates
// change, and the IDs of all nodes that it declares.
type names struct {
	updates, creates keys
	nodes            struct {
		keys
		index []int32
	}
	ids [][]byte
}

// addNode adds a node whose previous values a change needs.
func (n *names) addNode(key state.Key, change, index int) {
	n.nodes.add(key, change)
	n.nodes.index = append(n.nodes.index, int32(index))
}

// keys are task keys as columns.
type keys struct {
	business, task []string
	change         []int // the change of each key
}

func (k *keys) add(key state.Key, change int) {
	k.business, k.task = append(k.business, key.Business), append(k.task, key.Task)
	k.change = append(k.change, change)
}

func namesOf(changes []store.Write) (n names) {
	for i := range changes {
		c := &changes[i]
		if c.Base == 0 {
			n.creates.add(c.Key(), i)
		} else {
			n.updates.add(c.Key(), i)
		}
		for _, tr := range c.Transitions {
			for j := range tr.Changes {
				index := tr.Changes[j].Index
				if d := tr.Changes[j].Declared; d != nil {
					n.ids = append(n.ids, appendID(nil, tr.Changes[j].ID))
					index = d.ParentIndex
				}
				if c.Base > 0 {
					n.addNode(c.Key(), i, index)
				}
			}
		}
	}
	return n
}

// found is the knowledge of a transaction before it writes. Tasks are locked.
type found struct {
	tasks   map[int]*row     // the tasks of updates, by change
	keys    map[int]bool     // creates whose keys are in use, by change
	ids     map[string]int64 // the tasks that have the IDs to be declared
	taskIDs []int64          // for the tasks to be created
}

// row is a task in the database.
type row struct {
	id, holder int64
	task       store.Task
	nodes      map[int]state.Trace // the nodes that the change needs
	err        error               // the reason why the task cannot be read
}

// trace returns the trace of a node.
func (r *row) trace(index int) (state.Trace, error) {
	t, ok := r.nodes[index]
	if !ok {
		return t, fmt.Errorf("%w: there is no node %d", store.ErrCorrupt, index)
	}
	return t, nil
}

// plan holds the writes of a commit, as columns for the statements. Sequences are
// relative to the one before the commit's first.
type plan struct {
	results []store.Result // First is relative

	deleted struct {
		tasks []int64
		keys  keys
	}
	created    keys
	createdIDs []int64
	added      struct { // nodes
		id, declaration, progress [][]byte
		task                      []int64
		index                     []int32
	}
	changed struct { // nodes
		task     []int64
		index    []int32
		progress [][]byte
	}
	attempts struct {
		task  []int64
		index []int32
		n     []int64
		data  [][]byte
	}
	transitions struct {
		task, number []int64
		data         [][]byte
	}
	made struct { // tasks
		id, first, last      []int64
		business, task       []string
		shown                []int16
		unfinished, failures []bool
		recordedS            []int64
		recordedNS           []int32
		holder               []int64
		header, name         [][]byte
	}
	moved struct { // tasks, from where they are
		id, base, last, holder     []int64
		shown                      []int16
		unfinished, gone, failures []bool
		header                     [][]byte
	}
	oldLabels, newLabels labelRows
	data                 dataRows
	kept                 []kept
	rows                 []plannedRow
}

// plannedRow is a task that a plan writes. Sequences are relative.
type plannedRow struct {
	write       *store.Write
	row         *row
	created     bool
	first, last int64
}

// labelRows has the labels of tasks by number. The number is 0 if the commit
// creates the task, whose number is then the sequence of its first transition.
type labelRows struct {
	key, value          [][]byte
	task, number, first []int64
}

// add adds the labels of a set that another set does not have.
func (l *labelRows) add(labels, others state.Labels, task, number, first int64) {
	for key, value := range labels.All() {
		if v, has := others.Get(key); !has || v != value {
			l.key, l.value = append(l.key, []byte(key)), append(l.value, []byte(value))
			l.task, l.number, l.first = append(l.task, task), append(l.number, number), append(l.first, first)
		}
	}
}

// planner decides which changes apply.
type planner struct {
	plan
	found   found
	store   *Store
	removed map[int64]bool  // tasks that earlier changes delete
	taken   map[string]bool // IDs that earlier changes declare
}

// plan decides which changes apply and plans their writes. An error is an error of the
// whole commit.
func (s *Store) plan(changes []store.Write, f found) (*plan, error) {
	p := &planner{found: f, store: s, removed: make(map[int64]bool), taken: make(map[string]bool)}
	p.results = make([]store.Result, len(changes))
	for i := range changes {
		c := &changes[i]
		r, err := p.target(i, c)
		if err == nil {
			err = c.Follows(r.task, r.trace)
		}
		if errors.Is(err, state.ErrInvalidArgument) {
			return nil, fmt.Errorf("change %d: %w", i, err)
		}
		if err == nil {
			err = p.takeIDs(c)
		}
		if err != nil {
			p.results[i].Err = err
			continue
		}
		p.add(i, c, r)
	}
	return &p.plan, nil
}

// target returns the task of a change (a new one for a create), or the reason why the
// change does not apply.
func (p *planner) target(i int, c *store.Write) (*row, error) {
	if c.Base == 0 {
		if p.found.keys[i] {
			return nil, fmt.Errorf("%w: task %s", state.ErrExists, c.Key())
		}
		id := p.found.taskIDs[0]
		p.found.taskIDs = p.found.taskIDs[1:]
		return &row{id: id, holder: p.store.leases.forNew()}, nil
	}
	r := p.found.tasks[i]
	switch {
	case r == nil:
		return nil, fmt.Errorf("%w: there is no task %s", store.ErrConflict, c.Key())
	case r.err != nil:
		return nil, fmt.Errorf("task %s: %w", c.Key(), r.err)
	case p.store.leases.lost(r.id, r.holder):
		return nil, fmt.Errorf("%w: task %s", store.ErrFenced, c.Key())
	case r.task.Revision != c.Base:
		return nil, fmt.Errorf("%w: task %s is at revision %d, not %d", store.ErrConflict, c.Key(), r.task.Revision, c.Base)
	}
	return r, nil
}

// takeIDs takes all IDs that a change declares, or none if one is in use.
func (p *planner) takeIDs(c *store.Write) error {
	var own []string
	for _, tr := range c.Transitions {
		for i := range tr.Changes {
			if tr.Changes[i].Declared == nil {
				continue
			}
			id := tr.Changes[i].ID
			task, exists := p.found.ids[id]
			if exists && !p.removed[task] || p.taken[id] {
				for _, id := range own {
					delete(p.taken, id)
				}
				return fmt.Errorf("%w: node %q", state.ErrExists, id)
			}
			p.taken[id] = true
			own = append(own, id)
		}
	}
	return nil
}

// add plans a change that applies.
func (p *planner) add(i int, c *store.Write, r *row) {
	p.results[i].First = uint64(len(p.transitions.task)) + 1
	switch {
	case c.Deletes():
		p.removed[r.id] = true
		p.deleted.tasks = append(p.deleted.tasks, r.id)
		p.deleted.keys.add(c.Key(), i)
	case c.Base == 0:
		p.created.add(c.Key(), i)
		p.createdIDs = append(p.createdIDs, r.id)
	}
	before := r.task.Labels
	// If a node changes several times, only the last values are written.
	outcomes := make(map[int]*outcome, len(c.Transitions))
	for _, tr := range c.Transitions {
		p.nodes(r, tr, outcomes)
		if tr.Op != state.Delete {
			r.task.Add(tr)
		}
		p.transitions.task = append(p.transitions.task, r.id)
		p.transitions.number = append(p.transitions.number, int64(len(p.transitions.task)))
		p.transitions.data = append(p.transitions.data, encodeTransition(tr))
		p.data.add(r.id, tr)
	}
	after := r.task.Labels
	if c.Deletes() {
		after = state.Labels{}
	}
	number, first := int64(r.task.Number), int64(p.results[i].First)
	if c.Base == 0 {
		number = 0 // not known yet
	}
	p.oldLabels.add(before, after, r.id, number, first)
	p.newLabels.add(after, before, r.id, number, first)
	p.task(i, c, r)
}

// outcome is the index of the node's progress, if an earlier change of the
// commit has one.
type outcome struct {
	column *[][]byte
	at     int
}

// nodes plans the changes of a transition to nodes.
func (p *planner) nodes(r *row, tr *state.Transition, outcomes map[int]*outcome) {
	for i := range tr.Changes {
		n := &tr.Changes[i]
		progress := encodeProgress(&n.Progress)
		at := outcomes[n.Index]
		switch {
		case at != nil:
			(*at.column)[at.at] = progress
		case n.Declared != nil:
			a := &p.added
			outcomes[n.Index] = &outcome{&a.progress, len(a.progress)}
			a.id, a.task, a.index = append(a.id, appendID(nil, n.ID)), append(a.task, r.id), append(a.index, int32(n.Index))
			a.declaration = append(a.declaration, encodeDeclaration(n.Kind, n.Declared))
			a.progress = append(a.progress, progress)
		default:
			c := &p.changed
			outcomes[n.Index] = &outcome{&c.progress, len(c.progress)}
			c.task, c.index, c.progress = append(c.task, r.id), append(c.index, int32(n.Index)), append(c.progress, progress)
		}
		if s := n.Superseded; s != nil {
			a := &p.attempts
			a.task, a.index = append(a.task, r.id), append(a.index, int32(n.Index))
			a.n = append(a.n, int64(s.Number()))
			a.data = append(a.data, encodeAttempt(s))
		}
	}
}

// task plans the row of a changed task.
func (p *planner) task(i int, c *store.Write, r *row) {
	h := &r.task
	first, last := int64(p.results[i].First), int64(len(p.transitions.task))
	if c.Base == 0 {
		t, key := &p.made, c.Key()
		t.id, t.first, t.last = append(t.id, r.id), append(t.first, first), append(t.last, last)
		t.business, t.task, t.name = append(t.business, key.Business), append(t.task, key.Task), append(t.name, []byte(h.Name))
		t.shown, t.unfinished, t.failures = append(t.shown, int16(h.Shown)), append(t.unfinished, h.Unfinished()), append(t.failures, h.HasFailures())
		sec, nsec := h.Recorded.Unix()
		t.recordedS, t.recordedNS = append(t.recordedS, sec), append(t.recordedNS, int32(nsec))
		t.holder, t.header = append(t.holder, r.holder), append(t.header, encodeHeader(h))
	} else {
		t := &p.moved
		t.id, t.base, t.last, t.holder = append(t.id, r.id), append(t.base, int64(c.Base)), append(t.last, last), append(t.holder, r.holder)
		t.shown, t.unfinished, t.failures = append(t.shown, int16(h.Shown)), append(t.unfinished, h.Unfinished()), append(t.failures, h.HasFailures())
		t.gone, t.header = append(t.gone, c.Deletes()), append(t.header, encodeHeader(h))
	}
	p.rows = append(p.rows, plannedRow{c, r, c.Base == 0, first, last})
	p.kept = append(p.kept, kept{task: r.id, created: c.Base == 0, ended: c.Deletes() || !h.Unfinished()})
}

// kept records the lease of a task: held, or ended.
type kept struct {
	task           int64
	created, ended bool
}
