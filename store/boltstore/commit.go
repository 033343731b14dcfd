package boltstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Commit implements [store.Store].
func (s *Store) Commit(ctx context.Context, changes []store.Write) ([]store.Result, error) {
	if err := s.writer.LockUntil(ctx); err != nil {
		return nil, err
	}
	defer s.writer.Unlock()
	defer s.forgetSets()
	if err := s.validate(changes); err != nil {
		return nil, fmt.Errorf("boltstore: commit: %w", err)
	}
	if err := s.writable(); err != nil {
		return nil, err
	}
	if err := s.at.leadsTo(s.info); err != nil {
		return nil, fmt.Errorf("boltstore: commit: %w", err)
	}
	c := &commit{store: s, changes: changes}
	s.makeRoom(c.size())
	if err := s.state(); err != nil {
		return nil, fmt.Errorf("boltstore: commit: %w", err)
	}
	err := s.attempt(c, true)
	if isFull(err) {
		err = full(s.path, s.attempt(c, false))
	}
	if err != nil {
		return nil, fmt.Errorf("boltstore: commit: %w", err)
	}
	return c.results, nil
}

func (s *Store) validate(changes []store.Write) error {
	for i := range changes {
		if err := changes[i].Validate(); err != nil {
			return err
		}
		s.keys[changes[i].Key()] = struct{}{}
	}
	if len(s.keys) < len(changes) {
		return fmt.Errorf("%w: two changes of one task in a commit", state.ErrInvalidArgument)
	}
	return nil
}

// forgetSets empties the sets that a commit used and keeps their memory, unless
// it was an exceptional one.
func (s *Store) forgetSets() {
	if len(s.keys) > setsKept || len(s.ids) > setsKept {
		s.keys, s.ids = make(map[state.Key]struct{}), make(map[string]struct{})
		return
	}
	clear(s.keys)
	clear(s.ids)
}

const setsKept = 4096 // members

// commit is one Commit in progress.
type commit struct {
	store   *Store
	changes []store.Write

	// What plan finds, made anew by each attempt.
	results []store.Result
	frames  []frame // all but the last closed while planning goes on
	planned []planned
	next    uint64 // sequence of the next transition
	ids     map[string]struct{}
	past    store.Histories // with the one that this commit is of
}

// planned is a change that applies.
type planned struct {
	transitions []*state.Transition
	header      *store.Task // from disk, nil if the overlay has the task
}

func (c *commit) size() (n int) {
	for i := range c.changes {
		n += len(c.changes[i].Transitions)
	}
	return n
}

// attempt tries the commit once. The writer lock is held.
func (s *Store) attempt(c *commit, writeBack bool) error {
	wrote := written{checkpoint: s.checkpoint}
	var gathering <-chan struct{}
	outcome, err := s.transact(func(tx *bolt.Tx) (bool, error) {
		if writeBack {
			gathering = s.gatherBeside(c.size())
		}
		if err := c.plan(tx); err != nil || len(c.planned) == 0 {
			return false, err
		}
		if err := c.append(tx); err != nil {
			return false, err
		}
		var err error
		if err = c.beginHistory(tx); err != nil {
			return false, err
		}
		if !writeBack {
			return true, nil
		}
		if gathering == nil {
			if wrote, err = s.writeBack(tx, int(c.next-1-s.last)); err != nil {
				return false, err
			}
		}
		if n := s.untrimmed + len(c.frames); n >= trimEvery {
			wrote.trimmed = true
			err = s.trim(tx, wrote.checkpoint, 2*n)
		}
		return err == nil, err
	})
	if gathering != nil {
		<-gathering
	}
	switch {
	case err == nil:
		s.publish(c, wrote)
		return nil
	case outcome == unknown:
		return s.fail(err)
	}
	return err
}

// outcome is what is known of a transaction that returned an error.
type outcome int

const (
	nothing outcome = iota // it left the store as it was
	unknown                // or not
)

// transact runs f in a write transaction and commits if f says so. The writer
// lock is held.
func (s *Store) transact(f func(tx *bolt.Tx) (bool, error)) (outcome, error) {
	var tx *bolt.Tx
	id, committing := 0, false
	err := guard(func() (err error) {
		if tx, err = s.begin(true); err != nil {
			return err
		}
		id = tx.ID()
		ok, err := f(tx)
		if err != nil || !ok {
			return err
		}
		committing = true
		return tx.Commit()
	})
	if tx != nil {
		// After a commit this does nothing; after a panic it may panic again,
		// and then bbolt's write lock is lost.
		if err := guard(tx.Rollback); errors.Is(err, store.ErrCorrupt) {
			s.broken.Store(true)
		}
	}
	switch {
	case err == nil, !committing, errors.Is(err, bolterrors.ErrMaxSizeReached):
		return nothing, err
	case lacksRoom(err) && !s.shows(id):
		// There was no room for pages that nothing leads to: bbolt writes the
		// meta page last, over one that is there, and readers would see it
		// before the disk has it.
		return nothing, err
	}
	return unknown, err
}

// shows reports whether readers may see a transaction.
func (s *Store) shows(id int) bool {
	shown := true
	err := guard(func() error {
		tx, err := s.begin(false)
		if err != nil {
			return err
		}
		shown = tx.ID() >= id
		return tx.Rollback()
	})
	return shown || err != nil
}

