package boltstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/pages"
)

// Check implements [store.Checker]: it checks the file's pages, both directions of
// every index, the journal, and then everything that [store.Check] examines in any
// store. It writes back first; if there is no room for that, or the store is open for
// reading only, it does not compare the indexes. It reads the whole file in one long
// transaction, so the file may grow while writers continue.
func (s *Store) Check(ctx context.Context, report func(problem string)) error {
	if err := s.writer.LockUntil(ctx); err != nil {
		return err
	}
	unlock := sync.OnceFunc(s.writer.Unlock)
	defer unlock()
	usable := s.state() == nil
	writtenBack := usable && s.drainOverlay(ctx, s.closing) == nil
	if usable && s.journal != nil {
		if err := s.journal.Verify(); err != nil {
			report(fmt.Sprintf("journal: %v", err))
		}
	}
	c := checker{ctx: ctx, report: report}
	var file *boltFile
	var meta pages.Meta
	bothMetas := false
	begun := func() {
		file = s.boltFile
		meta, _ = pages.ReadMeta(file.file, file.pageSize)
		bothMetas, _ = pages.OtherMeta(file.file, &meta)
		c.last = s.last
		c.checkpoint = s.checkpoint
		unlock()
	}
	err := s.view(ctx, begun, func(tx *bolt.Tx) error {
		if !bothMetas {
			report("file: the older meta page is damaged; the next write-back rewrites it")
		}
		if !file.walkPages(ctx, tx, &meta, report) {
			return errors.Join(ctx.Err(), fmt.Errorf("%w: the file's pages are damaged, nothing else was examined", store.ErrCorrupt))
		}
		c.tx = tx
		c.records()
		c.feed()
		if writtenBack {
			c.tasks()
			c.nodes()
			c.indexes()
		}
		return ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("boltstore: check: %w", err)
	}
	return store.Check(ctx, s, report)
}

// walkPages examines every page that a read transaction can reach, see
// [pages.Walk]. The caller read the meta page when the transaction began, while
// no other transaction was writing.
func (f *boltFile) walkPages(ctx context.Context, tx *bolt.Tx, m *pages.Meta, report func(problem string)) bool {
	damaged := func(format string, args ...any) bool {
		report("file: " + fmt.Sprintf(format, args...))
		return false
	}
	info, err := f.file.Stat()
	switch {
	case err != nil:
		return damaged("%v", err)
	case info.Size() < tx.Size():
		return damaged("%d bytes of %d are left", info.Size(), tx.Size())
	case m.Transaction != uint64(tx.ID()) || m.PageSize != f.pageSize || int64(m.Limit)*f.pageSize != tx.Size():
		return damaged("no undamaged meta page is that of transaction %d", tx.ID())
	}
	return pages.Walk(ctx, f.file, m, report)
}

// checker compares the buckets of one transaction with each other.
type checker struct {
	ctx              context.Context
	tx               *bolt.Tx
	report           func(string)
	last, checkpoint uint64 // sequences, the store's last
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

// records checks that every record is readable.
func (c *checker) records() {
	decode := func(b bucket, keySize int, f func(k, v []byte) error) {
		c.each(b, func(k, v []byte) {
			if keySize > 0 && len(k) != keySize {
				c.problem(b, k, "malformed key")
			} else if err := f(k, v); err != nil {
				c.problem(b, k, "%v", err)
			}
		})
	}
	decode(tasksBucket, 8, func(k, v []byte) error { _, err := decodeTask(k, v); return err })
	decode(nodesBucket, nodeKeyBytes, checkGroup)
	decode(attemptsBucket, 16, checkAttempt)
	decode(dataBucket, dataKeyBytes, func(k, v []byte) error { _, err := decodeData(k, v, true); return err })
	decode(transitionsBucket, 16, func(k, v []byte) error { _, err := decodeBlock(k, v, state.Key{}); return err })
	decode(keysBucket, 0, func(_, v []byte) error { _, err := decodeNumber(v); return err })
	decode(idsBucket, 0, func(_, v []byte) error { _, err := decodePlace(v); return err })
	decode(unfinishedBucket, 8, func(_, v []byte) error { d := record(v); return d.end("unfinished") })
	for _, b := range [...]bucket{businessBucket, failuresBucket, namesBucket, labelsBucket} {
		decode(b, 0, func(_, v []byte) error { d := record(v); return d.end(bucketNames[b]) })
	}
}

func checkAttempt(k, v []byte) error {
	a, err := decodeAttempt(k, v)
	if n := int(binary.BigEndian.Uint32(k[12:])); err == nil && a.Number() != n {
		err = fmt.Errorf("attempt %d under the number %d", a.Number(), n)
	}
	return err
}

// feed checks that the feed has every sequence from its first one to the
// checkpoint.
func (c *checker) feed() {
	next := uint64(0)
	c.each(feedBucket, func(k, v []byte) {
		pieces, err := decodeFeed(k, v)
		if err != nil {
			c.problem(feedBucket, k, "%v", err)
			next = 0
			return
		}
		if next != 0 && seqOf(k) != next {
			c.problem(feedBucket, k, "comes where %d should", next)
		}
		for i := range pieces {
			if _, err := pieces[i].transitions(pieces[i].key); err != nil {
				c.problem(feedBucket, k, "%v", err)
			}
			next = pieces[i].last() + 1
		}
	})
	if next != 0 && next != c.checkpoint+1 {
		c.report(fmt.Sprintf("the feed ends before %d, not before %d", next, c.checkpoint+1))
	}
}

// tasks checks that every task is in all its indexes and has all its nodes.
func (c *checker) tasks() {
	c.each(tasksBucket, func(k, v []byte) {
		t, err := decodeTask(k, v)
		if err != nil {
			return // reported
		}
		at := keysBucket.in(c.tx).Get(taskKey(t.Key))
		if number, err := decodeNumber(at); at == nil || err != nil || number != t.Number {
			c.problem(tasksBucket, k, "its key %s leads to %d", t.Key, number)
		}
		c.listed(&t, k)
		c.grouped(&t, k, v[:len(v)-sealBytes])
	})
}

// grouped checks that a task has all its nodes in groups, of which all but the
// last are full, and that the first group has a copy of the task's header.
func (c *checker) grouped(t *store.Task, k, header []byte) {
	n := 0
	nodes := nodesBucket.in(c.tx).Cursor()
	for at, v := nodes.Seek(k); bytes.HasPrefix(at, k) && bytes.Equal(at, nodeKey(t.Number, n)); at, v = nodes.Next() {
		g, err := decodeGroup(at, v)
		if err != nil {
			break // reported
		}
		if n == 0 && !bytes.Equal(g.header, header) {
			c.problem(nodesBucket, at, "its header is not that of the task")
		}
		for range groupNodes {
			if _, ok, err := g.next(); !ok || err != nil {
				break
			}
			n++
		}
	}
	if n != t.Nodes {
		c.problem(tasksBucket, k, "has %d nodes in a row, want %d", n, t.Nodes)
	}
}

// listed checks that a task is in the indexes that List uses.
func (c *checker) listed(t *store.Task, k []byte) {
	for _, b := range [...]bucket{unfinishedBucket, failuresBucket} {
		want := b == unfinishedBucket && t.Unfinished() || b == failuresBucket && t.HasFailures()
		if is := b.in(c.tx).Get(k) != nil; is != want {
			c.problem(tasksBucket, k, "among the %s: %t, want %t", bucketNames[b], is, want)
		}
	}
	for _, b := range [...]bucket{businessBucket, namesBucket, labelsBucket} {
		for _, prefix := range prefixes(t, b) {
			if b.in(c.tx).Get(indexKey(prefix, t.Number)) == nil {
				c.problem(tasksBucket, k, "it is not in the index %s at %x", bucketNames[b], prefix)
			}
		}
	}
}

// nodes checks that the ID of every node leads to it.
func (c *checker) nodes() {
	c.each(nodesBucket, func(k, v []byte) {
		_ = eachNode(k, v, func(index int, node []byte) error { // errors are reported
			var n state.Node
			if err := decodeNode(node, &n); err != nil {
				return err
			}
			at := idsBucket.in(c.tx).Get(idKey(n.ID))
			if p, err := decodePlace(at); at == nil || err != nil || p != (place{seqOf(k[:8]), index}) {
				c.problem(nodesBucket, k, "node %d: its ID %q leads to task %d node %d", index, n.ID, p.number, p.index)
			}
			return nil
		})
	})
}

// indexes checks that every record belongs, or leads, to an existing task or
// node.
func (c *checker) indexes() {
	for _, b := range [...]bucket{nodesBucket, attemptsBucket, transitionsBucket, unfinishedBucket, failuresBucket, dataBucket} {
		var last []byte // the task checked last, since a task's records are neighbors
		c.each(b, func(k, _ []byte) {
			if len(k) < 8 || bytes.Equal(k[:8], last) {
				return
			}
			last = bytes.Clone(k[:8])
			if tasksBucket.in(c.tx).Get(last) == nil {
				c.problem(b, k, "of task %d, which does not exist", seqOf(last))
			}
		})
	}
	for _, b := range [...]bucket{attemptsBucket, dataBucket} {
		c.each(b, func(k, _ []byte) {
			if len(k) < 16 {
				return // reported
			}
			if node, err := nodeIn(c.tx, seqOf(k[:8]), int(binary.BigEndian.Uint32(k[8:]))); node == nil && err == nil {
				c.problem(b, k, "of a node that does not exist")
			}
		})
	}
	c.each(keysBucket, func(k, v []byte) {
		number, err := decodeNumber(v)
		if err != nil {
			return // reported
		}
		if t, err := readTask(c.tx, number); err != nil || !bytes.Equal(taskKey(t.Key), k) {
			c.problem(keysBucket, k, "leads to task %d, which is not it: %v", number, err)
		}
	})
	for _, b := range [...]bucket{businessBucket, namesBucket, labelsBucket} {
		c.each(b, func(k, _ []byte) {
			at := max(len(k)-8, 0)
			t, err := readTask(c.tx, seqOf(k[at:]))
			is := func(prefix []byte) bool { return bytes.Equal(prefix, k[:at]) }
			if err != nil || !slices.ContainsFunc(prefixes(&t, b), is) {
				c.problem(b, k, "leads to task %d, which is not it: %v", seqOf(k[at:]), err)
			}
		})
	}
	c.each(idsBucket, func(k, v []byte) {
		p, err := decodePlace(v)
		if err != nil {
			return // reported
		}
		var n state.Node
		if err := readNode(c.tx, p.number, p.index, &n); err != nil || !bytes.Equal(idKey(n.ID), k) {
			c.problem(idsBucket, k, "leads to task %d node %d, which is not it: %v", p.number, p.index, err)
		}
	})
}
