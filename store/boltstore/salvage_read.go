package boltstore

import (
	"encoding/binary"
	"fmt"
)

// meta finds the newest meta page and the size of pages, which it guesses if
// there is none.
func (w *wreck) meta() (bboltMeta, bool) {
	best := 0
	for size := int64(1 << 10); size <= 1<<16; size <<= 1 {
		if m, ok := readMeta(w.file, size); ok && m.pageSize == size {
			w.pageSize = size
			return m, true
		}
		fit := 0
		for id := uint64(2); id < 64; id++ {
			var head [pageHeader]byte
			if _, err := w.file.ReadAt(head[:], int64(id)*size); err == nil && binary.NativeEndian.Uint64(head[:]) == id {
				fit++
			}
		}
		if w.pageSize == 0 || fit > best {
			w.pageSize, best = size, fit
		}
	}
	return bboltMeta{}, false
}

// page reads a page and what it says of those that continue it.
func (w *wreck) page(id uint64) (run, error) {
	if id < 2 || id >= w.limit {
		return run{}, fmt.Errorf("there are %d", w.limit)
	}
	p := make([]byte, w.pageSize)
	if _, err := w.file.ReadAt(p, int64(id)*w.pageSize); err != nil {
		return run{}, err
	}
	overflow := uint64(binary.NativeEndian.Uint32(p[12:]))
	if found := binary.NativeEndian.Uint64(p); found != id || overflow >= w.limit-id {
		return run{}, fmt.Errorf("its head says page %d and %d more", found, overflow)
	}
	return readRun(w.file, id, p, overflow)
}

// valueMax is larger than any record that a store writes.
const valueMax = 256 << 20

// elements calls f for everything on a page, or on what is part of one, that
// lies within it and can be read, and returns how many do not.
func elements(p *run, f func(flag uint32, key, value []byte, child uint64)) (bad int) {
	count := p.count()
	if count > 0 && p.room() > 0 { // what is first lies behind all the elements
		if there := int(p.element(0).offset) / pageElement; there != count {
			count, bad = there, 1
		}
	}
	if most := p.room(); count > most {
		count, bad = most, bad+count-most
	}
	for i := range count {
		e := p.element(i)
		if e.offset < pageElement || e.behind > uint64(p.size) || e.value-e.key > maxKey || e.behind-e.value > valueMax {
			bad++
			continue
		}
		key, err := p.part(e.key, e.value)
		value, valueErr := p.part(e.value, e.behind)
		if err != nil || valueErr != nil {
			bad++
			continue
		}
		f(e.flags, key, value, e.child)
	}
	return bad
}
