package boltstore

import (
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// lookupKey returns the number of a task.
func (o *overlay) lookupKey(tx *bolt.Tx, key state.Key) (number uint64, found bool, err error) {
	if number, ok := o.keys[key]; ok {
		return number, true, nil
	}
	v := keysBucket.in(tx).Get(taskKey(key))
	if v == nil {
		return 0, false, nil
	}
	if number, err = decodeNumber(v); err != nil || o.gone(number) {
		return 0, false, err
	}
	return number, true, nil
}

// lookupID returns where a node is; with a nil tx it asks the overlay only.
func (o *overlay) lookupID(tx *bolt.Tx, id string) (p place, found bool, err error) {
	if p, ok := o.ids[id]; ok {
		return p, true, nil
	}
	if tx == nil {
		return place{}, false, nil
	}
	v := idsBucket.in(tx).Get(idKey(id))
	if v == nil {
		return place{}, false, nil
	}
	if p, err = decodePlace(v); err != nil || o.gone(p.number) {
		return place{}, false, err
	}
	return p, true, nil
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
