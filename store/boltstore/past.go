package boltstore

import (
	"context"
	"encoding/binary"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/store"
)

// A file can be copied, by Backup or any other program, and the copy can be opened and
// written to like the original. The two files are indistinguishable. Each Open therefore
// begins a new history with its first commit: a position of a commit of the original
// after the copy was made names a history that the copy does not have, or has only up to
// the moment of the copy.

// beginHistory records this opening's history in the file, before the first
// commit. Its transaction also marks the journal as in use, and the first frame
// names the transaction. The caller has the turn.
func (s *Store) beginHistory(ctx context.Context) error {
	if s.phase == writing {
		if err := s.await(ctx, s.closing); err != nil {
			return err
		}
	}
	past := s.past
	if !s.writes { // otherwise Compact has ended the journal
		past = past.Begin(s.last)
	}
	if err := s.beginJournal(past); err != nil {
		return err
	}
	s.writes = true
	s.mu.Lock()
	defer s.mu.Unlock()
	s.past = past
	return nil
}

// setHistories sets the history in the results of a part of a commit.
func (c *commit) setHistories() {
	for i := c.begin; i < c.end; i++ {
		if r := &c.results[i]; r.Err == nil {
			r.History = c.store.past.At(r.First).History
		}
	}
}

// positionLocked is the store's last position. The caller holds mu, at least
// for reading.
func (s *Store) positionLocked() store.Position { return s.past.At(s.last) }

func historiesRecord(past store.Histories) []byte {
	v := []byte{recordVersion}
	for _, b := range past {
		v = binary.AppendUvarint(append(v, b.History[:]...), b.After)
	}
	return seal(keyHistories, v)
}

// readHistories reads the histories of a file whose last sequence is given.
func readHistories(tx *bolt.Tx, last uint64) (store.Histories, error) {
	v := metaBucket.in(tx).Get(keyHistories)
	if v != nil {
		return decodeHistories(v)
	}
	if last > 0 {
		// The file is from a version without histories, so no position
		// refers to it.
		return store.Histories(nil).Begin(0), nil
	}
	return nil, nil
}

func decodeHistories(v []byte) (past store.Histories, err error) {
	d := sealed(keyHistories, v)
	for !d.bad && d.left() > 0 {
		var b store.Beginning
		copy(b.History[:], d.bytes(len(b.History)))
		b.After = d.uvarint()
		past = append(past, b)
	}
	return past, d.end("histories")
}
