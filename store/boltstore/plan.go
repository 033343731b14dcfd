package boltstore

import (
	"errors"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/journal"
)

func isTooLarge(err error) bool {
	var large *store.TooLargeError
	return errors.As(err, &large)
}

// commit is one Commit in progress.
type commit struct {
	store      *Store
	writes     []store.Write
	results    []store.Result
	begin, end int  // bounds of the part being committed
	waits      int  // number of times that it waited for room
	tried      bool // it has begun a write-back

	// The result of plan, made anew each time.
	tasks   []*entry     // of the overlay, for each write; nil if it does not have the task
	records []feedRecord // during planning all but the last one are closed
	data    []put        // for the data bucket, in the order of the transitions
	planned []planned
	next    uint64 // sequence of the next transition
	ids     map[string]struct{}
	size    int  // of the payload
	removes bool // every planned write deletes its task

	tx     *bolt.Tx // begun when the plan needs the file
	noFile error    // why tx could not begin
}

// planned is a write that applies.
type planned struct {
	transitions []*state.Transition
	task        *entry      // nil if the overlay does not have the task
	header      *store.Task // then that from the file, nil if the task is new
}

// plan decides which writes of the part apply, assigns their sequences and
// makes the records. If the records do not fit a frame, it ends the part
// earlier.
func (c *commit) plan() error {
	for {
		var err error
		if guarded := guard(func() error {
			defer c.release()
			err = c.tryPlan()
			return nil
		}); guarded != nil {
			return guarded
		}
		if !errors.Is(err, errPartTooLarge) {
			return err
		}
	}
}

// errPartTooLarge says that the part was made smaller and must be planned
// again.
var errPartTooLarge = errors.New("part too large")

func (c *commit) tryPlan() error {
	if err := c.find(); err != nil {
		return err
	}
	c.records, c.data, c.planned, c.size = nil, nil, c.store.planned[:0], 0
	c.next, c.removes = c.store.last+1, true
	c.store.enc.reset()
	c.ids = c.store.ids
	clear(c.ids)
	limit := journal.LongestIn(c.store.journalSize())
	for i := c.begin; i < c.end; i++ {
		if c.results[i].Err != nil && isTooLarge(c.results[i].Err) {
			continue // left out
		}
		c.results[i] = store.Result{}
		number, header, err := c.check(&c.writes[i], c.tasks[i])
		switch {
		case c.noFile != nil:
			return c.noFile
		case errors.Is(err, store.ErrConflict), errors.Is(err, state.ErrExists),
			errors.Is(err, store.ErrCorrupt), errors.Is(err, store.ErrIncompatible):
			c.results[i].Err = err
			continue
		case err != nil:
			return err
		}
		before := c.encoded()
		c.results[i].First = c.next
		c.record(number, c.writes[i].Transitions)
		c.planned = append(c.planned, planned{c.writes[i].Transitions, c.tasks[i], header})
		c.removes = c.removes && c.writes[i].Deletes()
		if size := c.encoded(); size > limit {
			if len(c.planned) > 1 {
				c.end = i
			} else {
				c.results[i] = store.Result{Err: &store.TooLargeError{Bytes: size - before, Limit: limit}}
			}
			return errPartTooLarge
		}
	}
	c.closeRecord()
	c.size, c.store.planned = c.encoded(), c.planned
	return nil
}

// find looks up the tasks of all remaining writes in the overlay. It refuses two
// writes of one task.
func (c *commit) find() error {
	s := c.store
	s.plans++
	s.tasks = slices.Grow(s.tasks[:0], len(c.writes))[:len(c.writes)]
	clear(s.keys)
	absent := 0
	for i := c.begin; i < len(c.writes); i++ {
		key := c.writes[i].Key()
		e := s.overlay.key(key)
		twice := false
		if s.tasks[i] = e; e != nil {
			twice = e.plan == s.plans
			e.plan = s.plans
		} else {
			s.keys[key] = struct{}{}
			absent++
			twice = len(s.keys) < absent
		}
		if twice {
			return fmt.Errorf("%w: two changes of task %s in a commit", state.ErrInvalidArgument, key)
		}
	}
	c.tasks = s.tasks
	return nil
}

// encoded is the length of the payload or, while a record is being made, an
// upper bound of it.
func (c *commit) encoded() int {
	const head = 32 // of a record, with its length and checksum, at most
	n := c.size
	if len(c.store.enc.body) > 0 {
		n += len(c.store.enc.body) + head
	}
	return n
}

