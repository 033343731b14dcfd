package boltstore

import (
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/pages"
)

// footing examines the leaves that a write transaction will change. bbolt rewrites a
// changed page with the sizes that its elements claim: one altered bit in the size of a
// value makes a commit allocate gigabytes. Open has examined the branches but not the
// leaves, since there are a hundred times as many.
//
// A footing belongs to the writer of a file. A page that it has found sound stays sound,
// since only bbolt writes to the file from then on.
type footing struct {
	leaves pages.Leaves
	tx     int // the transaction that within is of
	// within has, for each bucket, the keys of the leaf examined last.
	within [bucketCount]pages.KeyRange
}

// readiness returns an error unless a key of a bucket can be changed, see
// [footing.ready].
type readiness func(tx *bolt.Tx, b bucket, key []byte, deletes bool) error

// unexamined is the readiness of a file that was just made, and needs no
// examination.
func unexamined(*bolt.Tx, bucket, []byte, bool) error { return nil }

// ready returns an error unless the leaf of a key, or the leaf where the key
// would be inserted, is sound. A deletion may merge a leaf with a neighbor
// under the same branch, so ready then examines the neighbors as well.
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
		return nil // the bucket is part of the root's leaf, which Open has examined
	}
	r, err := f.leaves.Examine(id, tx.Size(), key, deletes)
	if err != nil {
		return fmt.Errorf("%w: bucket %s: %w", store.ErrCorrupt, bucketNames[b], err)
	}
	f.within[b] = r
	return nil
}
