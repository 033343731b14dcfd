package boltstore

import (
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// A record of the feed holds transitions of one commit: the time of recording
// (for retention by age), their number, and the transitions of one task after
// the other. Records with many transitions save bbolt's cost for each record. A
// frame of the journal holds the records of one commit, which are written back
// unchanged.

// feedRecordBytes is the size at which a commit begins another record. bbolt
// puts at least four records on a page before it splits the page, so with
// records larger than a quarter of a page, it would write the last few again
// every time.
const feedRecordBytes = 900

// piece is one task's part of a record: a block of transitions. Its bytes are
// part of the record, not copied.
type piece struct {
	first uint64 // sequence
	count int    // of transitions
	block []byte
}

// owned is a piece with its task.
type owned struct {
	piece
	number uint64
	key    state.Key
}

// last is the sequence of the piece's last transition.
func (p *piece) last() uint64 { return p.first + uint64(p.count) - 1 }

// transitions decodes the piece.
func (p *piece) transitions(key state.Key) ([]*state.Transition, error) {
	trs, err := readBlock(decoder{b: p.block}, key, p.first-1, false, "feed")
	if err != nil {
		return nil, err
	}
	if len(trs) != p.count || trs[len(trs)-1].Sequence != p.last() {
		return nil, fmt.Errorf("%w: feed at %d: %d transitions for %d", store.ErrCorrupt, p.first, len(trs), p.count)
	}
	return trs, nil
}

// feedRecord is a record of the feed.
type feedRecord struct {
	first, next uint64
	recorded    state.Instant
	value       []byte // set by close
}

// encoder makes the records of a commit, one after the other. It is kept from commit to
// commit.
type encoder struct {
	pieces []owned // of all records; close sets their blocks
	open   int     // the first piece of the record being made
	body   []byte  // of that record
	spans  []span  // where its pieces are in body
	block  []byte
	key    []byte
	w      blockWriter
}

type span struct{ from, to int }

// reset makes the encoder ready for a commit.
func (enc *encoder) reset() {
	clear(enc.pieces) // their blocks belong to the overlay
	enc.pieces, enc.open = enc.pieces[:0], 0
	enc.body, enc.spans = enc.body[:0], enc.spans[:0]
}

// full reports whether the record being made is large enough.
func (enc *encoder) full() bool { return len(enc.body) >= feedRecordBytes }

// add appends transitions of one task, with sequences from f.next on, until the
// record is full. It returns the rest.
func (f *feedRecord) add(number uint64, trs []*state.Transition, enc *encoder) (rest []*state.Transition) {
	p := owned{number: number, key: trs[0].Task, piece: piece{first: f.next}}
	enc.w.restart(f.next - 1)
	enc.block = enc.block[:0]
	for p.count < len(trs) && (p.count == 0 || len(enc.body)+len(enc.block) < feedRecordBytes) {
		enc.block = enc.w.add(enc.block, trs[p.count], f.next)
		f.recorded = trs[p.count].Recorded
		f.next++
		p.count++
	}
	body := binary.AppendUvarint(enc.body, number)
	body = appendID(appendID(body, p.key.Business), p.key.Task)
	body = binary.AppendUvarint(body, uint64(p.count))
	body = binary.AppendUvarint(body, uint64(len(enc.block)))
	from := len(body)
	enc.body = append(body, enc.block...)
	enc.spans = append(enc.spans, span{from, len(enc.body)})
	enc.pieces = append(enc.pieces, p)
	return trs[p.count:]
}

// close makes the record and sets the blocks of its pieces.
func (f *feedRecord) close(enc *encoder) {
	var head [32]byte
	h := appendInstant(append(head[:0], recordVersion), f.recorded, state.Instant{})
	h = binary.AppendUvarint(h, f.next-f.first)
	f.value = append(append(make([]byte, 0, len(h)+len(enc.body)+sealBytes), h...), enc.body...)
	enc.key = binary.BigEndian.AppendUint64(enc.key[:0], f.first)
	f.value = seal(enc.key, f.value)
	for i, s := range enc.spans {
		from, to := len(h)+s.from, len(h)+s.to
		enc.pieces[enc.open+i].block = f.value[from:to:to]
	}
	enc.open = len(enc.pieces)
	enc.body, enc.spans = enc.body[:0], enc.spans[:0]
}

// feedHead is the beginning of a record.
type feedHead struct {
	recorded state.Instant
	last     uint64 // sequence of its last transition
}

func decodeFeedHead(k, v []byte) (feedHead, decoder, error) {
	d := sealed(k, v)
	h := feedHead{recorded: d.instant(state.Instant{})}
	first, count := seqOf(k), d.uvarint()
	h.last = first + count - 1
	if d.bad || first == 0 || h.last < first {
		return feedHead{}, d, fmt.Errorf("%w: malformed feed record at %d", store.ErrCorrupt, first)
	}
	return h, d, nil
}

// decodeFeed returns the pieces of a record. Their blocks are part of v.
func decodeFeed(k, v []byte) ([]owned, error) {
	h, d, err := decodeFeedHead(k, v)
	if err != nil {
		return nil, err
	}
	first := seqOf(k)
	var pieces []owned
	for next := first; next <= h.last && !d.bad; {
		p := owned{number: d.uvarint(), piece: piece{first: next}}
		p.key.Business, p.key.Task = d.id(), d.id()
		p.count = d.int(h.last - next + 1)
		p.block = d.bytes(d.int(maxInt))
		if p.count == 0 {
			d.fail()
		}
		next += uint64(p.count)
		pieces = append(pieces, p)
	}
	return pieces, d.end("feed")
}

// seekFeed positions c at the record with seq, or at the next one if the feed
// no longer has it. The key is nil at the end of the feed.
func seekFeed(c *bolt.Cursor, seq uint64) (k, v []byte) {
	if k, v = before(c, seqKey(seq+1)); k == nil {
		return c.First()
	}
	if h, _, err := decodeFeedHead(k, v); err == nil && h.last < seq {
		return c.Next()
	}
	return k, v
}

// before positions c at the last key less than key; k is nil if there is none.
func before(c *bolt.Cursor, key []byte) (k, v []byte) {
	if k, _ = c.Seek(key); k == nil {
		return c.Last()
	}
	return c.Prev()
}

func seqOf(k []byte) uint64 {
	if len(k) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(k)
}

// feedEnds returns the sequences of the first and the last transition in the
// file's feed, 0 and 0 if it is empty.
func feedEnds(tx *bolt.Tx) (first, last uint64, err error) {
	c := feedBucket.in(tx).Cursor()
	k, _ := c.First()
	if k == nil {
		return 0, 0, nil
	}
	first = seqOf(k)
	k, v := c.Last()
	h, _, err := decodeFeedHead(k, v)
	return first, h.last, err
}
