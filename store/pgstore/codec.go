package pgstore

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// recordVersion begins every record.
const recordVersion = 1

// maxCount bounds counts and indexes in records.
const maxCount = 1<<31 - 1

// appendID appends an ID as the schema describes.
func appendID(dst []byte, id string) []byte {
	if packed, ok := state.ParseHexID(id); ok {
		return append(append(dst, 0), packed[:]...)
	}
	return append(append(dst, byte(len(id))), id...)
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendCount(dst []byte, n int) []byte { return binary.AppendUvarint(dst, uint64(n)) }

// The encoding of a time: one of these, or its nanoseconds plus 2 and its
// seconds relative to the base.
const (
	timeUnset = iota
	timeBase
	timeOther
)

// appendTime appends a time relative to a base, which it often equals.
func appendTime(dst []byte, at, base state.Instant) []byte {
	switch {
	case !at.IsSet():
		return append(dst, timeUnset)
	case at == base:
		return append(dst, timeBase)
	}
	sec, nsec := at.Unix()
	baseSec, _ := base.Unix()
	dst = binary.AppendUvarint(dst, uint64(nsec)+timeOther)
	return binary.AppendVarint(dst, sec-baseSec)
}

func appendVersion(dst []byte, v state.Version) []byte {
	id := v.Bytes()
	return append(dst, id[:]...)
}

// decoder reads a record from its front. The first error makes it bad, and everything
// read after that is zero. newer says that a later version of the program may have
// written the record.
type decoder struct {
	b     []byte
	bad   bool
	newer bool
}

// record begins to read a record.
func record(b []byte) decoder {
	d := decoder{b: b}
	if version := d.byte(); version > recordVersion {
		d.later()
	} else if version != recordVersion {
		d.fail()
	}
	return d
}

func (d *decoder) fail() { d.bad, d.b = true, nil }

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
	if d.bad || len(d.b) > 0 {
		return fmt.Errorf("%w: malformed %s record", store.ErrCorrupt, what)
	}
	return nil
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) bytes(n int) []byte {
	if n > len(d.b) {
		d.fail()
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

// length reads four bytes, as the server frames values.
func (d *decoder) length() int {
	b := d.bytes(4)
	if d.bad {
		return 0
	}
	return int(binary.BigEndian.Uint32(b))
}

// uint64 reads a bigint as the server sends it.
func (d *decoder) uint64() uint64 {
	b := d.bytes(8)
	if d.bad {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

func (d *decoder) uvarint(limit uint64) uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > limit {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) count() int { return int(d.uvarint(maxCount)) }

// plain reads a text unchanged.
func (d *decoder) plain() string { return d.text(func(s string) string { return s }) }

// name and errorText read texts in the library's stored form.

func (d *decoder) name() string { return d.text(state.CutName) }

func (d *decoder) errorText() string { return d.text(state.CutError) }

// text reads a text and checks that cut leaves it unchanged.
func (d *decoder) text(cut func(string) string) string {
	s := string(d.bytes(d.count()))
	if cut(s) != s {
		d.fail()
	}
	return s
}

// actor reads an actor, which may be empty.
func (d *decoder) actor() string {
	s := string(d.bytes(d.count()))
	if s != "" && state.CheckActor(s) != nil {
		d.fail()
	}
	return s
}

func (d *decoder) id() string {
	n := int(d.byte())
	if n > 0 {
		s := string(d.bytes(n))
		if !d.bad && state.CheckID("ID", s) != nil {
			d.fail()
		}
		return s
	}
	packed := d.bytes(16)
	if d.bad {
		return ""
	}
	return hex.EncodeToString(packed)
}

func (d *decoder) time(base state.Instant) state.Instant {
	switch n := d.uvarint(999_999_999 + timeOther); n {
	case timeUnset:
		return state.Instant{}
	case timeBase:
		return base
	default:
		delta, size := binary.Varint(d.b)
		baseSec, _ := base.Unix()
		at := state.UnixInstant(baseSec+delta, int(n-timeOther))
		if size <= 0 || !at.Valid() {
			d.fail()
			return state.Instant{}
		}
		d.b = d.b[size:]
		return at
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

// known reads a byte that is one of an enumeration's values.
func known[T interface {
	~uint8
	Valid() bool
}](d *decoder, b byte) T {
	v := T(b)
	switch {
	case v == 0:
		d.fail()
	case !v.Valid():
		d.later()
	}
	return v
}
