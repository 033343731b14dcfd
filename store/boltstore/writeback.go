package boltstore

import (
	"bytes"
	"cmp"
	"errors"
	"slices"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/pipestatus/pipestatus/state"
)

// A pass writes some tasks back: the oldest ones, at least passMin
// transitions, as one list of puts sorted by bucket and key, which commits
// then take slice by slice. Only a finished pass moves the checkpoint.
type pass struct {
	puts        []put
	next        int // first put not done
	entries     []*entry
	transitions int
}

// put is one record to write, or to delete if value is nil.
type put struct {
	bucket     bucket
	key, value []byte
}

const (
	// passMin is small enough to prepare within a commit and large enough
	// that neighbours in the file are written together.
	passMin = 512
	// sliceMin is the least number of puts worth a share of a commit.
	sliceMin = 32
	// blockMax and blockBytes bound a record of the transitions bucket.
	blockMax   = 64
	blockBytes = frameMax
	// trimMax bounds the journal records that one commit removes.
	trimMax = 256
)

// written is what a transaction wrote back, for publication after its commit.
type written struct {
	puts       int
	finished   bool // the pass
	checkpoint uint64
}

// writeBack does a commit's share of the write-back, beside n transitions
// appended: none while the overlay is less than half full, else somewhat more
// than n transitions' worth. The writer lock is held.
func (s *Store) writeBack(tx *bolt.Tx, n int) (written, error) {
	if s.overlay.pending <= s.opts.OverlayTransitions/2 {
		return written{}, nil
	}
	if err := s.preparePass(tx); err != nil || s.pass == nil {
		return written{}, err
	}
	share := (n*len(s.pass.puts)*5/4)/s.pass.transitions + 1
	return s.slice(tx, max(share, sliceMin))
}

// makeRoom writes back on its own until n more transitions fit the overlay. An
// error is left for the commit that follows to meet.
func (s *Store) makeRoom(n int) {
	for s.overlay.pending > 0 && s.overlay.pending+n > s.opts.OverlayTransitions {
		if !s.writeBackSome() {
			return
		}
	}
}

// writeBackAll empties the overlay as far as the file lets it.
func (s *Store) writeBackAll() {
	for s.overlay.pending > 0 {
		if !s.writeBackSome() {
			return
		}
	}
}

// writeBackSome writes a slice back in a transaction of its own and reports
// whether that worked.
func (s *Store) writeBackSome() bool {
	var wrote written
	committing := false
	err := s.transact(func(tx *bolt.Tx) (bool, error) {
		if err := s.preparePass(tx); err != nil {
			return false, err
		}
		var err error
		wrote, err = s.slice(tx, len(s.pass.puts))
		committing = err == nil
		return committing, err
	})
	if err != nil {
		if committing && !errors.Is(err, bolterrors.ErrMaxSizeReached) {
			_ = s.fail(err) // the commit that follows reports it
		}
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wroteBack(wrote)
	return true
}

// preparePass makes a pass of the oldest tasks unless one is in progress.
func (s *Store) preparePass(tx *bolt.Tx) error {
	if s.pass != nil {
		return nil
	}
	o := &s.overlay
	p := &pass{}
	taken := 0
	for ; taken < len(o.queue) && p.transitions < passMin; taken++ {
		e := o.queue[taken]
		if err := p.add(tx, e); err != nil {
			return err
		}
	}
	if taken == 0 {
		return nil
	}
	// Stable, since an ID freed by one task may be taken by a later one.
	slices.SortStableFunc(p.puts, func(a, b put) int {
		return cmp.Or(cmp.Compare(a.bucket, b.bucket), bytes.Compare(a.key, b.key))
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range p.entries {
		e.queued, e.writing, e.pieces = false, e.pieces, nil
	}
	clear(o.queue[:taken])
	o.queue = o.queue[taken:]
	s.pass = p
	return nil
}

// slice writes up to n puts of the pass and, if that finishes it, the
// checkpoint; then it trims the journal.
func (s *Store) slice(tx *bolt.Tx, n int) (written, error) {
	p := s.pass
	w := written{puts: min(n, len(p.puts)-p.next), checkpoint: s.checkpoint}
	for _, u := range p.puts[p.next : p.next+w.puts] {
		b := u.bucket.in(tx)
		if u.value == nil {
			if err := b.Delete(u.key); err != nil {
				return w, err
			}
		} else if err := b.Put(u.key, u.value); err != nil {
			return w, err
		}
	}
	if w.finished = p.next+w.puts == len(p.puts); !w.finished {
		return w, nil
	}
	w.checkpoint = s.overlay.oldest(s.last+1) - 1
	if err := metaBucket.in(tx).Put(keyCheckpoint, appendNumber(nil, w.checkpoint)); err != nil {
		return w, err
	}
	return w, s.trimJournal(tx, w.checkpoint)
}

// wroteBack publishes a committed slice. The caller holds mu.
func (s *Store) wroteBack(w written) {
	if s.pass == nil || w.puts == 0 && !w.finished {
		return
	}
	s.pass.next += w.puts
	if !w.finished {
		return
	}
	s.checkpoint = w.checkpoint
	for _, e := range s.pass.entries {
		s.overlay.wroteBack(e)
	}
	s.overlay.pending -= s.pass.transitions
	s.pass = nil
}

// wroteBack drops what is on disk now.
func (o *overlay) wroteBack(e *entry) {
	if e.deleted && !e.queued {
		delete(o.entries, e.number)
		o.forgetCreated(e.number)
		return
	}
	o.forgetIDs(e.number, e.writing)
	e.writing = nil
	if e.deleted {
		return // while it was written; its removal is queued
	}
	if e.isNew {
		e.isNew = false
		delete(o.keys, e.task.Key)
		o.forgetCreated(e.number)
	}
	if !e.queued {
		delete(o.entries, e.number)
	}
}

// forgetCreated takes a task out of the created list. Tasks go oldest first,
// so it is near the front.
func (o *overlay) forgetCreated(number uint64) {
	if i, ok := slices.BinarySearch(o.created, number); ok {
		o.created = slices.Delete(o.created, i, i+1)
	}
}

// trimJournal removes records that are written back and that the feed does
// not keep.
func (s *Store) trimJournal(tx *bolt.Tx, checkpoint uint64) error {
	b := journalBucket.in(tx)
	c := b.Cursor()
	_, newest := c.Last()
	if newest == nil {
		return nil
	}
	last, _, err := decodeFrameHead(s.last, newest)
	if err != nil {
		return err
	}
	var old [][]byte
	for k, v := c.First(); k != nil && len(old) < trimMax; k, v = c.Next() {
		h, _, err := decodeFrameHead(seqOf(k), v)
		if err != nil {
			return err
		}
		if h.last > checkpoint || !s.expired(h, s.last, last.recorded) {
			break
		}
		old = append(old, k)
	}
	for _, k := range old {
		if err := b.Delete(bytes.Clone(k)); err != nil {
			return err
		}
	}
	return nil
}

// expired reports whether the feed need not keep a record, by count or by its
// age when the newest record was made.
func (s *Store) expired(h frameHead, last uint64, now state.Instant) bool {
	if h.last+uint64(s.opts.FeedTransitions) <= last {
		return true
	}
	return s.opts.FeedAge > 0 && now.Time().Sub(h.recorded.Time()) > s.opts.FeedAge
}
