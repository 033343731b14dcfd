package boltstore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/files"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/journal"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/steps"
)

// phase is the progress of the frozen generation. The holder of the turn may change it.
type phase int

const (
	idle    phase = iota // there is no frozen generation
	writing              // a goroutine writes it back
	stalled              // the write-back failed; it is tried again when a commit needs room
)

// writeBack is the writing back of one generation, or in a full store the removal of
// some deleted tasks: its inputs and its result.
type writeBack struct {
	generation *generation
	removals   []*entry   // if not empty, only these tasks are removed
	checkpoint checkpoint // the new one of the file
	grow       int64      // the new size of the journal, 0 if it is large enough

	err     error
	outcome outcome
	mark    journal.Mark // of the transaction
	grown   bool         // the journal has the size grow
}

// makeRoom reports whether the part can be written now. If not, it makes room,
// and the part must be planned again. It returns an error if there is no room.
func (s *Store) makeRoom(ctx context.Context, c *commit) (ready bool, err error) {
	if !s.writes || s.journal == nil {
		if err := s.beginHistory(ctx); err != nil {
			return false, full(s.path, err)
		}
	}
	for ready = true; !s.hasRoom(c); c.waits++ {
		switch {
		case s.phase == writing:
			ready = false
			if err := s.await(ctx, s.closing); err != nil {
				return false, err
			}
		case s.phase == stalled && c.tried && !s.gaveRoom():
			return false, full(s.path, s.stalledBy)
		case s.phase == idle && s.overlay.active.transitions == 0 && !s.fileHasRoom(c):
			return false, fmt.Errorf("%w: %s: it may have %d bytes", store.ErrFull, s.path, s.opts.MaxSize)
		case c.waits > 1000: // far more transactions than removals need
			return false, fmt.Errorf("%w: %s", store.ErrFull, s.journalPath())
		default:
			c.tried = true
			if err := s.startWriteBack(journal.Takes(c.size) > s.journal.Quarter()); err != nil {
				return false, err
			}
		}
	}
	return ready, nil
}

// hasRoom reports whether a part fits the active generation and the journal. A
// part that only deletes tasks may use the reserved rest.
func (s *Store) hasRoom(c *commit) bool {
	g, takes := s.overlay.active, journal.Takes(c.size)
	n := int(c.next - 1 - s.last)
	switch {
	case c.removes && s.phase == stalled:
		return s.journal.Fits(c.size, keptForNames)
	case g.transitions > 0 && g.transitions+n > max(s.opts.OverlayTransitions/2, 1), g.bytes+takes > s.journal.Quarter():
		return false
	case !c.removes && !s.fileHasRoom(c):
		return false
	}
	return s.journal.Fits(c.size, keptForNames+s.journal.Size()/8)
}

// due reports whether the active generation should be written back before it is full,
// so that commits have room during the write-back. Smaller generations occupy the disk
// for shorter periods, larger ones write less: each copies the pages of all running
// tasks. With 256 writers and generations of 16,384, 32,768 and 65,536, a transition
// took 350, 320 and 280 bytes, of which 100 are the journal's, and 16 to 18, 14 to 17
// and 13 to 18 microseconds; the longest wait was 22, 31 and 36 ms.
func (s *Store) due() bool {
	g := s.overlay.active
	return g.transitions >= s.generation() || g.bytes > s.journal.Quarter()/4*3
}

// generation is the number of transitions that are written back at a time.
func (s *Store) generation() int { return max(s.opts.OverlayTransitions/4, 1) }

// keptForNames is the room in the journal for frames that only name a
// transaction.
const keptForNames = 4 * journal.Block

