package boltstore

import (
	"bytes"

	bolt "go.etcd.io/bbolt"
)

// Schema 2 had no indexes of failures, names and labels, and its records have
// no labels, keys, edges and notes. The index of businesses had the shown
// states of the tasks, which no code read.

// migrate2 migrates a file from schema 2 to schema 3. A task with an unreadable
// header is added to no index.
func migrate2(tx *bolt.Tx) error {
	for b := bucketsOf(2); b < bucketsOf(3); b++ {
		if _, err := tx.CreateBucketIfNotExists([]byte(bucketNames[b])); err != nil {
			return err
		}
	}
	var p pass
	err := tasksBucket.in(tx).ForEach(func(k, v []byte) error {
		t, err := decodeTask(bytes.Clone(k), bytes.Clone(v))
		if err != nil {
			return nil //nolint:nilerr // Check reports it, and lists pass over the task.
		}
		p.flag(failuresBucket, k, false, t.HasFailures())
		p.list(&t, namesBucket, inIndex)
		return nil
	})
	if err != nil {
		return err
	}
	err = businessBucket.in(tx).ForEach(func(k, _ []byte) error {
		p.put(businessBucket, k, inIndex)
		return nil
	})
	if err != nil {
		return err
	}
	return p.write(tx, unexamined)
}
