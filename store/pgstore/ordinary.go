package pgstore

import (
	"context"
	"errors"
	"maps"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// # Ordinary commits
//
// Most commits are of a process that made the tasks' last transitions itself. It
// knows their rows, so it can decide what to write without asking. Such a commit
// is one round trip: its statement, or move_task, locks the rows that are still as
// they were and writes if these are all of them. It fails if a name is taken. A commit that has
// written nothing is then made in two steps, as the package documentation
// describes.

// familiarTasks and familiarNodes bound the knowledge of a handle.
const (
	familiarTasks = 1 << 15
	familiarNodes = 1 << 18
)

// familiar holds the tasks after the handle's last commits.
type familiar struct {
	mu    sync.Mutex // protects everything below
	tasks map[state.Key]*familiarTask
	nodes int     // of all tasks
	ids   []int64 // for tasks to be created
}

// familiarTask is a task of which the handle knows the nodes that it changed.
type familiarTask struct {
	row   row // without nodes
	nodes map[int]state.Trace
}

// of returns the values that a commit needs of its tasks, if all are familiar.
func (f *familiar) of(changes []store.Write) (known found, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	known.tasks = make(map[int]*row, len(changes))
	creates := 0
	for i := range changes {
		c := &changes[i]
		if c.Base == 0 {
			creates++
			continue
		}
		t := f.tasks[c.Key()]
		if t == nil || t.row.task.Revision != c.Base || c.Deletes() {
			return known, false
		}
		r := t.row
		if r.nodes = t.needed(c); r.nodes == nil {
			return known, false
		}
		known.tasks[i] = &r
	}
	if creates > len(f.ids) {
		return known, false
	}
	known.taskIDs, f.ids = f.ids[:creates:creates], f.ids[creates:]
	return known, true
}

// needed returns the traces of the nodes that a change needs as they were, nil if
// one is not known.
func (t *familiarTask) needed(c *store.Write) map[int]state.Trace {
	needed := make(map[int]state.Trace)
	for _, tr := range c.Transitions {
		for i := range tr.Changes {
			index := tr.Changes[i].Index
			if d := tr.Changes[i].Declared; d != nil {
				index = d.ParentIndex
			}
			if index >= t.row.task.Nodes {
				continue // the change itself declares it
			}
			trace, known := t.nodes[index]
			if !known {
				return nil
			}
			needed[index] = trace
		}
	}
	return needed
}

// committed records the writes of a plan.
func (f *familiar) committed(p *plan, base int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tasks == nil {
		f.tasks = make(map[state.Key]*familiarTask)
	}
	for i, w := range p.rows {
		key := w.write.Key()
		if p.kept[i].ended {
			f.remove(key)
			continue
		}
		r := *w.row
		r.nodes = nil
		r.task.Revision = uint64(base + w.last)
		if w.created {
			r.task.Number = uint64(base + w.first)
		}
		t := f.tasks[key]
		if t == nil || t.row.id != r.id || t.row.task.Revision != w.write.Base {
			f.remove(key)
			f.makeRoom()
			t = &familiarTask{nodes: make(map[int]state.Trace)}
			f.tasks[key] = t
		}
		t.row = r
		f.nodes -= len(t.nodes)
		maps.Copy(t.nodes, w.row.nodes)
		for _, tr := range w.write.Transitions {
			for j := range tr.Changes {
				c := &tr.Changes[j]
				t.nodes[c.Index] = state.TraceOf(c.ID, c.Kind, &c.Progress)
			}
		}
		f.nodes += len(t.nodes)
	}
}

func (f *familiar) makeRoom() {
	for key := range f.tasks { // any
		if len(f.tasks) < familiarTasks && f.nodes < familiarNodes {
			return
		}
		f.remove(key)
	}
}

func (f *familiar) remove(key state.Key) {
	if t := f.tasks[key]; t != nil {
		f.nodes -= len(t.nodes)
		delete(f.tasks, key)
	}
}

// forget drops tasks that have changed.
func (f *familiar) forget(changes []store.Write) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range changes {
		f.remove(changes[i].Key())
	}
}

// spareIDs is how many internal names of tasks a handle gets in advance.
const spareIDs = 32

// refill gets internal names of tasks in advance when a commit needs some, so
// that the next creates can be ordinary.
func (s *Store) refill(ctx context.Context) {
	f := &s.familiar
	f.mu.Lock()
	enough := len(f.ids) >= spareIDs/2
	f.mu.Unlock()
	if enough {
		return
	}
	var ids []int64
	rows, err := s.pool.Query(ctx, s.sql.taskIDs, spareIDs)
	if err == nil {
		err = each(rows, func(id int64) error { ids = append(ids, id); return nil })
	}
	if err != nil {
		return // the commit will report the error
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ids = append(f.ids, ids...)
}

// ordinary plans a commit without asking the database. It returns nil if that
// cannot be done.
func (s *Store) ordinary(ctx context.Context, changes []store.Write) *plan {
	if s.inTwoSteps || s.claims.any() {
		return nil
	}
	for i := range changes {
		if changes[i].Base == 0 {
			s.refill(ctx)
			break
		}
	}
	f, ok := s.familiar.of(changes)
	if !ok {
		return nil
	}
	p, err := s.plan(changes, f)
	if err != nil {
		return nil
	}
	for i := range p.results {
		if p.results[i].Err != nil {
			return nil
		}
	}
	return p
}

// errNotAsExpected says that a commit did nothing because it is not ordinary.
var errNotAsExpected = errors.New("the tasks are not as the handle left them")

// notAsExpected reports whether an error says that a commit is not ordinary.
func notAsExpected(err error) bool {
	var refused *pgconn.PgError
	return errors.Is(err, errNotAsExpected) || errors.As(err, &refused) && refused.Code == "22012" || // division_by_zero
		err != nil && troubleOf(err) == raced
}