// startWriteBack freezes the active generation, unless one is frozen already,
// and writes the frozen one back. The caller has the turn, and no other
// write-back runs.
func (s *Store) startWriteBack(grow bool) error {
	if !s.named() { // a frame must name the last transaction before the next one begins
		if err := s.appendFrame(0, nil); err != nil {
			return err
		}
	}
	w := &writeBack{removals: s.removals()}
	if w.removals != nil && files.LacksRoom(s.stalledBy) && !s.thin {
		s.thin = s.journal.DropBallast() == nil // for the pages that removals copy
	}
	if w.removals == nil && s.overlay.frozen == nil {
		s.mu.Lock()
		g := s.overlay.freeze()
		s.mu.Unlock()
		grow = grow || g.bytes > s.journal.Quarter()/2 && g.transitions < s.generation()
	}
	w.generation = s.overlay.frozen
	w.checkpoint = checkpoint{seq: s.mark.Checkpoint, acked: s.last, journal: s.journal.ID(), at: s.markAt}
	s.freed = false
	if last := w.generation.last; last > 0 && w.removals == nil {
		w.checkpoint.seq, w.checkpoint.at = last, s.journal.Holding(last, s.markAt)
	}
	if size := s.journal.Size(); grow && size < s.journalSize() {
		w.grow = min(4*size, s.journalSize())
	}
	if s.thin && s.phase == idle { // there is room again
		w.grow = max(w.grow, s.journal.Size())
	}
	s.phase = writing
	go func() {
		s.writeFrozen(w)
		if s.opts.written != nil {
			s.opts.written()
		}
		select {
		case s.writer <- struct{}{}:
			s.publishWriteBack(w)
			s.writer.Unlock()
		case s.written <- w: // await receives it, whose caller has the turn
		}
	}()
	return nil
}

// await waits until the current write-back has ended, and publishes it. The
// caller has the turn.
func (s *Store) await(ctx context.Context, closing <-chan struct{}) error {
	select {
	case w := <-s.written:
		s.publishWriteBack(w)
		return s.failure()
	case <-ctx.Done():
		return ctx.Err()
	case <-closing:
		return store.ErrClosed
	}
}

