package boltstore

import (
	"encoding/binary"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/store"
)

// A file can be copied, by Backup or by anybody's means, and the copy can be
// opened and written to like the original. Nothing in the two files tells which
// is which. So each Open begins a history of its own with its first commit: a
// position of what the original committed after the copy was made names a
// history that the copy does not have, or has only up to where it was copied.

// beginHistory makes sure that the history of this opening is in the file and
// puts it into the results. It must be durable before anything of it is answered,
// so it is part of the transaction of the first commit.
func (c *commit) beginHistory(tx *bolt.Tx) (err error) {
	if c.past = c.store.past; !c.store.writes {
		c.past = c.past.Begin(c.store.last)
		if err := c.store.ready(tx, metaBucket, keyHistories, false); err != nil {
			return err
		}
		err = metaBucket.in(tx).Put(keyHistories, historiesRecord(c.past))
	}
	for i := range c.results {
		if r := &c.results[i]; r.Err == nil {
			r.History = c.past.At(r.First).History
		}
	}
	return err
}

// position is the store's last. mu is held, for reading at least.
func (s *Store) position() store.Position { return s.past.At(s.last) }

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
		// Written before there were histories: nobody has a position of it.
		return store.Histories(nil).Begin(0), nil
	}
	return nil, nil
}

func decodeHistories(v []byte) (past store.Histories, err error) {
	d := sealed(keyHistories, v)
	for !d.bad && len(d.b) > 0 {
		var b store.Beginning
		copy(b.History[:], d.bytes(len(b.History)))
		b.After = d.uvarint()
		past = append(past, b)
	}
	return past, d.end("histories")
}