// plan decides which changes apply, gives them sequences and makes frames.
func (c *commit) plan(tx *bolt.Tx) error {
	c.results = make([]store.Result, len(c.changes))
	c.frames, c.next = nil, c.store.last+1
	c.store.enc.reset()
	c.planned = make([]planned, 0, len(c.changes))
	c.ids = c.store.ids
	clear(c.ids)
	lastID, _ := idsBucket.in(tx).Cursor().Last()
	for i := range c.changes {
		number, header, err := c.check(tx, &c.changes[i], lastID)
		switch {
		case errors.Is(err, store.ErrConflict), errors.Is(err, state.ErrExists),
			errors.Is(err, store.ErrCorrupt), errors.Is(err, store.ErrIncompatible):
			c.results[i].Err = err
			continue
		case err != nil:
			return err
		}
		c.results[i].First = c.next
		c.record(number, c.changes[i].Transitions)
		c.planned = append(c.planned, planned{c.changes[i].Transitions, header})
	}
	c.closeFrame()
	return nil
}

// record adds the transitions of a change to the journal's frames.
func (c *commit) record(number uint64, trs []*state.Transition) {
	enc := &c.store.enc
	for len(trs) > 0 {
		if len(c.frames) == 0 || enc.full() {
			c.closeFrame()
			c.frames = append(c.frames, frame{first: c.next, next: c.next})
		}
		f := &c.frames[len(c.frames)-1]
		trs = f.add(number, trs, enc)
		c.next = f.next
	}
}

// closeFrame ends the frame being made, if there is one.
func (c *commit) closeFrame() {
	if n := len(c.frames); n > 0 {
		c.frames[n-1].close(&c.store.enc)
	}
}

// check returns the number of the task that a change is for and, if it is not
// in the overlay, its header; or why the change does not apply.
func (c *commit) check(tx *bolt.Tx, change *store.Write, lastID []byte) (uint64, *store.Task, error) {
	o := &c.store.overlay
	number, found, err := o.lookupKey(tx, change.Key())
	if err != nil {
		return 0, nil, err
	}
	var task store.Task
	var header *store.Task
	switch {
	case change.Base == 0 && found:
		return 0, nil, state.ErrExists
	case change.Base == 0:
		number = c.next
	case !found:
		return 0, nil, store.ErrConflict
	default:
		if e := o.entries[number]; e != nil {
			task = e.task
		} else {
			if task, err = readTask(tx, number); err != nil {
				return 0, nil, err
			}
			header = &store.Task{}
			*header = task
		}
		if task.Revision != change.Base {
			return 0, nil, store.ErrConflict
		}
	}
	err = change.Follows(task, func(index int) (state.Trace, error) { return o.trace(tx, number, index) })
	if err != nil {
		return 0, nil, err
	}
	return number, header, c.claimIDs(tx, change, lastID)
}

// claimIDs returns ErrExists if a node that the change declares is there.
func (c *commit) claimIDs(tx *bolt.Tx, change *store.Write, lastID []byte) error {
	var claimed []string
	for _, tr := range change.Transitions {
		for i := range tr.Changes {
			if tr.Changes[i].Declared == nil {
				continue
			}
			id := tr.Changes[i].ID
			if _, taken := c.ids[id]; taken {
				c.release(claimed)
				return fmt.Errorf("%w: node %q", state.ErrExists, id)
			}
			// IDs that ascend with time lie behind all on disk: no search.
			where := tx
			if bytes.Compare(idKey(id), lastID) > 0 {
				where = nil
			}
			_, found, err := c.store.overlay.lookupID(where, id)
			if err != nil {
				return err
			}
			if found {
				c.release(claimed)
				return fmt.Errorf("%w: node %q", state.ErrExists, id)
			}
			c.ids[id] = struct{}{}
			claimed = append(claimed, id)
		}
	}
	return nil
}

// release gives back the IDs of a change that does not apply.
func (c *commit) release(ids []string) {
	for _, id := range ids {
		delete(c.ids, id)
	}
}

// append puts the frames into the journal.
func (c *commit) append(tx *bolt.Tx) error {
	b := journalBucket.in(tx)
	b.FillPercent = 0.9
	for i := range c.frames {
		k := seqKey(c.frames[i].first)
		if err := c.store.ready(tx, journalBucket, k, false); err != nil {
			return err
		}
		if err := b.Put(k, c.frames[i].value); err != nil {
			return err
		}
	}
	return nil
}

// publish shows a commit to readers.
func (s *Store) publish(c *commit, wrote written) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, done := 0, 0 // the planned change, and how much of it
	for j := range s.enc.pieces {
		p, planned := &s.enc.pieces[j], &c.planned[i]
		s.overlay.add(p, planned.transitions[done:done+p.count], planned.header)
		if done += p.count; done == len(planned.transitions) {
			i, done = i+1, 0
		}
	}
	if s.last = c.next - 1; len(c.planned) > 0 {
		s.past, s.writes = c.past, true
	}
	if s.untrimmed += len(c.frames); wrote.trimmed {
		s.untrimmed = 0
	}
	// After the additions, so that a task that goes on keeps its entry.
	s.wroteBack(wrote)
}
