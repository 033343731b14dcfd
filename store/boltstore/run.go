package boltstore

import (
	"encoding/binary"
	"io"
)

// run is a page of bbolt's with those that continue it. Its first page and the
// heads of all its elements are in memory; what an element is about is read when
// it is asked for. A page may claim as many others as the file seems to have,
// and a file with holes seems to have any number.
type run struct {
	file io.ReaderAt
	at   int64 // where it is in the file
	size int64
	head []byte
}

// readRun returns the run that begins with a page and has more pages after it.
func readRun(file io.ReaderAt, id uint64, page []byte, more uint64) (run, error) {
	r := run{file: file, at: int64(id) * int64(len(page)), size: int64(1+more) * int64(len(page)), head: page}
	heads := pageHeader + int64(binary.NativeEndian.Uint16(page[10:]))*pageElement
	if more == 0 || heads <= int64(len(page)) {
		return r, nil
	}
	r.head = make([]byte, min(heads, r.size))
	_, err := file.ReadAt(r.head, r.at)
	return r, err
}

// inline is a run that is part of a page.
func inline(p []byte) run { return run{size: int64(len(p)), head: p} }

// part returns what is between two places of the run, which are within it.
func (r *run) part(from, to uint64) ([]byte, error) {
	if to <= uint64(len(r.head)) {
		return r.head[from:to:to], nil
	}
	p := make([]byte, to-from)
	_, err := r.file.ReadAt(p, r.at+int64(from))
	return p, err
}

// element is the head of one of a run's elements, of a leaf or of a branch.
type element struct {
	flags              uint32
	key, value, behind uint64 // where its key, its value and what follows begin
	child              uint64 // the page it leads to, of a branch
	offset             uint64 // of the key, from the head
}

// element returns the head of the i-th element, which is in memory.
func (r *run) element(i int) (e element) {
	at := pageHeader + i*pageElement
	h := r.head[at : at+pageElement]
	size := func(from int) uint64 { return uint64(binary.NativeEndian.Uint32(h[from:])) }
	if r.flags() == leafPage {
		e.flags, e.offset = uint32(size(0)), size(4)
		e.key = uint64(at) + e.offset
		e.value = e.key + size(8)
		e.behind = e.value + size(12)
		return e
	}
	e.offset, e.child = size(0), binary.NativeEndian.Uint64(h[8:])
	e.key = uint64(at) + e.offset
	e.value = e.key + size(4)
	e.behind = e.value
	return e
}

func (r *run) flags() uint16 { return binary.NativeEndian.Uint16(r.head[8:]) }

// count is how many elements the run says it has.
func (r *run) count() int { return int(binary.NativeEndian.Uint16(r.head[10:])) }

// room is how many elements there is room for in memory.
func (r *run) room() int { return (len(r.head) - pageHeader) / pageElement }
