package boltstore

import (
	"bytes"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/store"
)

// inIndex is the value of the records of an index that has only keys.
var inIndex = []byte{recordVersion}

// flag adds a task to an index, or removes it, if that changes the index.
func (p *pass) flag(b bucket, key []byte, was, is bool) {
	switch {
	case is && !was:
		p.put(b, key, inIndex)
	case was && !is:
		p.put(b, key, nil)
	}
}

// list adds a task to an index whose keys are more than a number, or removes it
// if value is nil. If a pass both adds and removes an entry, it stays.
func (p *pass) list(t *store.Task, b bucket, value []byte) {
	for _, prefix := range prefixes(t, b) {
		p.put(b, indexKey(prefix, t.Number), value)
	}
}

// prefixes returns the beginnings of a task's keys in an index whose keys are
// more than a number.
func prefixes(t *store.Task, b bucket) (all [][]byte) {
	switch {
	case b == businessBucket:
		all = append(all, businessPrefix(t.Key.Business))
	case b == namesBucket && t.Name != "":
		all = append(all, namePrefix(t.Name))
	case b == labelsBucket:
		for key, value := range t.Labels.All() {
			all = append(all, labelPrefix(key, value))
		}
	}
	return all
}

// unlist removes a task from the index of names or labels, using its header in
// the file. If the header is unreadable, unlist searches the whole index.
func (p *pass) unlist(tx *bolt.Tx, number uint64, b bucket) {
	if tasksBucket.in(tx).Get(seqKey(number)) == nil || b.in(tx) == nil {
		return
	}
	if t, err := readTask(tx, number); err == nil {
		p.list(&t, b, nil)
		return
	}
	c := b.in(tx).Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if bytes.HasSuffix(k, seqKey(number)) {
			p.put(b, k, nil)
		}
	}
}