// publishWriteBack publishes a write-back that has ended. The caller has the
// turn.
func (s *Store) publishWriteBack(w *writeBack) {
	if w.grown {
		s.journal.SetSize(w.grow)
		s.thin = false
	}
	switch {
	case w.err == nil:
		s.mark, s.markAt = w.mark, w.checkpoint.at
		s.free.known = false
		s.measureRoom()
		if w.removals != nil {
			s.publishRemoval(w)
			break
		}
		s.phase = idle
		for number := range s.ahead {
			if e := w.generation.entries[number]; e != nil && e.deleted {
				delete(s.ahead, number)
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.overlay.frozen = nil
		s.base, s.checkpoint = int(w.mark.Transaction), w.checkpoint.seq
	case w.outcome == unknown:
		s.phase = stalled
		s.stalledBy = s.fail(w.err)
	default:
		s.phase, s.stalledBy = stalled, w.err
		if n := len(w.removals); n > 1 && isFull(w.err) { // half as many may fit
			s.atOnce, s.freed = n/2, true
		}
	}
}

// named reports whether a frame names the last bbolt transaction.
func (s *Store) named() bool { return s.journal.Named().Transaction == s.mark.Transaction }

// drainOverlay writes the whole overlay back, or returns the reason why it
// cannot. The caller has the turn, so no commit adds to the overlay until the
// caller gives it up.
func (s *Store) drainOverlay(ctx context.Context, closing <-chan struct{}) error {
	if s.opts.ReadOnly {
		return nil
	}
	for tried := false; ; {
		if err := s.failure(); err != nil {
			return err
		}
		switch {
		case s.phase == writing:
			if err := s.await(ctx, closing); err != nil {
				return err
			}
		case s.phase == stalled && tried && !s.gaveRoom():
			return full(s.path, s.stalledBy)
		case s.phase == stalled, s.overlay.active.transitions > 0:
			tried = tried || s.phase == stalled
			if err := s.startWriteBack(false); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

func (s *Store) failure() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.failed
}

// writeFrozen writes a generation back, in one transaction, after which the
// file has everything up to the checkpoint and nothing later.
func (s *Store) writeFrozen(w *writeBack) {
	s.db.MaxSize = s.opts.MaxSize
	if w.removals == nil && s.opts.MaxSize > 0 {
		s.db.MaxSize -= keptForRemovals(s.opts.MaxSize)
	}
	w.outcome, w.err = s.transact(func(tx *bolt.Tx) (bool, error) {
		if w.removals != nil {
			return true, errors.Join(removeTasks(tx, w.removals, s.footing.ready), s.putMeta(tx, keyCheckpoint, w.checkpoint.record()))
		}
		if err := s.writeGeneration(tx, w.generation, s.footing.ready); err != nil {
			return false, err
		}
		return true, s.putMeta(tx, keyCheckpoint, w.checkpoint.record())
	})
	if w.err == nil {
		w.mark, w.err = s.readMark(w.checkpoint.seq)
		w.outcome = unknown // of use only if readMark failed
	}
	if w.err == nil && w.grow > 0 {
		// If this fails, there is only less room for commits.
		w.grown = s.journal.Grow(w.grow, ballast) == nil
	}
}

// putMeta puts a record into the meta bucket.
func (s *Store) putMeta(tx *bolt.Tx, k, v []byte) error {
	if err := s.footing.ready(tx, metaBucket, k, false); err != nil {
		return err
	}
	return metaBucket.in(tx).Put(k, v)
}

// writeGeneration writes a generation.
func (s *Store) writeGeneration(tx *bolt.Tx, g *generation, ready readiness) error {
	var p pass
	if err := p.gather(tx, g, s.ahead); err != nil {
		return err
	}
	if err := p.write(tx, ready); err != nil {
		return err
	}
	return s.writeFeed(tx, &p, g, ready)
}

// outcome is the known result of a transaction that returned an error.
type outcome int

const (
	nothing outcome = iota // the file is unchanged
	unknown                // the file may have the transaction or not
)

// transact runs f in a write transaction, which it commits if f returns true.
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
		if err := tx.Commit(); err != nil {
			return err
		}
		steps.Done(steps.Written, s.at.Real)
		return nil
	})
	if tx != nil {
		// After a commit, Rollback does nothing. After a panic it may panic
		// again, and then bbolt's write lock stays locked forever.
		if err := guard(tx.Rollback); errors.Is(err, store.ErrCorrupt) {
			s.broken.Store(true)
		}
	}
	switch {
	case err == nil, !committing, errors.Is(err, bolterrors.ErrMaxSizeReached):
		return nothing, err
	case files.LacksRoom(err):
		// bbolt writes the meta page last. Unless it was written, readers do
		// not see the pages before it, and the file is unchanged.
		if !s.shows(id) {
			return nothing, err
		}
	}
	return unknown, err
}

// shows reports whether readers may see the transaction with an ID.
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

// writeFeed appends a generation's records to the feed and trims it.
func (s *Store) writeFeed(tx *bolt.Tx, p *pass, g *generation, ready readiness) error {
	if len(g.records) == 0 {
		return nil
	}
	b := feedBucket.in(tx)
	b.FillPercent = 0.9
	for i := range g.records {
		p.yield(1)
		k := seqKey(g.records[i].first)
		if err := ready(tx, feedBucket, k, false); err != nil {
			return err
		}
		if err := b.Put(k, g.records[i].value); err != nil {
			return err
		}
	}
	return s.trim(tx, g, ready)
}

// trim removes the oldest records of the feed that it need not keep. It removes
// more than the generation adds, so that an oversized feed gets shorter, but
// not all at once.
func (s *Store) trim(tx *bolt.Tx, g *generation, ready readiness) error {
	b := feedBucket.in(tx)
	newest := g.records[len(g.records)-1]
	var old [][]byte
	c := b.Cursor()
	for k, v := c.First(); k != nil && len(old) < 2*len(g.records)+trimMin; k, v = c.Next() {
		h, _, err := decodeFeedHead(k, v)
		if err != nil {
			return err
		}
		if !s.expired(h, g.last, newest.recorded) {
			break
		}
		old = append(old, slices.Clone(k))
	}
	for _, k := range old {
		if err := ready(tx, feedBucket, k, true); err != nil {
			return err
		}
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

const trimMin = 256

// expired reports whether the feed need not keep a record, by count or by its
// age when the newest record was made.
func (s *Store) expired(h feedHead, last uint64, now state.Instant) bool {
	if h.last+uint64(s.opts.FeedTransitions) <= last {
		return true
	}
	return s.opts.FeedAge > 0 && now.Time().Sub(h.recorded.Time()) > s.opts.FeedAge
}
