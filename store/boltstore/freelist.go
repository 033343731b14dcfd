package boltstore

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/journal"
)

// freelistPage is the flag of the pages that list what is free.
const freelistPage = 16

// bboltMeta is what one of bbolt's two meta pages says.
type bboltMeta struct {
	root, freelist, limit uint64 // pages; limit is the number of the first never used
	transaction           uint64
	pageSize              int64
}

// What bbolt's meta pages begin with.
const (
	bboltMagic   = 0xED0CDAED
	bboltVersion = 2

	metaTransaction = 48 // where the number of the transaction is
)

// metaPage is what one of bbolt's meta pages says, from magic to checksum.
type metaPage [journal.MetaBytes]byte

func (m *metaPage) field(at int) uint64 { return binary.NativeEndian.Uint64(m[at:]) }

func (m *metaPage) short(at int) uint32 { return binary.NativeEndian.Uint32(m[at:]) }

func (m *metaPage) transaction() uint64 { return m.field(metaTransaction) }

// readMetaPage reads the meta page at an offset; ok is false if it is not whole.
func readMetaPage(file io.ReaderAt, at int64) (m metaPage, ok bool) {
	if _, err := file.ReadAt(m[:], at+pageHeader); err != nil {
		return m, false
	}
	return m, m.short(0) == bboltMagic && m.short(4) == bboltVersion && metaSealed((*[metaBytes]byte)(&m))
}

// readMeta returns the newer of the two meta pages that are whole.
func readMeta(file io.ReaderAt, pageSize int64) (newest bboltMeta, ok bool) {
	for i := range int64(2) {
		if m, whole := readMetaAt(file, i*pageSize); whole && (!ok || m.transaction > newest.transaction) {
			newest, ok = m, true
		}
	}
	return newest, ok
}

// readMetaAt returns what a meta page says; ok is false if it is not whole.
func readMetaAt(file io.ReaderAt, at int64) (m bboltMeta, ok bool) {
	p, ok := readMetaPage(file, at)
	if !ok {
		return m, false
	}
	return bboltMeta{root: p.field(16), freelist: p.field(32), limit: p.field(40), transaction: p.field(metaTransaction), pageSize: int64(p.short(8))}, true
}

func damagedFreelist(format string, args ...any) error {
	return fmt.Errorf("%w: list of free pages: %s", store.ErrCorrupt, fmt.Sprintf(format, args...))
}

// readFreelist calls each with the numbers of the free pages, ascending, and
// returns how many pages the list takes itself. It reads a part at a time, since
// the list may claim to be as long as the file.
func readFreelist(file io.ReaderAt, pageSize int64, m *bboltMeta, each func(id uint64)) (pages uint64, err error) {
	var head [pageHeader + 8]byte
	if m.freelist < 2 || m.freelist >= m.limit {
		return 0, damagedFreelist("at page %d of %d", m.freelist, m.limit)
	}
	if _, err := file.ReadAt(head[:], int64(m.freelist)*pageSize); err != nil {
		return 0, damagedFreelist("page %d: %v", m.freelist, err)
	}
	overflow := uint64(binary.NativeEndian.Uint32(head[12:]))
	if id := binary.NativeEndian.Uint64(head[:]); id != m.freelist || head[8] != freelistPage || overflow >= m.limit-id {
		return 0, damagedFreelist("page %d is page %d with flags %#x and %d more", m.freelist, id, head[8], overflow)
	}
	count, skip := uint64(binary.NativeEndian.Uint16(head[10:])), int64(pageHeader)
	if count == math.MaxUint16 { // then the first number is the count
		count, skip = binary.NativeEndian.Uint64(head[pageHeader:]), skip+8
	}
	room := uint64(int64(overflow+1)*pageSize-skip) / 8
	// bbolt makes the list a page longer than it needs, not much more.
	if count > room || room-count > spareFreelist*uint64(pageSize)/8 {
		return 0, damagedFreelist("%d pages where there is room for %d", count, room)
	}
	list := io.NewSectionReader(file, int64(m.freelist)*pageSize+skip, int64(8*count))
	before := uint64(1)
	var part [4096]byte
	for count > 0 {
		p := part[:8*min(count, uint64(len(part)/8))]
		if _, err := io.ReadFull(list, p); err != nil {
			return 0, damagedFreelist("page %d: %v", m.freelist, err)
		}
		for count -= uint64(len(p) / 8); len(p) > 0; p = p[8:] {
			id := binary.NativeEndian.Uint64(p)
			if id <= before || id >= m.limit {
				return 0, damagedFreelist("page %d of %d after page %d", id, m.limit, before)
			}
			each(id)
			before = id
		}
	}
	return overflow + 1, nil
}

// spareFreelist is more pages than the list of free ones has in reserve.
const spareFreelist = 16

// unusedPages returns the set of the pages that no tree may lead to: those that
// are free, as far as the file lists them, and those of the list. bbolt takes
// the list on trust: a commit that follows a damaged one writes over pages in
// use, or far behind the end of the file.
func unusedPages(file io.ReaderAt, pageSize int64, m *bboltMeta) (*pageSet, error) {
	unused := &pageSet{}
	if m.freelist == math.MaxUint64 {
		return unused, nil
	}
	pages, err := readFreelist(file, pageSize, m, func(id uint64) { unused.add(id) })
	if err != nil {
		return nil, err
	}
	for i := range pages {
		unused.add(m.freelist + i)
	}
	return unused, nil
}
