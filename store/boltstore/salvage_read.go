package boltstore

import (
	"encoding/binary"
	"fmt"
	"slices"
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

// page reads a page and those that continue it.
func (w *wreck) page(id uint64) ([]byte, error) {
	if id < 2 || id >= w.limit {
		return nil, fmt.Errorf("there are %d", w.limit)
	}
	p := make([]byte, w.pageSize)
	if _, err := w.file.ReadAt(p, int64(id)*w.pageSize); err != nil {
		return nil, err
	}
	overflow := uint64(binary.NativeEndian.Uint32(p[12:]))
	if found := binary.NativeEndian.Uint64(p); found != id || overflow >= w.limit-id {
		return nil, fmt.Errorf("its head says page %d and %d more", found, overflow)
	}
	if overflow > 0 {
		p = slices.Grow(p, int(int64(overflow)*w.pageSize))[:int64(1+overflow)*w.pageSize]
		if _, err := w.file.ReadAt(p, int64(id)*w.pageSize); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// firstAt is where, after the header, what the first element is about begins.
func firstAt(p []byte, isLeaf bool) int {
	switch {
	case len(p) < pageHeader+pageElement:
		return 0
	case isLeaf:
		return int(binary.NativeEndian.Uint32(p[pageHeader+4:]))
	}
	return int(binary.NativeEndian.Uint32(p[pageHeader:]))
}

// elements calls f for everything on a page, or on what is part of one, that
// lies within it, and returns how many do not.
func elements(p []byte, f func(flag uint32, key, value []byte, child uint64)) (bad int) {
	count := int(binary.NativeEndian.Uint16(p[10:]))
	isLeaf := binary.NativeEndian.Uint16(p[8:]) == leafPage
	if there := firstAt(p, isLeaf) / pageElement; there != count && count > 0 {
		count, bad = there, 1 // what is first lies behind all the elements
	}
	if most := (len(p) - pageHeader) / pageElement; count > most {
		count, bad = most, bad+count-most
	}
	for i := range count {
		at := pageHeader + i*pageElement
		e := p[at:]
		var flag, pos, keySize, valueSize uint32
		var child uint64
		if isLeaf {
			flag, pos = binary.NativeEndian.Uint32(e), binary.NativeEndian.Uint32(e[4:])
			keySize, valueSize = binary.NativeEndian.Uint32(e[8:]), binary.NativeEndian.Uint32(e[12:])
		} else {
			pos, keySize, child = binary.NativeEndian.Uint32(e), binary.NativeEndian.Uint32(e[4:]), binary.NativeEndian.Uint64(e[8:])
		}
		begin := uint64(at) + uint64(pos)
		middle := begin + uint64(keySize)
		end := middle + uint64(valueSize)
		if pos < pageElement || end > uint64(len(p)) {
			bad++
			continue
		}
		f(flag, p[begin:middle:middle], p[middle:end:end], child)
	}
	return bad
}
