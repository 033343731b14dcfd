package pages

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/pipestatus/pipestatus/store"
)

// freelistPage is the flag of the pages with the list of free pages.
const freelistPage = 16

func damagedFreelist(format string, args ...any) error {
	return fmt.Errorf("%w: list of free pages: %s", store.ErrCorrupt, fmt.Sprintf(format, args...))
}

// ReadFreelist calls each with the numbers of the free pages, ascending, and
// returns the number of pages of the list itself. It reads the list in parts,
// since a damaged list may claim to be as long as the file.
func ReadFreelist(file io.ReaderAt, pageSize int64, m *Meta, each func(id uint64)) (pages uint64, err error) {
	var head [HeaderBytes + 8]byte
	if m.Freelist < 2 || m.Freelist >= m.Limit {
		return 0, damagedFreelist("at page %d of %d", m.Freelist, m.Limit)
	}
	if _, err := file.ReadAt(head[:], int64(m.Freelist)*pageSize); err != nil {
		return 0, damagedFreelist("page %d: %v", m.Freelist, err)
	}
	overflow := uint64(binary.NativeEndian.Uint32(head[12:]))
	if id := binary.NativeEndian.Uint64(head[:]); id != m.Freelist || head[8] != freelistPage || overflow >= m.Limit-id {
		return 0, damagedFreelist("page %d is page %d with flags %#x and %d more", m.Freelist, id, head[8], overflow)
	}
	count, skip := uint64(binary.NativeEndian.Uint16(head[10:])), int64(HeaderBytes)
	if count == math.MaxUint16 { // then the first number is the count
		count, skip = binary.NativeEndian.Uint64(head[HeaderBytes:]), skip+8
	}
	room := uint64(int64(overflow+1)*pageSize-skip) / 8
	// bbolt makes the list at most slightly longer than needed.
	if count > room || room-count > spareFreelist*uint64(pageSize)/8 {
		return 0, damagedFreelist("%d pages where there is room for %d", count, room)
	}
	list := io.NewSectionReader(file, int64(m.Freelist)*pageSize+skip, int64(8*count))
	before := uint64(1)
	var part [4096]byte
	for count > 0 {
		p := part[:8*min(count, uint64(len(part)/8))]
		if _, err := io.ReadFull(list, p); err != nil {
			return 0, damagedFreelist("page %d: %v", m.Freelist, err)
		}
		for count -= uint64(len(p) / 8); len(p) > 0; p = p[8:] {
			id := binary.NativeEndian.Uint64(p)
			if id <= before || id >= m.Limit {
				return 0, damagedFreelist("page %d of %d after page %d", id, m.Limit, before)
			}
			each(id)
			before = id
		}
	}
	return overflow + 1, nil
}

// spareFreelist is more pages than bbolt's list ever has in reserve.
const spareFreelist = 16

// Unused returns the set of pages that no tree may lead to: the free pages, if
// the file lists them, and the pages of the list. bbolt trusts the list: with a
// damaged one, a commit overwrites pages in use, or writes far beyond the end
// of the file.
func Unused(file io.ReaderAt, pageSize int64, m *Meta) (*Set, error) {
	unused := &Set{}
	if m.Freelist == math.MaxUint64 {
		return unused, nil
	}
	pages, err := ReadFreelist(file, pageSize, m, func(id uint64) { unused.Add(id) })
	if err != nil {
		return nil, err
	}
	for i := range pages {
		unused.Add(m.Freelist + i)
	}
	return unused, nil
}