// record adds the transitions of a write to the records.
func (c *commit) record(number uint64, trs []*state.Transition) {
	enc := &c.store.enc
	for _, tr := range trs {
		if tr.Data != nil {
			c.data = append(c.data, dataPut(number, tr))
			c.size += dataTakes(&c.data[len(c.data)-1])
		}
	}
	for len(trs) > 0 {
		if len(c.records) == 0 || enc.full() {
			c.closeRecord()
			c.records = append(c.records, feedRecord{first: c.next, next: c.next})
		}
		f := &c.records[len(c.records)-1]
		trs = f.add(number, trs, enc)
		c.next = f.next
	}
}

// closeRecord ends the record being made, if any.
func (c *commit) closeRecord() {
	if n := len(c.records); n > 0 && len(c.store.enc.body) > 0 {
		f := &c.records[n-1]
		f.close(&c.store.enc)
		c.size += len(f.value) + uvarintLen(len(f.value))
	}
}

func uvarintLen(n int) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

// file returns the transaction that reads the file, and begins it if necessary.
// Most commits need none, because the overlay has their tasks.
func (c *commit) file() (*bolt.Tx, error) {
	if c.tx != nil {
		return c.tx, nil
	}
	c.tx, c.noFile = c.store.begin(false)
	return c.tx, c.noFile
}

// release ends the transaction, if any.
func (c *commit) release() {
	if c.tx != nil {
		c.store.end(c.tx)
		c.tx = nil
	}
}

// check returns the number of the write's task and, if the task is not in the
// overlay, its header. e is the task's entry in the overlay, nil if there is none.
// The error says why the write does not apply.
func (c *commit) check(w *store.Write, e *entry) (uint64, *store.Task, error) {
	number, found, err := c.lookup(w.Key(), e)
	switch {
	case err != nil:
		return 0, nil, err
	case w.Base == 0 && found:
		return 0, nil, state.ErrExists
	case w.Base > 0 && !found:
		return 0, nil, store.ErrConflict
	}
	var task store.Task
	var header *store.Task
	if w.Base == 0 {
		number = c.next
	} else if task, header, err = c.header(number, e); err != nil {
		return 0, nil, err
	}
	if task.Revision != w.Base {
		return 0, nil, store.ErrConflict
	}
	err = w.Follows(task, func(index int) (state.Trace, error) { return c.store.overlay.trace(e, c.file, number, index) })
	if err != nil {
		return 0, nil, err
	}
	return number, header, c.claimIDs(w)
}

// header returns the header of a task, and in read the same header if it is
// from the file.
func (c *commit) header(number uint64, e *entry) (task store.Task, read *store.Task, err error) {
	if e != nil {
		return e.task, nil, nil
	}
	tx, err := c.file()
	if err != nil {
		return task, nil, err
	}
	if task, err = readTask(tx, number); err != nil {
		return task, nil, err
	}
	read = new(store.Task)
	*read = task
	return task, read, nil
}

// lookup returns the number of the task with a key.
func (c *commit) lookup(key state.Key, e *entry) (number uint64, found bool, err error) {
	if e != nil {
		return e.number, true, nil
	}
	tx, err := c.file()
	if err != nil {
		return 0, false, err
	}
	number, found, err = readKey(tx, key)
	return number, found && !c.store.overlay.deleted(number), err
}

// claimIDs reserves the IDs of the nodes that the write declares. It returns
// ErrExists if the store or the same commit already has such a node.
func (c *commit) claimIDs(w *store.Write) error {
	var claimed []string
	for _, tr := range w.Transitions {
		for i := range tr.Changes {
			if tr.Changes[i].Declared == nil {
				continue
			}
			id := tr.Changes[i].ID
			_, taken := c.ids[id]
			if !taken {
				var err error
				if taken, err = c.taken(id); err != nil {
					return err
				}
			}
			if taken {
				for _, id := range claimed { // none of them, since the write does not apply
					delete(c.ids, id)
				}
				return fmt.Errorf("%w: node %q", state.ErrExists, id)
			}
			c.ids[id] = struct{}{}
			claimed = append(claimed, id)
		}
	}
	return nil
}

// taken reports whether the store has a node with an ID.
func (c *commit) taken(id string) (bool, error) {
	o := &c.store.overlay
	if _, found := o.id(id); found {
		return true, nil
	}
	if c.store.free.has(id) {
		return false, nil
	}
	tx, err := c.file()
	if err != nil {
		return false, err
	}
	number, found, err := c.store.free.search(tx)
	return found && !o.deleted(number), err
}
