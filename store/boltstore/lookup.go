package boltstore

import (
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// readKey returns the number of the task that has a key in the file.
func readKey(tx *bolt.Tx, key state.Key) (number uint64, found bool, err error) {
	v := keysBucket.in(tx).Get(taskKey(key))
	if v == nil {
		return 0, false, nil
	}
	number, err = decodeNumber(v)
	return number, err == nil, err
}

// readID returns where the node with an ID is in the file.
func readID(tx *bolt.Tx, id string) (p place, found bool, err error) {
	v := idsBucket.in(tx).Get(idKey(id))
	if v == nil {
		return place{}, false, nil
	}
	p, err = decodePlace(v)
	return p, err == nil, err
}

// readTask reads a header that must be there.
func readTask(tx *bolt.Tx, number uint64) (store.Task, error) {
	k := seqKey(number)
	v := tasksBucket.in(tx).Get(k)
	if v == nil {
		return store.Task{}, fmt.Errorf("%w: task %d has no header", store.ErrCorrupt, number)
	}
	return decodeTask(k, v)
}
