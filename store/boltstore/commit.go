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
func (s *Store) Commit(ctx context.Context, changes []store.Change) ([]store.Result, error) {
	if err := validate(changes); err != nil {
		return nil, fmt.Errorf("boltstore: commit: %w", err)
	}
	s.writer.Lock()
	defer s.writer.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.state(); err != nil {
		return nil, err
	}
	c := &commit{store: s, changes: changes}
	s.makeRoom(c.size())
	err := s.attempt(c, true)
	if errors.Is(err, bolterrors.ErrMaxSizeReached) {
		if err = s.attempt(c, false); errors.Is(err, bolterrors.ErrMaxSizeReached) {
			err = fmt.Errorf("%w: %s", store.ErrFull, s.path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("boltstore: commit: %w", err)
	}
	return c.results, nil
}

func validate(changes []store.Change) error {
	keys := make(map[state.Key]struct{}, len(changes))
	for i := range changes {
		if err := changes[i].Validate(); err != nil {
			return err
		}
		keys[changes[i].Key()] = struct{}{}
	}
	if len(keys) < len(changes) {
		return fmt.Errorf("%w: two changes of one task in a commit", state.ErrInvalidArgument)
	}
	return nil
}

// commit is one Commit in progress.
type commit struct {
	store   *Store
	changes []store.Change

	// What plan finds, made anew by each attempt.
	results []store.Result
	frames  []frame // all but the last closed while planning goes on
	planned []planned
	next    uint64 // sequence of the next transition
	ids     map[string]struct{}
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
	var wrote written
	clean := false // an error so far leaves the file as it was
	err := s.transact(func(tx *bolt.Tx) (bool, error) {
		clean = true
		if err := c.plan(tx); err != nil || len(c.planned) == 0 {
			return false, err
		}
		if err := c.append(tx); err != nil {
			return false, err
		}
		if writeBack {
			var err error
			if wrote, err = s.writeBack(tx, int(c.next-1-s.last)); err != nil {
				return false, err
			}
		}
		clean = false
		return true, nil
	})
	switch {
	case err == nil:
		s.publish(c, wrote)
		return nil
	case clean || errors.Is(err, bolterrors.ErrMaxSizeReached):
		return err
	}
	return s.fail(err)
}

// transact runs f in a write transaction and commits if f says so.
func (s *Store) transact(f func(tx *bolt.Tx) (bool, error)) error {
	var tx *bolt.Tx
	err := guard(func() (err error) {
		if tx, err = s.db.Begin(true); err != nil {
			return err
		}
		ok, err := f(tx)
		if err != nil || !ok {
			return err
		}
		return tx.Commit()
	})
	if tx != nil {
		// After a commit this does nothing; after a panic it may panic again.
		_ = guard(tx.Rollback)
	}
	return err
}

// plan decides which changes apply, gives them sequences and makes frames.
func (c *commit) plan(tx *bolt.Tx) error {
	c.results = make([]store.Result, len(c.changes))
	c.frames, c.next = nil, c.store.last+1
	c.store.enc.reset()
	c.planned = make([]planned, 0, len(c.changes))
	c.ids = make(map[string]struct{})
	lastID, _ := idsBucket.in(tx).Cursor().Last()
	for i := range c.changes {
		number, header, err := c.check(tx, &c.changes[i], lastID)
		switch {
		case errors.Is(err, store.ErrConflict) || errors.Is(err, state.ErrExists):
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
func (c *commit) check(tx *bolt.Tx, change *store.Change, lastID []byte) (uint64, *store.Task, error) {
	o := &c.store.overlay
	number, found, err := o.lookupKey(tx, change.Key())
	if err != nil {
		return 0, nil, err
	}
	var header *store.Task
	switch {
	case change.Base == 0 && found:
		return 0, nil, state.ErrExists
	case change.Base == 0:
		number = c.next
	case !found:
		return 0, nil, store.ErrConflict
	default:
		var revision uint64
		if e := o.entries[number]; e != nil {
			revision = e.task.Revision
		} else {
			task, err := readTask(tx, number)
			if err != nil {
				return 0, nil, err
			}
			header, revision = &task, task.Revision
		}
		if revision != change.Base {
			return 0, nil, store.ErrConflict
		}
	}
	return number, header, c.claimIDs(tx, change, lastID)
}

// claimIDs returns ErrExists if a node that the change declares is there.
func (c *commit) claimIDs(tx *bolt.Tx, change *store.Change, lastID []byte) error {
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
		if err := b.Put(seqKey(c.frames[i].first), c.frames[i].value); err != nil {
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
	s.last = c.next - 1
	// After the additions, so that a task that goes on keeps its entry.
	s.wroteBack(wrote)
}
