package boltstore

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/journal"
)

// checkpoint is the point up to which a file has everything.
type checkpoint struct {
	seq   uint64 // the file has everything up to this sequence
	acked uint64 // the last acknowledged sequence when this was written: a journal that ends before it is not the file's
	// journal and at are the journal and the position of the frame with seq, or
	// of the journal's header if no frame has it.
	journal journal.ID
	at      journal.Position
}

func (c *checkpoint) record() []byte {
	b := binary.AppendUvarint([]byte{recordVersion}, c.seq)
	b = binary.AppendUvarint(b, c.acked)
	b = append(b, c.journal[:]...)
	b = binary.AppendUvarint(b, c.at.Lap)
	b = binary.AppendUvarint(b, uint64(c.at.Offset))
	b = binary.BigEndian.AppendUint64(b, c.at.Sum)
	return seal(keyCheckpoint, b)
}

func decodeCheckpoint(v []byte) (c checkpoint, err error) {
	d := sealed(keyCheckpoint, v)
	c.seq, c.acked = d.uvarint(), d.uvarint()
	copy(c.journal[:], d.bytes(len(c.journal)))
	c.at.Lap, c.at.Offset = d.uvarint(), int64(d.uvarint())
	if sum := d.bytes(8); !d.bad {
		c.at.Sum = binary.BigEndian.Uint64(sum)
	}
	return c, d.end("checkpoint")
}

// pairing says which journal belongs to a file.
type pairing struct {
	inUse    bool       // the journal may have transitions that the file does not have
	instance journal.ID // of the file; each copy of the file has a different one
	journal  journal.ID // the one in use or, if none is, the last one whose contents are all in the file
}

const (
	pairedClean = 1
	pairedInUse = 2
	// pairingBytes is the length of every pairing record.
	pairingBytes = 2 + 16 + 16 + sealBytes
)

func (p *pairing) record() []byte {
	b := make([]byte, 0, pairingBytes)
	b = append(b, recordVersion, pairedClean)
	if p.inUse {
		b[1] = pairedInUse
	}
	b = append(append(b, p.instance[:]...), p.journal[:]...)
	return seal(keyJournal, b)
}

func decodePairing(v []byte) (p pairing, err error) {
	d := sealed(keyJournal, v)
	switch d.byte() {
	case pairedClean:
	case pairedInUse:
		p.inUse = true
	default:
		d.fail()
	}
	copy(p.instance[:], d.bytes(len(p.instance)))
	copy(p.journal[:], d.bytes(len(p.journal)))
	return p, d.end("journal")
}

// newID makes an ID for a journal or for an instance of a file.
func newID() (id journal.ID) {
	_, _ = rand.Read(id[:]) // never fails
	return id
}

// readMetaRecords reads the checkpoint and the pairing, and checks that the
// file has all buckets of its schema.
func readMetaRecords(tx *bolt.Tx, version byte) (c checkpoint, p pairing, err error) {
	for b := range bucketsOf(version) {
		if b.in(tx) == nil {
			return c, p, fmt.Errorf("%w: no bucket %s", store.ErrCorrupt, bucketNames[b])
		}
	}
	m := metaBucket.in(tx)
	if c, err = decodeCheckpoint(m.Get(keyCheckpoint)); err != nil {
		return c, p, err
	}
	p, err = decodePairing(m.Get(keyJournal))
	return c, p, err
}
