package pages

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"

	"github.com/pipestatus/pipestatus/store"
)

// bbolt writes its two meta pages in turn and reads the newer undamaged one. If
// the newer one is damaged, bbolt uses the older one, which undoes the last
// commit. A power cut damages no meta page, since the used part is in one
// sector.

// Meta is the content of a meta page.
type Meta struct {
	Root, Freelist, Limit uint64 // numbers of pages; Limit is the first number that was never used
	Transaction           uint64
	PageSize              int64
}

// Layout of a meta page.
const (
	Magic   = 0xED0CDAED // at the beginning
	version = 2

	TransactionAt = 48 // offset of the number of the transaction
	// MetaBytes is the length of the used part, from magic to checksum.
	MetaBytes = 64
)

// RawMeta has the bytes of a meta page, from magic to checksum.
type RawMeta [MetaBytes]byte

func (m *RawMeta) field(at int) uint64 { return binary.NativeEndian.Uint64(m[at:]) }

func (m *RawMeta) short(at int) uint32 { return binary.NativeEndian.Uint32(m[at:]) }

// Transaction is the number of the transaction that wrote the page.
func (m *RawMeta) Transaction() uint64 { return m.field(TransactionAt) }

// ReadRawMeta reads the meta page at an offset; ok is false if it is damaged.
func ReadRawMeta(file io.ReaderAt, at int64) (m RawMeta, ok bool) {
	if _, err := file.ReadAt(m[:], at+HeaderBytes); err != nil {
		return m, false
	}
	return m, m.short(0) == Magic && m.short(4) == version && m.sealed()
}

// ReadMeta returns the newer undamaged meta page.
func ReadMeta(file io.ReaderAt, pageSize int64) (newest Meta, ok bool) {
	for i := range int64(2) {
		if m, whole := ReadMetaAt(file, i*pageSize); whole && (!ok || m.Transaction > newest.Transaction) {
			newest, ok = m, true
		}
	}
	return newest, ok
}

// ReadMetaAt returns the meta page at an offset; ok is false if it is damaged.
func ReadMetaAt(file io.ReaderAt, at int64) (m Meta, ok bool) {
	p, ok := ReadRawMeta(file, at)
	if !ok {
		return m, false
	}
	return Meta{Root: p.field(16), Freelist: p.field(32), Limit: p.field(40), Transaction: p.field(TransactionAt), PageSize: int64(p.short(8))}, true
}

// sealed reports whether the checksum of a meta page is correct.
func (m *RawMeta) sealed() bool {
	sum := fnv.New64a()
	_, _ = sum.Write(m[:MetaBytes-8]) // cannot fail
	return sum.Sum64() == binary.NativeEndian.Uint64(m[MetaBytes-8:])
}

// ExamineOtherMeta examines the meta page that is not the newest undamaged one.
// It returns an error if that page is damaged, unless it is certainly the older
// one, which is not needed and which a later transaction rewrites.
func ExamineOtherMeta(file io.ReaderAt, newest *Meta) error {
	if whole, older := OtherMeta(file, newest); !whole && !older {
		return fmt.Errorf("%w: a meta page is damaged, which may be that of the last commit", store.ErrCorrupt)
	}
	return nil
}

// OtherMeta reports whether the meta page that is not the newest undamaged one
// is undamaged too and, if it is damaged, whether it is the older one.
func OtherMeta(file io.ReaderAt, newest *Meta) (whole, older bool) {
	at := newest.PageSize
	if m, ok := ReadMetaAt(file, at); ok && m.Transaction == newest.Transaction {
		at = 0
	}
	if _, ok := ReadMetaAt(file, at); ok {
		return true, false
	}
	var p RawMeta
	if _, err := file.ReadAt(p[:], at+HeaderBytes); err != nil {
		return false, false
	}
	// In a copy that bbolt made, the first commit skips a number.
	number := p[TransactionAt:]
	claims := binary.NativeEndian.Uint64(number)
	if claims+1 != newest.Transaction && claims+2 != newest.Transaction {
		return false, false
	}
	for later := range uint64(2) { // one altered bit can make a later number look like an earlier one
		binary.NativeEndian.PutUint64(number, newest.Transaction+1+later)
		if p.sealed() {
			return false, false
		}
	}
	return false, true
}

// Guess returns the newest undamaged meta page and the page size. Without such
// a page it guesses the size, and ok is false.
func Guess(file io.ReaderAt) (m Meta, pageSize int64, ok bool) {
	best := 0
	for size := int64(1 << 10); size <= 1<<16; size <<= 1 {
		if m, ok := ReadMeta(file, size); ok && m.PageSize == size {
			return m, size, true
		}
		fit := 0
		for id := uint64(2); id < 64; id++ {
			var head [HeaderBytes]byte
			if _, err := file.ReadAt(head[:], int64(id)*size); err == nil && binary.NativeEndian.Uint64(head[:]) == id {
				fit++
			}
		}
		if pageSize == 0 || fit > best {
			pageSize, best = size, fit
		}
	}
	return Meta{}, pageSize, false
}
