package boltstore

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"math"

	"github.com/pipestatus/pipestatus/store"
)

// freelistPage is the flag of the pages that list what is free.
const freelistPage = 16

// bboltMeta is what one of bbolt's two meta pages says.
type bboltMeta struct {
	root, freelist, limit uint64 // pages; limit is the number of the first never used
	transaction           uint64
	pageSize              int64
}

// readMeta returns the newer of the two meta pages that are whole.
func readMeta(file io.ReaderAt, pageSize int64) (newest bboltMeta, ok bool) {
	for i := range int64(2) {
		var m [64]byte // from magic to checksum
		if _, err := file.ReadAt(m[:], i*pageSize+pageHeader); err != nil {
			continue
		}
		sum := fnv.New64a()
		_, _ = sum.Write(m[:56]) // cannot fail
		field := func(at int) uint64 { return binary.NativeEndian.Uint64(m[at:]) }
		if sum.Sum64() == field(56) && (!ok || field(48) > newest.transaction) {
			newest, ok = bboltMeta{root: field(16), freelist: field(32), limit: field(40), transaction: field(48), pageSize: int64(binary.NativeEndian.Uint32(m[8:]))}, true
		}
	}
	return newest, ok
}

func damagedFreelist(format string, args ...any) error {
	return fmt.Errorf("%w: list of free pages: %s", store.ErrCorrupt, fmt.Sprintf(format, args...))
}

// readFreelist returns the numbers of the free pages, 8 bytes each, ascending,
// and how many pages the list takes itself.
func readFreelist(file io.ReaderAt, pageSize int64, m *bboltMeta) (list []byte, pages uint64, err error) {
	var head [pageHeader + 8]byte
	if m.freelist < 2 || m.freelist >= m.limit {
		return nil, 0, damagedFreelist("at page %d of %d", m.freelist, m.limit)
	}
	if _, err := file.ReadAt(head[:], int64(m.freelist)*pageSize); err != nil {
		return nil, 0, damagedFreelist("page %d: %v", m.freelist, err)
	}
	overflow := uint64(binary.NativeEndian.Uint32(head[12:]))
	if id := binary.NativeEndian.Uint64(head[:]); id != m.freelist || head[8] != freelistPage || overflow >= m.limit-id {
		return nil, 0, damagedFreelist("page %d is page %d with flags %#x and %d more", m.freelist, id, head[8], overflow)
	}
	count, skip := uint64(binary.NativeEndian.Uint16(head[10:])), int64(pageHeader)
	if count == math.MaxUint16 { // then the first number is the count
		count, skip = binary.NativeEndian.Uint64(head[pageHeader:]), skip+8
	}
	if room := (int64(overflow+1)*pageSize - skip) / 8; count > uint64(room) {
		return nil, 0, damagedFreelist("%d pages where there is room for %d", count, room)
	}
	list = make([]byte, 8*count)
	if _, err := file.ReadAt(list, int64(m.freelist)*pageSize+skip); err != nil {
		return nil, 0, damagedFreelist("page %d: %v", m.freelist, err)
	}
	before := uint64(1)
	for at := 0; at < len(list); at += 8 {
		id := binary.NativeEndian.Uint64(list[at:])
		if id <= before || id >= m.limit {
			return nil, 0, damagedFreelist("page %d of %d after page %d", id, m.limit, before)
		}
		before = id
	}
	return list, overflow + 1, nil
}

// unusedPages returns the set of the pages that no tree may lead to: those that
// are free, as far as the file lists them, and those of the list. bbolt takes
// the list on trust: a commit that follows a damaged one writes over pages in
// use, or far behind the end of the file.
func unusedPages(file io.ReaderAt, pageSize int64, m *bboltMeta) (pageSet, error) {
	unused := newPageSet(m.limit)
	if m.freelist == math.MaxUint64 {
		return unused, nil
	}
	list, pages, err := readFreelist(file, pageSize, m)
	if err != nil {
		return nil, err
	}
	for i := range pages {
		unused.add(m.freelist + i)
	}
	for ; len(list) > 0; list = list[8:] {
		unused.add(binary.NativeEndian.Uint64(list))
	}
	return unused, nil
}
