package boltstore

import (
	"bytes"
	"context"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
)

const (
	// sliceMin is the least number of puts worth a share of a commit.
	sliceMin = 32
	// trimEvery is after how many journal records appended twice as many old
	// ones are removed at most: seldom, because that writes pages at the other
	// end of the journal, and more than came, so that a journal with too much
	// gets shorter.
	trimEvery = 256
)

// written is what a transaction wrote back, for publication after its commit.
type written struct {
	sliced     bool     // some of the pass; the next two are set
	next       position // in the pass
	finished   bool     // the pass
	checkpoint uint64
	trimmed    bool
}

// writeBack does a commit's share of the write-back, beside n transitions
// appended, unless a gathering beside it does. The writer lock is held.
func (s *Store) writeBack(tx *bolt.Tx, n int) (written, error) {
	switch {
	case !s.writesBack():
	case s.pass != nil && s.pass.gathered:
		share := writeBackShare(n) * s.pass.total / s.pass.transitions
		return s.slice(tx, max(share, sliceMin))
	default:
		err := s.gather(tx, writeBackShare(n))
		s.gatherFailed = err != nil
		return written{checkpoint: s.checkpoint}, err
	}
	return written{checkpoint: s.checkpoint}, nil
}

// writesBack reports whether commits write back: the overlay is half full.
func (s *Store) writesBack() bool { return s.overlay.pending > s.opts.OverlayTransitions/2 }

// writeBackShare is how many transitions a commit of n gathers or writes: two
// and a half times n, so that both together outrun the appending.
func writeBackShare(n int) int { return n*5/2 + 1 }

// gatherBeside gathers beside a commit of n transitions, if a gathering is due:
// while one plans, writes and syncs nobody else has work, since all writers
// wait for it. Begun with the sync only, it took a tenth of the time of 1,024
// writers more. The goroutine has the pass and the queue until the channel is
// closed; nil says that there is none. An error is left for the next commit to
// meet.
func (s *Store) gatherBeside(n int) <-chan struct{} {
	if !s.writesBack() || s.gatherFailed || s.pass != nil && s.pass.gathered {
		return nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var c collected
		err := s.view(context.Background(), func() {}, func(tx *bolt.Tx) (err error) {
			c, err = s.collect(tx, writeBackShare(n))
			return err
		})
		// Not in the transaction: whoever holds mu to begin one waits for a
		// commit that maps a larger file, which waits for this one to end.
		if s.gatherFailed = err != nil; err == nil {
			s.take(c)
		}
	}()
	return done
}

// makeRoom writes back on its own until n more transitions fit the overlay. An
// error that leaves the store usable is left for the commit to meet.
func (s *Store) makeRoom(n int) {
	for s.overlay.pending > 0 && s.overlay.pending+n > s.opts.OverlayTransitions {
		if !s.writeBackSome() {
			return
		}
	}
}

// writeBackAll empties the overlay as far as the file lets it.
func (s *Store) writeBackAll() {
	for !s.opts.ReadOnly && s.overlay.pending > 0 {
		if !s.writeBackSome() {
			return
		}
	}
}

