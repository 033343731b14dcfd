package boltstore

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Append functions write records and a decoder reads them. Counts and lengths
// are varints; the length of a text comes before it.

// appendID appends an ID or an actor: tag 0 and 16 bytes if it is 32 lower-case
// hex digits, else its length (1 to 255) and its bytes.
func appendID(dst []byte, id string) []byte {
	if packed, ok := state.ParseHexID(id); ok {
		return append(append(dst, 0), packed[:]...)
	}
	return append(append(dst, byte(len(id))), id...)
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// appendInstant appends a set instant relative to another one.
func appendInstant(dst []byte, at, base state.Instant) []byte {
	sec, nsec := at.Unix()
	baseSec, _ := base.Unix()
	return binary.AppendUvarint(binary.AppendVarint(dst, sec-baseSec), uint64(nsec))
}

// appendMaybe appends a byte that says whether an instant is set, and the
// instant if it is.
func appendMaybe(dst []byte, at, base state.Instant) []byte {
	if !at.IsSet() {
		return append(dst, 0)
	}
	return appendInstant(append(dst, 1), at, base)
}

// decoder reads a record from its front. The first error makes it bad, and everything
// read after that is zero. newer says that a later version of the program may have
// written the record.
//
// The decoder counts the bytes it has read instead of shortening a slice,
// because writing pointers is slow while the garbage collector marks: that took
// a fifth of the time to load many trees.
type decoder struct {
	b     []byte
	at    int // offset in b of the rest
	bad   bool
	newer bool
	ids   *texts // memory for hexadecimal IDs; nil allocates each separately
}

// texts is shared memory for strings with similar lifetimes, such as the IDs of a
// tree's nodes: a string keeps its whole piece alive, of at most 2 KiB. A nil *texts
// allocates each string separately.
type texts struct {
	size int // of a piece
	b    strings.Builder
}

func (t *texts) add(s []byte) string {
	if t == nil {
		return string(s)
	}
	if t.b.Cap()-t.b.Len() < len(s) {
		t.b = strings.Builder{}
		t.b.Grow(max(t.size, len(s)))
	}
	t.b.Write(s)
	all := t.b.String()
	return all[len(all)-len(s):]
}

// record begins to read a value, which starts with the version of its format.
func record(v []byte) decoder {
	d := decoder{b: v}
	d.known(d.byte(), recordVersion)
	return d
}

// known checks the version of a record's format.
func (d *decoder) known(version, newest byte) {
	switch {
	case version > newest:
		d.later()
	case version == 0:
		d.fail()
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sealBytes is the length of the checksum that seal appends.
const sealBytes = 4

// seal ends a record with a checksum over its key and itself. bbolt's pages have no
// checksums, so without it altered bytes would be answered as recorded ones.
func seal(key, v []byte) []byte { return binary.LittleEndian.AppendUint32(v, checksum(key, v)) }

func checksum(key, v []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, v)
}

// sealed begins to read a record that seal ended.
func sealed(key, v []byte) decoder {
	d := unsealed(key, v)
	d.known(d.byte(), recordVersion)
	return d
}

// unsealed is sealed without the version of the record's format, which the
// caller reads.
func unsealed(key, v []byte) decoder {
	n := len(v) - sealBytes
	if n < 0 || binary.LittleEndian.Uint32(v[n:]) != checksum(key, v[:n]) {
		return decoder{bad: true}
	}
	return decoder{b: v[:n]}
}

func (d *decoder) fail() { d.bad, d.at = true, len(d.b) }

// rest returns the bytes that have not been read.
func (d *decoder) rest() []byte { return d.b[d.at:] }

// left is the length of rest.
func (d *decoder) left() int { return len(d.b) - d.at }

// later is fail for a value that only a later version of the program knows: a kind, a
// state, an operation or a flag.
func (d *decoder) later() {
	if !d.bad {
		d.newer = true
	}
	d.fail()
}

// end returns an error if the record was bad or has bytes left.
func (d *decoder) end(what string) error {
	if d.newer {
		return fmt.Errorf("%w: %s record of a later version", store.ErrIncompatible, what)
	}
	if d.bad || d.left() > 0 {
		return fmt.Errorf("%w: malformed %s record", store.ErrCorrupt, what)
	}
	return nil
}

func (d *decoder) byte() byte {
	if d.at >= len(d.b) {
		d.fail()
		return 0
	}
	c := d.b[d.at]
	d.at++
	return c
}

func (d *decoder) uint16() uint16 {
	lo := d.byte()
	return uint16(lo) | uint16(d.byte())<<8
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest())
	if n <= 0 {
		d.fail()
		return 0
	}
	d.at += n
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.rest())
	if n <= 0 {
		d.fail()
		return 0
	}
	d.at += n
	return v
}

// int reads a count, at most limit.
func (d *decoder) int(limit uint64) int {
	v := d.uvarint()
	if v > limit {
		d.fail()
		return 0
	}
	return int(v)
}

// maxInt is the largest count in any record.
const maxInt = 1<<31 - 1

func (d *decoder) bytes(n int) []byte {
	if n > d.left() {
		d.fail()
		return nil
	}
	d.at += n
	return d.b[d.at-n : d.at]
}

// name and errorText read texts in the library's stored form.

func (d *decoder) name() string { return d.text(state.CutName) }

// short reads a text of at most most bytes, which the caller checks.
func (d *decoder) short(most uint64) string { return string(d.bytes(d.int(most))) }

func (d *decoder) errorText() string { return d.text(state.CutError) }

// text reads a text and checks that cut leaves it unchanged.
func (d *decoder) text(cut func(string) string) string {
	s := string(d.bytes(d.int(maxInt)))
	if cut(s) != s {
		d.fail()
	}
	return s
}

func (d *decoder) id() string { return d.shortText(state.MaxIDBytes) }

func (d *decoder) actor() string { return d.shortText(state.MaxActorBytes) }

// shortText reads an ID or an actor that appendID wrote.
func (d *decoder) shortText(most int) string {
	n := int(d.byte())
	switch {
	case n == 0:
		var id [16]byte
		copy(id[:], d.bytes(len(id)))
		if d.bad {
			return ""
		}
		return d.ids.add(state.AppendHexID(make([]byte, 0, 32), id))
	case n > most:
		d.fail()
	}
	s := string(d.bytes(n))
	if !d.bad && state.CheckActor(s) != nil { // actors may have all characters that IDs may have
		d.fail()
	}
	return s
}

// skipID passes over an ID.
func (d *decoder) skipID() {
	if n := int(d.byte()); n == 0 {
		d.bytes(16)
	} else {
		d.bytes(n)
	}
}

func (d *decoder) version() state.Version {
	var id [16]byte
	copy(id[:], d.bytes(len(id)))
	if d.bad {
		return state.Version{}
	}
	return state.VersionOf(id)
}

func (d *decoder) instant(base state.Instant) state.Instant {
	baseSec, _ := base.Unix()
	sec := baseSec + d.varint()
	at := state.UnixInstant(sec, d.int(999_999_999))
	if d.bad || !at.Valid() {
		d.fail()
		return state.Instant{}
	}
	return at
}

func (d *decoder) maybe(base state.Instant) state.Instant {
	switch d.byte() {
	case 0:
		return state.Instant{}
	case 1:
		return d.instant(base)
	}
	d.fail()
	return state.Instant{}
}
