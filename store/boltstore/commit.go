package boltstore

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/files"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/journal"
)

// Commit implements [store.Store]. A commit that is too large for one frame of
// the journal, see [Options.JournalSize], is committed in parts, each on disk
// before the next. If there is no room for the first part, Commit returns
// [store.ErrFull]. If there is no room for a later part, the results of its
// writes have that error, and the earlier parts are on disk. A write that is
// too large alone is left out, and its result has a [*store.TooLargeError].
func (s *Store) Commit(ctx context.Context, writes []store.Write) ([]store.Result, error) {
	if err := s.writer.LockUntil(ctx); err != nil {
		return nil, err
	}
	defer s.writer.Unlock()
	defer s.forgetSets()
	if err := s.validate(writes); err != nil {
		return nil, fmt.Errorf("boltstore: commit: %w", err)
	}
	if err := s.writable(); err != nil {
		return nil, err
	}
	if err := s.at.LeadsTo(s.info); err != nil {
		return nil, fmt.Errorf("boltstore: commit: %w", err)
	}
	c := &commit{store: s, writes: writes, results: make([]store.Result, len(writes))}
	for c.begin < len(writes) {
		c.end = len(writes)
		if err := s.commitPart(ctx, c); err != nil {
			if c.begin == 0 || errors.Is(err, store.ErrFailed) {
				return nil, fmt.Errorf("boltstore: commit: %w", err)
			}
			for i := range c.results[c.begin:] {
				c.results[c.begin+i].Err = err
			}
			break
		}
		c.begin = c.end
	}
	return c.results, nil
}

// commitPart commits the remaining writes of a commit, or as many of them as
// fit a frame of the journal: plan, encode, write, sync, publish.
func (s *Store) commitPart(ctx context.Context, c *commit) error {
	for ready := false; !ready; {
		if err := c.plan(); err != nil || len(c.planned) == 0 {
			return err
		}
		var err error
		if ready, err = s.makeRoom(ctx, c); err != nil {
			return err
		}
	}
	if err := s.appendFrame(int(c.next-1-s.last), c.payload()); err != nil {
		return err
	}
	s.publishPart(c)
	c.setHistories()
	if s.phase == idle && s.due() || s.phase == stalled && c.removes && s.gaveRoom() {
		// The commit has succeeded. If this fails, a later commit that needs
		// room returns the error.
		_ = s.startWriteBack(false)
	}
	return nil
}

// appendFrame writes a frame and syncs it. The frame names the newest bbolt
// transaction. Frames that only the transaction before it needs are then
// released.
func (s *Store) appendFrame(count int, payload []byte) error {
	named := s.named()
	if err := s.journal.Append(count, payload, &s.mark); err != nil {
		if errors.Is(err, journal.ErrNoRoom) || errors.Is(err, journal.ErrNotWritten) && files.LacksRoom(err) {
			return fmt.Errorf("%w: %w", store.ErrFull, err)
		}
		return s.fail(err)
	}
	if !named {
		s.journal.Release(s.kept)
		s.kept = s.markAt
	}
	return nil
}

// publishPart adds a committed part to the overlay, where readers see it.
func (s *Store) publishPart(c *commit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, done := 0, 0 // the planned write, and the number of its transitions that are in the overlay
	for j := range s.enc.pieces {
		p, planned := &s.enc.pieces[j], &c.planned[i]
		planned.task = s.overlay.enter(planned.task, p, planned.header)
		s.overlay.add(planned.task, p, planned.transitions[done:done+p.count])
		if done += p.count; done == len(planned.transitions) {
			i, done = i+1, 0
		}
	}
	g := s.overlay.active
	g.addData(c.data)
	g.records = append(g.records, c.records...)
	g.bytes += journal.Takes(c.size)
	g.payload += int64(c.size)
	s.last = c.next - 1
}

// payload is the content of the part's frame: its records for the feed, each
// after its length, and its data.
func (c *commit) payload() []byte {
	b := c.store.payload[:0]
	for i := range c.records {
		b = binary.AppendUvarint(b, uint64(len(c.records[i].value)))
		b = append(b, c.records[i].value...)
	}
	b = appendData(b, c.data)
	if cap(b) <= payloadKept {
		c.store.payload = b
	}
	return b
}

// payloadKept bounds the memory that is kept for payloads.
const payloadKept = 4 << 20

func (s *Store) validate(writes []store.Write) error {
	for i := range writes {
		if err := cmp.Or(writes[i].Validate(), writes[i].Complete()); err != nil {
			return err
		}
	}
	return nil
}

// forgetSets empties the sets that a commit used. It keeps their memory unless
// they are unusually large.
func (s *Store) forgetSets() {
	if len(s.keys) > setsKept || len(s.ids) > setsKept || cap(s.tasks) > setsKept {
		s.keys, s.ids, s.tasks, s.planned = make(map[state.Key]struct{}), make(map[string]struct{}), nil, nil
		return
	}
	clear(s.keys)
	clear(s.ids)
	clear(s.tasks[:cap(s.tasks)])
	clear(s.planned[:cap(s.planned)])
}

const setsKept = 4096 // members