// writeBackSome writes a slice back in a transaction of its own and reports
// whether that worked.
func (s *Store) writeBackSome() bool {
	var wrote written
	outcome, err := s.transact(func(tx *bolt.Tx) (bool, error) {
		if s.pass == nil || !s.pass.gathered {
			if err := s.gather(tx, s.passSize()); err != nil {
				return false, err
			}
			s.pass.gathered = true
		}
		var err error
		if wrote, err = s.slice(tx, s.pass.total); err == nil {
			err = s.trim(tx, wrote.checkpoint, 2*trimEvery)
		}
		return err == nil, err
	})
	if err != nil {
		if outcome == unknown {
			_ = s.fail(err) // whoever asks for the state next reports it
		}
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wroteBack(wrote)
	return true
}

// passSize is the number of transitions that make a pass.
func (s *Store) passSize() int { return max(s.opts.OverlayTransitions/4, 1) }

// gather adds the oldest tasks to the pass, about n transitions. The
// transaction is a writing one: see gatherBeside.
func (s *Store) gather(tx *bolt.Tx, n int) error {
	c, err := s.collect(tx, n)
	if err == nil {
		s.take(c)
	}
	return err
}

// collected is a pass with the puts for the first few tasks of the queue, which
// are still in it.
type collected struct {
	pass  *pass
	tasks int
	whole bool // the gathering of the pass has ended
}

// collect adds about n transitions to the pass. That it is large enough, or
// that nothing else can go with it, ends its gathering. After an error the pass
// is as it was.
func (s *Store) collect(tx *bolt.Tx, n int) (c collected, err error) {
	queue, p := s.overlay.queue, s.pass
	if p == nil {
		p = &pass{}
	}
	before, done := *p, false
	defer func() {
		if !done { // an error, or a panic over a damaged page
			*p = before
		}
	}()
	c.pass = p
	goal := min(p.transitions+n, s.passSize())
	for ; c.tasks < len(queue) && p.transitions < goal; c.tasks++ {
		e := queue[c.tasks]
		if len(e.writing) > 0 {
			break // it is in this pass and has gone on since
		}
		if err := p.add(tx, e); err != nil {
			return c, err
		}
	}
	c.whole = p.transitions >= s.passSize() || p.transitions < goal
	done = true
	return c, nil
}

// take takes what was collected from the queue.
func (s *Store) take(c collected) {
	o := &s.overlay
	s.mu.Lock()
	for _, e := range o.queue[:c.tasks] {
		e.queued, e.writing, e.pieces = false, e.pieces, nil
	}
	clear(o.queue[:c.tasks])
	o.queue = o.queue[c.tasks:]
	s.mu.Unlock()
	c.pass.gathered = c.whole
	s.pass = c.pass
}

// slice writes up to n puts of the pass and, if that finishes it, the
// checkpoint.
func (s *Store) slice(tx *bolt.Tx, n int) (written, error) {
	next, err := s.pass.write(tx, n, s.ready)
	w := written{sliced: true, next: next, checkpoint: s.checkpoint, finished: next.stage == stageCount}
	if err != nil || !w.finished {
		return w, err
	}
	w.checkpoint = s.overlay.oldest(s.last+1) - 1
	if err := s.ready(tx, metaBucket, keyCheckpoint, false); err != nil {
		return w, err
	}
	return w, metaBucket.in(tx).Put(keyCheckpoint, checkpointRecord(w.checkpoint))
}

// wroteBack publishes a committed slice. The caller holds mu.
func (s *Store) wroteBack(w written) {
	if !w.sliced {
		return
	}
	if s.pass.next = w.next; !w.finished {
		return
	}
	s.checkpoint = w.checkpoint
	for _, c := range s.pass.ids {
		if s.overlay.ids[c.id].number == c.number {
			delete(s.overlay.ids, c.id)
		}
	}
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
		o.deletions--
		o.forgetCreated(e.number)
		return
	}
	e.writing = nil
	if e.deleted {
		return // while it was written; its removal is queued
	}
	if e.isNew {
		e.isNew = false
		o.forgetCreated(e.number)
	}
	if !e.queued {
		delete(o.entries, e.number)
		o.forgetKey(e)
	}
}

// forgetCreated takes a task out of the created list. Tasks go oldest first,
// so it is near the front.
func (o *overlay) forgetCreated(number uint64) {
	if i, ok := slices.BinarySearch(o.created, number); ok {
		o.created = slices.Delete(o.created, i, i+1)
	}
}

// trim removes up to n of the oldest journal records, as far as they are
// written back and the feed does not keep them.
func (s *Store) trim(tx *bolt.Tx, checkpoint uint64, n int) error {
	b := journalBucket.in(tx)
	c := b.Cursor()
	newest, v := c.Last()
	if newest == nil {
		return nil
	}
	last, _, err := decodeFrameHead(newest, v)
	if err != nil {
		return err
	}
	var old [][]byte
	for k, v := c.First(); k != nil && len(old) < n; k, v = c.Next() {
		h, _, err := decodeFrameHead(k, v)
		if err != nil {
			return err
		}
		if h.last > checkpoint || !s.expired(h, s.last, last.recorded) {
			break
		}
		old = append(old, bytes.Clone(k))
	}
	for _, k := range old {
		if err := s.ready(tx, journalBucket, k, true); err != nil {
			return err
		}
		if err := b.Delete(k); err != nil {
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
