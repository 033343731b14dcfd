package boltstore

import (
	"bytes"
	"context"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Check implements [store.Checker]: the file's pages, then both directions of
// every index, then what [store.Check] examines of any store. It reads the
// whole file in one long transaction, so the file may grow if writers go on.
func (s *Store) Check(ctx context.Context, report func(problem string)) error {
	s.writer.Lock()
	if err := s.state(); err == nil {
		s.writeBackAll()
	}
	s.writer.Unlock()
	c := checker{ctx: ctx, report: report}
	overlaid := func() { c.settled = s.overlay.pending == 0 }
	err := s.view(ctx, overlaid, func(tx *bolt.Tx) error {
		for problem := range tx.Check() {
			report("file: " + problem.Error())
		}
		c.tx = tx
		c.nodes()
		c.tasks()
		c.indexes()
		return ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("boltstore: check: %w", err)
	}
	return store.Check(ctx, s, report)
}

// checker compares the buckets of one transaction with each other.
type checker struct {
	ctx     context.Context
	tx      *bolt.Tx
	report  func(string)
	settled bool // nothing is half written back: every record has its counterpart
}

func (c *checker) problem(b bucket, k []byte, format string, args ...any) {
	c.report(fmt.Sprintf("%s %x: ", bucketNames[b], k) + fmt.Sprintf(format, args...))
}

func (c *checker) each(b bucket, f func(k, v []byte)) {
	cursor := b.in(c.tx).Cursor()
	for k, v := cursor.First(); k != nil && c.ctx.Err() == nil; k, v = cursor.Next() {
		f(k, v)
	}
}

// nodes checks that every node can be read and that its ID leads to it or to
// a task that has taken the ID since.
func (c *checker) nodes() {
	c.each(nodesBucket, func(k, v []byte) {
		var n state.Node
		if err := decodeNode(k, v, &n); err != nil || len(k) != 12 {
			c.problem(nodesBucket, k, "%v", err)
			return
		}
		at := idsBucket.in(c.tx).Get(idKey(n.ID))
		if at == nil {
			if c.settled {
				c.problem(nodesBucket, k, "its ID %q leads nowhere", n.ID)
			}
			return
		}
		if p, err := decodePlace(at); err != nil || p.number < seqOf(k[:8]) {
			c.problem(nodesBucket, k, "its ID %q leads to %+v: %v", n.ID, p, err)
		}
	})
}

func (c *checker) tasks() {
	c.each(tasksBucket, func(k, v []byte) {
		t, err := decodeTask(k, v)
		if err != nil {
			c.problem(tasksBucket, k, "%v", err)
			return
		}
		if v := keysBucket.in(c.tx).Get(taskKey(t.Key)); v != nil {
			if number, err := decodeNumber(v); err != nil || number < t.Number {
				c.problem(tasksBucket, k, "its key %s leads to %d: %v", t.Key, number, err)
			}
		}
	})
}

// indexes checks that what indexes lead to is there.
func (c *checker) indexes() {
	c.each(idsBucket, func(k, v []byte) {
		p, err := decodePlace(v)
		if err != nil {
			c.problem(idsBucket, k, "%v", err)
			return
		}
		var n state.Node
		at := nodeKey(p.number, p.index)
		v = nodesBucket.in(c.tx).Get(at)
		if v == nil && !c.settled {
			return
		}
		if v == nil || decodeNode(at, v, &n) != nil || !bytes.Equal(idKey(n.ID), k) {
			c.problem(idsBucket, k, "leads to task %d node %d, which is not it", p.number, p.index)
		}
	})
	c.each(transitionsBucket, func(k, v []byte) {
		if len(k) != 16 {
			c.problem(transitionsBucket, k, "malformed key")
		} else if _, err := decodeBlock(k, v, state.Key{}); err != nil {
			c.problem(transitionsBucket, k, "%v", err)
		}
	})
	c.each(journalBucket, func(k, v []byte) {
		if _, err := decodeFrame(k, v); err != nil {
			c.problem(journalBucket, k, "%v", err)
		}
	})
}
