package boltstore

import (
	"bytes"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/store"
)

// In schema 1 the journal was a bucket of the file, with the records that are
// now the feed's. Transitions after the checkpoint could be partly in the other
// buckets. The checkpoint was only a sequence.
//
// Other records stay unchanged and lack some values. Only records since schema
// 2 have the operation that began a superseded attempt, a reset that extended
// to a node, the number of pending automatic retries, and operations that a
// program of schema 1 does not know.

// journalBucket1 is the journal of schema 1.
var journalBucket1 = []byte("journal")

// migrate1 migrates a file from schema 1 to schema 2.
func migrate1(tx *bolt.Tx) error {
	old := tx.Bucket(journalBucket1)
	if old == nil {
		return fmt.Errorf("%w: no bucket %s", store.ErrCorrupt, journalBucket1)
	}
	d := sealed(keyCheckpoint, metaBucket.in(tx).Get(keyCheckpoint))
	at := d.uvarint()
	if err := d.end("checkpoint"); err != nil {
		return err
	}
	feed, err := tx.CreateBucket([]byte(bucketNames[feedBucket]))
	if err != nil {
		return err
	}
	feed.FillPercent = 0.9
	o := newOverlay()
	r := replayer{tx: tx, overlay: &o, next: at + 1, orphans: make(map[uint64]uint64)}
	err = old.ForEach(func(k, v []byte) error {
		if err := feed.Put(k, bytes.Clone(v)); err != nil {
			return err
		}
		return r.journal1(k, bytes.Clone(v))
	})
	if err != nil {
		return err
	}
	for number, seq := range r.orphans {
		if !o.deleted(number) {
			return fmt.Errorf("%w: journal at %d: no task %d", store.ErrCorrupt, seq, number)
		}
	}
	var p pass
	if err := p.gather(tx, o.active, nil); err != nil {
		return err
	}
	if err := p.write(tx, unexamined); err != nil {
		return err
	}
	m := metaBucket.in(tx)
	c := checkpoint{seq: r.next - 1, acked: r.next - 1}
	pairing := pairing{instance: newID()}
	return errors.Join(tx.DeleteBucket(journalBucket1), m.Put(keyCheckpoint, c.record()), m.Put(keyJournal, pairing.record()))
}

// journal1 adds a record of schema 1's journal to the overlay.
func (r *replayer) journal1(k, v []byte) error {
	h, _, err := decodeFeedHead(k, v)
	if err != nil || h.last < r.next {
		return err
	}
	if seqOf(k) > r.next {
		return fmt.Errorf("%w: the journal has a gap before %d", store.ErrCorrupt, seqOf(k))
	}
	pieces, err := decodeFeed(k, v)
	if err != nil {
		return err
	}
	for i := range pieces {
		if p := &pieces[i]; p.last() >= r.next {
			if err := r.piece(p); err != nil {
				return err
			}
			r.next = p.last() + 1
		}
	}
	return nil
}
