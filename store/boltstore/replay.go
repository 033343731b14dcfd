package boltstore

import (
	"bytes"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// replay reads the journal after the checkpoint into the overlay. The disk may
// be ahead of the checkpoint, by a write-back that stopped in the middle.
func (s *Store) replay(tx *bolt.Tx) error {
	c := journalBucket.in(tx).Cursor()
	next := s.checkpoint + 1
	orphans := make(map[uint64]uint64) // task number -> sequence
	for k, v := seekFrame(c, next); k != nil; k, v = c.Next() {
		if seqOf(k) > next {
			return fmt.Errorf("%w: the journal has a gap before %d", store.ErrCorrupt, seqOf(k))
		}
		if _, _, err := decodeFrameHead(k, v); err != nil {
			return err // before it is copied: its length may be damaged
		}
		pieces, err := decodeFrame(k, bytes.Clone(v))
		if err != nil {
			return err
		}
		for i := range pieces {
			p := &pieces[i]
			if next = p.last() + 1; p.last() <= s.checkpoint {
				continue
			}
			if err := s.replayPiece(tx, p, orphans); err != nil {
				return err
			}
		}
	}
	for number, seq := range orphans {
		if !s.overlay.gone(number) {
			return fmt.Errorf("%w: journal at %d: no task %d", store.ErrCorrupt, seq, number)
		}
	}
	return nil
}

// replayPiece takes a piece into the overlay. A task that the disk does not
// have must be created by the piece or be deleted further on: then a
// write-back has already removed it.
func (s *Store) replayPiece(tx *bolt.Tx, p *owned, orphans map[uint64]uint64) error {
	trs, err := p.transitions(p.key)
	if err != nil {
		return err
	}
	var header *store.Task
	if s.overlay.entries[p.number] == nil {
		k := seqKey(p.number)
		if v := tasksBucket.in(tx).Get(k); v != nil {
			task, err := decodeTask(k, v)
			if err != nil {
				return err
			}
			header = &task
		} else if trs[0].Op != state.Create {
			orphans[p.number] = p.first
		}
	}
	s.overlay.add(p, trs, header)
	return nil
}
