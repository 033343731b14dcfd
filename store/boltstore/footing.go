package boltstore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/store"
)

// footing examines the leaves that a write transaction changes, before it does.
// bbolt makes a page that changes anew, as large as its elements say they are:
// one altered bit in the size of a value makes a commit ask for gigabytes of
// memory. Open has examined the branches and leaves out the leaves, since there
// are a hundred times as many.
//
// A footing belongs to whoever writes to a file. What it has found sound stays
// so, since only bbolt writes to it from then on.
type footing struct {
	file     io.ReaderAt
	pageSize int64

	sound pageSet
	page  []byte // used again for each way to a leaf
	seen  pageSet
	tx    int // the transaction that within belongs to
	// within has, for each bucket, the keys that may change without a look.
	within [bucketCount]keyRange
}

// keyRange is the keys on a leaf, from low on and before high; a nil high is
// behind all. The zero keyRange has none.
type keyRange struct {
	low, high []byte
	known     bool
	deletes   bool // the leaves that stand next to it are sound too
}

func (r *keyRange) has(key []byte) bool {
	return r.known && bytes.Compare(key, r.low) >= 0 && (r.high == nil || bytes.Compare(key, r.high) < 0)
}

// readiness says whether a key of a bucket can be changed, see [footing.ready].
type readiness func(tx *bolt.Tx, b bucket, key []byte, deletes bool) error

// unexamined is the readiness of a file that was just made.
func unexamined(*bolt.Tx, bucket, []byte, bool) error { return nil }

// ready returns an error unless the leaf that a key of a bucket is on, or would
// be, is sound. A deletion may join a leaf with one that stands next to it under
// the same branch, so it needs these as well.
func (f *footing) ready(tx *bolt.Tx, b bucket, key []byte, deletes bool) error {
	if f.tx != tx.ID() {
		f.tx, f.within = tx.ID(), [bucketCount]keyRange{}
	}
	if r := &f.within[b]; r.has(key) && (r.deletes || !deletes) {
		return nil
	}
	id := uint64(b.in(tx).RootPage())
	if id == 0 {
		f.within[b] = keyRange{known: true, deletes: true}
		return nil // it lies within the root's leaf, which Open has examined
	}
	if f.page == nil {
		f.page = make([]byte, f.pageSize)
	}
	d := descent{file: f.file, pageSize: f.pageSize, limit: uint64(tx.Size() / f.pageSize), sound: &f.sound, page: f.page, seen: &f.seen}
	r, err := d.to(id, key, deletes)
	if err != nil {
		return fmt.Errorf("%w: bucket %s: %w", store.ErrCorrupt, bucketNames[b], err)
	}
	f.within[b] = r
	return nil
}

// descent is one way from the root of a bucket to a leaf.
type descent struct {
	file     io.ReaderAt
	pageSize int64
	limit    uint64
	sound    *pageSet
	page     []byte
	seen     *pageSet // empty
}

// to goes to the leaf of a key and returns the leaf's keys.
func (d *descent) to(id uint64, key []byte, deletes bool) (r keyRange, err error) {
	var next []uint64 // the leaves next to it
	for range maxHeight {
		p, err := d.read(id)
		if err != nil {
			return r, err
		}
		if p.flags() != branchPage {
			for _, id := range append(next, id) {
				if err := d.examine(id); err != nil {
					return r, err
				}
			}
			r.known, r.deletes = true, deletes
			return r, nil
		}
		if p.count() == 0 || p.count() > p.room() {
			return r, fmt.Errorf("page %d: has %d elements in %d bytes", id, p.count(), p.size)
		}
		if id, next, err = d.child(&p, key, &r, deletes); err != nil {
			return r, err
		}
	}
	return r, fmt.Errorf("page %d: is deeper than %d pages", id, maxHeight)
}

// child returns the page below a branch that a key is on, and those next to it
// if they are asked for, and narrows the range to its keys.
func (d *descent) child(p *run, key []byte, r *keyRange, neighbors bool) (id uint64, next []uint64, err error) {
	keyAt := func(i int) ([]byte, error) {
		e := p.element(i)
		if e.behind > uint64(p.size) || e.value-e.key > maxKey {
			return nil, fmt.Errorf("a branch's element %d lies outside", i)
		}
		return p.part(e.key, e.value)
	}
	at, behind := 0, p.count() // the last element whose key is not greater
	for at+1 < behind {
		middle := (at + behind) / 2
		k, err := keyAt(middle)
		if err != nil {
			return 0, nil, err
		}
		if bytes.Compare(k, key) <= 0 {
			at = middle
		} else {
			behind = middle
		}
	}
	if at > 0 { // what is before the first key is on the first page too
		k, err := keyAt(at)
		if err != nil {
			return 0, nil, err
		}
		r.low = bytes.Clone(k)
	}
	if behind < p.count() {
		k, err := keyAt(behind)
		if err != nil {
			return 0, nil, err
		}
		r.high = bytes.Clone(k)
	}
	if neighbors && at > 0 {
		next = append(next, p.element(at-1).child)
	}
	if neighbors && behind < p.count() {
		next = append(next, p.element(behind).child)
	}
	return p.element(at).child, next, nil
}

// read reads a page and what it says of those that continue it.
func (d *descent) read(id uint64) (run, error) {
	if id < 2 || id >= d.limit {
		return run{}, fmt.Errorf("page %d of %d", id, d.limit)
	}
	if _, err := d.file.ReadAt(d.page, int64(id)*d.pageSize); err != nil {
		return run{}, fmt.Errorf("page %d: %w", id, err)
	}
	more := uint64(binary.NativeEndian.Uint32(d.page[12:]))
	if found := binary.NativeEndian.Uint64(d.page); found != id || more >= d.limit-id {
		return run{}, fmt.Errorf("page %d: is page %d with %d more", id, found, more)
	}
	return readRun(d.file, id, d.page, more)
}

// examine examines a leaf unless that was done before.
func (d *descent) examine(id uint64) error {
	if id < d.limit && d.sound.has(id) {
		return nil
	}
	p, err := d.read(id)
	if err != nil {
		return err
	}
	if p.flags() != leafPage {
		return fmt.Errorf("page %d: has flags %#x where a leaf should be", id, p.flags())
	}
	problem := ""
	w := pageWalk{
		file: d.file, pageSize: d.pageSize, limit: d.limit,
		report: func(p string) { problem = p }, seen: *d.seen,
	}
	w.page(&fetched{pageAt: pageAt{id: id}, data: d.page})
	if problem != "" {
		return fmt.Errorf("%s", problem)
	}
	*d.seen = w.seen
	for i := range uint64(p.size / d.pageSize) {
		d.seen.remove(id + i)
	}
	d.sound.add(id)
	return nil
}
