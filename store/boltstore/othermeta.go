package boltstore

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"

	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/journal"
)

// bbolt writes its two meta pages in turn and reads the newer one that is whole.
// If the newer one is damaged it goes on with the older one, as if the last
// commit had never been. A power cut leaves no damaged page, since what counts
// of it is in one sector.

// examineOtherMeta returns an error unless the meta page that is not the newest
// whole one is whole too, or is certainly the older one: then it has nothing that
// is needed, and a commit will write it anew.
func examineOtherMeta(file io.ReaderAt, newest *bboltMeta) error {
	if whole, older := otherMeta(file, newest); !whole && !older {
		return fmt.Errorf("%w: a meta page is damaged, which may be that of the last commit: the other one is of an earlier commit", store.ErrCorrupt)
	}
	return nil
}

// otherMeta reports whether the meta page that is not the newest whole one is
// whole and, if it is not, whether it is the older one.
func otherMeta(file io.ReaderAt, newest *bboltMeta) (whole, older bool) {
	at := newest.pageSize
	if m, ok := readMetaAt(file, at); ok && m.transaction == newest.transaction {
		at = 0
	}
	if _, ok := readMetaAt(file, at); ok {
		return true, false
	}
	var p [metaBytes]byte
	if _, err := file.ReadAt(p[:], at+pageHeader); err != nil {
		return false, false
	}
	// In a copy that bbolt made, the first commit skips a number.
	number := p[metaTransaction:]
	claims := binary.NativeEndian.Uint64(number)
	if claims+1 != newest.transaction && claims+2 != newest.transaction {
		return false, false
	}
	for later := range uint64(2) { // one altered bit can make a later number that one
		binary.NativeEndian.PutUint64(number, newest.transaction+1+later)
		if metaSealed(&p) {
			return false, false
		}
	}
	return false, true
}

// metaBytes is how much of a meta page counts, from magic to checksum.
const metaBytes = journal.MetaBytes

// metaSealed reports whether the checksum of a meta page fits.
func metaSealed(p *[metaBytes]byte) bool {
	sum := fnv.New64a()
	_, _ = sum.Write(p[:metaBytes-8]) // cannot fail
	return sum.Sum64() == binary.NativeEndian.Uint64(p[metaBytes-8:])
}
