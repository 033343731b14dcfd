package boltstore

import (
	"bytes"

	bolt "go.etcd.io/bbolt"
)

// In schema 3 each node had a separate record, without the header.

// migrate3 migrates a file from schema 3 to schema 4. The nodes of a task with
// an unreadable header stay unchanged.
func migrate3(tx *bolt.Tx) error {
	var p pass
	err := tasksBucket.in(tx).ForEach(func(k, v []byte) error {
		t, err := decodeTask(k, v)
		if err != nil {
			return nil //nolint:nilerr // Check reports it.
		}
		r := p.regroup(tx, t.Number, bytes.Clone(v[:len(v)-sealBytes]))
		for first := 0; first < t.Nodes && r.read(first); first += groupNodes {
			r.write()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return p.write(tx, unexamined)
}
