package boltstore

import (
	"bytes"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/store"
)

// inIndex is the value of the records of an index that has only keys.
var inIndex = []byte{recordVersion}

// flag puts a task into an index or takes it out, where that changes anything.
func (p *pass) flag(tx *bolt.Tx, b bucket, key []byte, is bool) {
	in := b.in(tx)
	switch was := in != nil && in.Get(key) != nil; {
	case is && !was:
		p.put(b, key, inIndex)
	case was && !is:
		p.put(b, key, nil)
	}
}

// list puts a task where it belongs in an index that has more than numbers, or
// takes it out if value is nil. What is put and taken out in the same pass stays.
func (p *pass) list(t *store.Task, b bucket, value []byte) {
	for _, prefix := range prefixes(t, b) {
		p.put(b, indexKey(prefix, t.Number), value)
	}
}

// prefixes are what the keys of a task begin with in an index that has more than
// numbers.
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

// unlist takes a task out of the index of names or labels that it is in, as its
// header in the file says. If that cannot be read it looks through the index.
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
