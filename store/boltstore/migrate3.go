package boltstore

import (
	"bytes"

	bolt "go.etcd.io/bbolt"
)

// Schema 3 had each node in a record of its own, and none of them had the header.

// migrate3 brings a file of schema 3 to schema 4. The nodes of a task whose header
// cannot be read stay as they are.
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
