package boltstore

import (
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/pages"
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
	leaves pages.Leaves
	tx     int // the transaction that within belongs to
	// within has, for each bucket, the keys that may change without a look.
	within [bucketCount]pages.KeyRange
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
		f.tx, f.within = tx.ID(), [bucketCount]pages.KeyRange{}
	}
	if f.within[b].Allows(key, deletes) {
		return nil
	}
	id := uint64(b.in(tx).RootPage())
	if id == 0 {
		f.within[b] = pages.AllKeys()
		return nil // it lies within the root's leaf, which Open has examined
	}
	r, err := f.leaves.Examine(id, tx.Size(), key, deletes)
	if err != nil {
		return fmt.Errorf("%w: bucket %s: %w", store.ErrCorrupt, bucketNames[b], err)
	}
	f.within[b] = r
	return nil
}
