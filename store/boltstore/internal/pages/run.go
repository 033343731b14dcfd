package pages

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/pipestatus/pipestatus/store"
)

// Run is a page with the pages that continue it. Its first page and the heads
// of all its elements are in memory; keys and values are read when needed. That
// is necessary because a damaged page may claim as many pages as the file has,
// and a file with holes may have any number.
type Run struct {
	file io.ReaderAt
	at   int64 // offset in the file
	size int64
	head []byte
}

// Read reads the run that begins with the page id, in a file of limit pages.
func Read(file io.ReaderAt, pageSize int64, id, limit uint64) (Run, error) {
	return readInto(make([]byte, pageSize), file, id, limit)
}

// readInto is Read with memory for the first page.
func readInto(page []byte, file io.ReaderAt, id, limit uint64) (Run, error) {
	if id < 2 || id >= limit {
		return Run{}, fmt.Errorf("there are %d", limit)
	}
	if _, err := file.ReadAt(page, int64(id)*int64(len(page))); err != nil {
		return Run{}, err
	}
	more := uint64(binary.NativeEndian.Uint32(page[12:]))
	if found := binary.NativeEndian.Uint64(page); found != id || more >= limit-id {
		return Run{}, fmt.Errorf("its head says page %d and %d more", found, more)
	}
	return readRun(file, id, page, more)
}

// readRun returns the run that begins with a page and has more pages after it.
func readRun(file io.ReaderAt, id uint64, page []byte, more uint64) (Run, error) {
	r := Run{file: file, at: int64(id) * int64(len(page)), size: int64(1+more) * int64(len(page)), head: page}
	heads := HeaderBytes + int64(binary.NativeEndian.Uint16(page[10:]))*ElementBytes
	if more == 0 || heads <= int64(len(page)) {
		return r, nil
	}
	r.head = make([]byte, min(heads, r.size))
	_, err := file.ReadAt(r.head, r.at)
	return r, err
}

// Inline is a run that is part of a page.
func Inline(p []byte) Run { return Run{size: int64(len(p)), head: p} }

// Part returns the bytes between two offsets within the run.
func (r *Run) Part(from, to uint64) ([]byte, error) {
	if to <= uint64(len(r.head)) {
		return r.head[from:to:to], nil
	}
	p := make([]byte, to-from)
	_, err := r.file.ReadAt(p, r.at+int64(from))
	return p, err
}

// Element is the head of an element of a leaf or a branch.
type Element struct {
	Flags              uint32
	Key, Value, Behind uint64 // offsets of its key, of its value, and of the end
	Child              uint64 // in a branch: the page that it leads to
	Offset             uint64 // of the key, from the head
}

// Element returns the head of the i-th element, which is in memory.
func (r *Run) Element(i int) (e Element) {
	at := HeaderBytes + i*ElementBytes
	h := r.head[at : at+ElementBytes]
	size := func(from int) uint64 { return uint64(binary.NativeEndian.Uint32(h[from:])) }
	if r.Flags() == Leaf {
		e.Flags, e.Offset = uint32(size(0)), size(4)
		e.Key = uint64(at) + e.Offset
		e.Value = e.Key + size(8)
		e.Behind = e.Value + size(12)
		return e
	}
	e.Offset, e.Child = size(0), binary.NativeEndian.Uint64(h[8:])
	e.Key = uint64(at) + e.Offset
	e.Value = e.Key + size(4)
	e.Behind = e.Value
	return e
}

// Flags is the kind of the page: Branch, Leaf, or any number if it is damaged.
func (r *Run) Flags() uint16 { return binary.NativeEndian.Uint16(r.head[8:]) }

// Count is the number of elements that the run claims to have.
func (r *Run) Count() int { return int(binary.NativeEndian.Uint16(r.head[10:])) }

// Room is the number of element heads that are in memory.
func (r *Run) Room() int { return (len(r.head) - HeaderBytes) / ElementBytes }

// Size is the number of bytes of the run.
func (r *Run) Size() int64 { return r.size }

// valueMax is larger than any record of a store.
const valueMax = 256 << 20

// Elements calls f for every readable element of a damaged run, and returns the
// number of the others.
func (r *Run) Elements(f func(flag uint32, key, value []byte, child uint64)) (bad int) {
	count := r.Count()
	if count > 0 && r.Room() > 0 { // the first key is right after all heads, so its offset gives their number
		if there := int(r.Element(0).Offset) / ElementBytes; there != count {
			count, bad = there, 1
		}
	}
	if most := r.Room(); count > most {
		count, bad = most, bad+count-most
	}
	for i := range count {
		e := r.Element(i)
		if e.Offset < ElementBytes || e.Behind > uint64(r.size) || e.Value-e.Key > maxKey || e.Behind-e.Value > valueMax {
			bad++
			continue
		}
		key, err := r.Part(e.Key, e.Value)
		value, valueErr := r.Part(e.Value, e.Behind)
		if err != nil || valueErr != nil {
			bad++
			continue
		}
		f(e.Flags, key, value, e.Child)
	}
	return bad
}

// Find returns the offset in the file of a record without its key, which has so
// many bytes. The error matches [store.ErrCorrupt] if the run does not have the
// record.
func (r *Run) Find(record []byte, key int) (int64, error) {
	all := make([]byte, r.size)
	if _, err := r.file.ReadAt(all, r.at); err != nil {
		return 0, err
	}
	at := bytes.Index(all, record)
	if at < 0 {
		return 0, fmt.Errorf("%w: the page at %d has no record of the journal", store.ErrCorrupt, r.at)
	}
	return r.at + int64(at+key), nil
}
