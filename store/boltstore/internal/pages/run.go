package pages

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/pipestatus/pipestatus/store"
)

// Run is a page of bbolt's with those that continue it. Its first page and the
// heads of all its elements are in memory; what an element is about is read when
// it is asked for. A page may claim as many others as the file seems to have,
// and a file with holes seems to have any number.
type Run struct {
	file io.ReaderAt
	at   int64 // where it is in the file
	size int64
	head []byte
}

// Read reads the run that begins with a page of a file that has so many pages.
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

// Part returns what is between two places of the run, which are within it.
func (r *Run) Part(from, to uint64) ([]byte, error) {
	if to <= uint64(len(r.head)) {
		return r.head[from:to:to], nil
	}
	p := make([]byte, to-from)
	_, err := r.file.ReadAt(p, r.at+int64(from))
	return p, err
}

// Element is the head of one of a run's elements, of a leaf or of a branch.
type Element struct {
	Flags              uint32
	Key, Value, Behind uint64 // where its key, its value and what follows begin
	Child              uint64 // the page it leads to, of a branch
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

// Flags is the kind of the page: Branch, Leaf, or anything if it is damaged.
func (r *Run) Flags() uint16 { return binary.NativeEndian.Uint16(r.head[8:]) }

// Count is how many elements the run says it has.
func (r *Run) Count() int { return int(binary.NativeEndian.Uint16(r.head[10:])) }

// Room is how many elements there is room for in memory.
func (r *Run) Room() int { return (len(r.head) - HeaderBytes) / ElementBytes }

// Size is how many bytes the run has.
func (r *Run) Size() int64 { return r.size }

// valueMax is larger than any record that a store writes.
const valueMax = 256 << 20

// Elements calls f for everything of a damaged run that lies within it and can be
// read, and returns how many elements do not.
func (r *Run) Elements(f func(flag uint32, key, value []byte, child uint64)) (bad int) {
	count := r.Count()
	if count > 0 && r.Room() > 0 { // what is first lies behind all the elements
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

// Find returns where in the file a record is, without its key, which has so many
// bytes. It matches [store.ErrCorrupt] if the run does not have the record.
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
