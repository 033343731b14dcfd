package boltstore

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// A pass gathers, task by task, the records that a generation puts into the
// file, and then writes them sorted by bucket and key. A large pass is cheap
// because tasks that run at the same time have neighboring node IDs: with 256
// writers, a pass of 512 transitions dirtied a page of the ID index for every
// few IDs.
type pass struct {
	puts [bucketCount][]put

	records memory // holds the keys and values of the puts

	// Reused from task to task.
	changed folded
	groups  regrouper
	done    int // puts and pieces since the last yield
	w       blockWriter
	r       blockReader
	tr      state.Transition // read by r
	cursors [bucketCount]*bolt.Cursor
	key     []byte // of the record being made
	record  []byte
	head    []byte // the task's header
	order   []int  // of the changed nodes
	block   []byte // of transitions, being made
}

// memory allocates many small records with similar lifetimes in pieces.
// Allocating each record separately took a third of the time of a pass.
type memory struct{ piece []byte }

const memoryPiece = 32 << 10

// keep returns a copy of b.
func (m *memory) keep(b []byte) []byte {
	if cap(m.piece)-len(m.piece) < len(b) {
		m.piece = make([]byte, 0, max(memoryPiece, len(b)))
	}
	from := len(m.piece)
	m.piece = append(m.piece, b...)
	return m.piece[from:len(m.piece):len(m.piece)]
}

// fill is how full bbolt leaves a page that it splits. Most buckets grow at
// their end or at that of a task, and nothing is inserted before it later.
// Names may come in any order: half full, bbolt's default, is best for random
// keys and worst for ascending ones. With bbolt's default for all buckets, 256
// writers measured 158 bytes a transition in these buckets, with this function
// 87.
func (b bucket) fill() float64 {
	switch b {
	case idsBucket, keysBucket:
		return 0.7
	}
	return 0.9
}

// put is one record to write, or to delete if value is nil.
type put struct{ key, value []byte }

const (
	// blockMax and blockBytes bound a record of the transitions bucket; see
	// feedRecordBytes for the latter.
	blockMax   = 64
	blockBytes = feedRecordBytes
)

// gather prepares the puts for all tasks of a generation, except those that
// were already removed.
func (p *pass) gather(tx *bolt.Tx, g *generation, removed map[uint64]struct{}) error {
	p.changed.r.d.ids = &texts{size: memoryPiece}
	entries := make([]*entry, 0, len(g.entries))
	for number, e := range g.entries {
		if _, skip := removed[number]; !skip {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b *entry) int { return cmp.Compare(a.number, b.number) })
	p.puts[idsBucket] = make([]put, 0, len(g.ids))
	p.puts[nodesBucket] = make([]put, 0, len(g.ids)/groupNodes+len(entries))
	p.puts[transitionsBucket] = make([]put, 0, 2*len(entries))
	p.puts[tasksBucket] = make([]put, 0, len(entries))
	for _, e := range entries {
		p.yield(1 + len(e.pieces))
		if err := p.add(tx, e); err != nil {
			return err
		}
	}
	return nil
}

// yield lets other goroutines run after every 64 puts or pieces, because
// callers wait for commits and nobody waits for a write-back. On two
// processors, 256 writers then committed together during a write-back, instead
// of a fifth of them at a time.
func (p *pass) yield(done int) {
	const yieldEvery = 64
	if p.done += done; p.done >= yieldEvery {
		p.done = 0
		runtime.Gosched()
	}
}

// cursor returns the cursor of a bucket. It is reused, because half of the memory
// that a cursor's look-up allocates is its stack.
func (p *pass) cursor(tx *bolt.Tx, b bucket) *bolt.Cursor {
	if p.cursors[b] == nil {
		p.cursors[b] = b.in(tx).Cursor()
	}
	return p.cursors[b]
}

// add prepares the puts for one task.
func (p *pass) add(tx *bolt.Tx, e *entry) error {
	if e.deleted {
		p.remove(tx, e)
		return nil
	}
	if err := p.history(tx, e); err != nil {
		return err
	}
	p.puts[dataBucket] = append(p.puts[dataBucket], e.data...) // not copied: it does not change
	p.head = appendTask(p.head[:0], &e.task)
	p.nodes(tx, e.number)
	p.header(tx, e)
	return nil
}

// put prepares a put with copies of key and value, a deletion if value is nil.
func (p *pass) put(b bucket, key, value []byte) {
	if value != nil {
		value = p.records.keep(value)
	}
	p.puts[b] = append(p.puts[b], put{p.records.keep(key), value})
}

// putSealed is put for a value that is sealed first, in the spare room of its
// slice.
func (p *pass) putSealed(b bucket, key, value []byte) { p.put(b, key, seal(key, value)) }

// write applies the puts in the order of their keys. For the same key the
// deletion comes first, because a key or ID that one task has freed may now
// belong to another task, earlier or later in the pass. Before each put, write
// asks ready whether the pages are sound.
func (p *pass) write(tx *bolt.Tx, ready readiness) error {
	for b := range bucketCount {
		to := b.in(tx)
		if to == nil {
			continue // a later migration makes the bucket
		}
		slices.SortFunc(p.puts[b], put.compare)
		to.FillPercent = b.fill()
		for i := range p.puts[b] {
			p.yield(1)
			u := &p.puts[b][i]
			if err := ready(tx, b, u.key, u.value == nil); err != nil {
				return err
			}
			if err := u.apply(to); err != nil {
				return err
			}
		}
	}
	return nil
}

// compare orders puts by key, deletions first.
func (u put) compare(v put) int {
	if c := bytes.Compare(u.key, v.key); c != 0 || (u.value == nil) == (v.value == nil) {
		return c
	}
	if u.value == nil {
		return -1
	}
	return 1
}

func (u *put) apply(b *bolt.Bucket) error {
	if u.value == nil {
		return b.Delete(u.key)
	}
	return b.Put(u.key, u.value)
}

// history folds the entry's pieces into p.changed and prepares superseded
// attempts and the task's transitions. It continues the last block on disk
// until that is full, and leaves out the transitions that the block already
// has.
func (p *pass) history(tx *bolt.Tx, e *entry) error {
	b := blocks{pass: p, number: e.number}
	b.begin(tx)
	p.changed.reset()
	err := p.changed.add(e.pieces, func(tr *state.Transition) {
		for i := range tr.Changes {
			if c := &tr.Changes[i]; c.Superseded != nil {
				key := attemptKey(e.number, c.Index, c.Superseded.Number())
				p.record = append(p.record[:0], recordVersion)
				p.record = appendAttempt(p.record, c.Superseded, state.Instant{}, state.Version{})
				p.putSealed(attemptsBucket, key, p.record)
			}
		}
		b.add(tr)
	})
	b.flush()
	return err
}

// blocks packs a task's transitions into records.
type blocks struct {
	pass   *pass
	number uint64
	last   uint64 // sequence of the last transition that is on disk or packed
	first  uint64 // of the first one in the pass's block
	count  int    // in the block
	dirty  bool   // the block is not on disk, or has changed
}

// begin continues the last block on disk, unless that is full or cannot be
// read. In the latter case a new block begins, so that later transitions are
// kept.
func (b *blocks) begin(tx *bolt.Tx) {
	p := b.pass
	p.w.packed, p.block = true, p.block[:0]
	p.key = binary.BigEndian.AppendUint64(p.key[:0], b.number+1)
	k, v := before(p.cursor(tx, transitionsBucket), p.key)
	if len(k) < 8 || seqOf(k[:8]) != b.number {
		return
	}
	p.r.lean = true
	count, err := p.r.block(k, v, &p.tr)
	if err != nil || count == 0 {
		return
	}
	if b.last = p.r.seq; count < blockMax && len(v) < blockBytes {
		p.block = append(p.block, v[:len(v)-sealBytes]...)
		b.first, b.count = seqOf(k[8:]), count
		p.w.follow(&p.r)
	}
}

func (b *blocks) add(tr *state.Transition) {
	if tr.Sequence <= b.last {
		return
	}
	p := b.pass
	if b.count >= blockMax || len(p.block) >= blockBytes {
		b.flush()
	}
	if b.count == 0 {
		b.first = tr.Sequence
		p.block = append(p.block, recordVersion)
		p.w.restart(tr.Sequence - 1)
	}
	p.block = p.w.add(p.block, tr, tr.Sequence)
	b.last, b.dirty = tr.Sequence, true
	b.count++
}

func (b *blocks) flush() {
	if b.dirty {
		p := b.pass
		p.key = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(p.key[:0], b.number), b.first)
		p.putSealed(transitionsBucket, p.key, p.block)
	}
	b.pass.block, b.count, b.dirty = b.pass.block[:0], 0, false
}

// decodeBlock reads a record of the transitions bucket.
func decodeBlock(k, v []byte, key state.Key) ([]*state.Transition, error) {
	if err := checkBlockKey(k); err != nil {
		return nil, err
	}
	return readBlock(sealed(k, v), key, seqOf(k[8:])-1, true, "transitions")
}

// block reads a record of the transitions bucket to its end, each transition
// into tr, and returns the number of transitions.
func (r *blockReader) block(k, v []byte, tr *state.Transition) (count int, err error) {
	if err := checkBlockKey(k); err != nil {
		return 0, err
	}
	d := sealed(k, v)
	r.packed = true
	r.restart(d.rest(), seqOf(k[8:])-1)
	r.d.bad, r.d.newer = d.bad, d.newer
	for r.next(tr) {
		count++
	}
	return count, r.d.end("transitions")
}

func checkBlockKey(k []byte) error {
	if len(k) != 16 {
		return fmt.Errorf("%w: malformed key of a transitions record", store.ErrCorrupt)
	}
	return nil
}

// nodes prepares the groups of the nodes in p.changed, and the first one, which has
// the header.
func (p *pass) nodes(tx *bolt.Tx, number uint64) {
	changed := p.changed.nodes
	p.order = p.order[:0]
	for i := range changed {
		p.order = append(p.order, i)
	}
	slices.SortFunc(p.order, func(a, b int) int { return cmp.Compare(changed[a].index, changed[b].index) })
	r := p.regroup(tx, number, p.head)
	r.read(0)
	for _, i := range p.order {
		n := &changed[i]
		if n.index >= r.first+groupNodes {
			r.write()
			r.read(n.index / groupNodes * groupNodes)
		}
		node := state.Node{ID: n.id, Index: n.index, Kind: n.kind}
		if n.declared != nil {
			node.Declaration = *n.declared
			p.key, p.record = appendID(p.key[:0], n.id), appendPlace(p.record[:0], place{number, n.index})
			p.put(idsBucket, p.key, p.record)
		} else if decodeNode(r.nodes[n.index-r.first], &node) != nil {
			continue // the record was damaged since the change; the declaration is lost
		}
		node.Progress = n.progress
		r.set(&node)
	}
	r.write()
}

// header prepares a task's header and the index entries that lead to it.
func (p *pass) header(tx *bolt.Tx, e *entry) {
	t := &e.task
	p.key = binary.BigEndian.AppendUint64(p.key[:0], t.Number)
	key := p.key
	p.record = append(p.record[:0], p.head...)
	p.putSealed(tasksBucket, key, p.record)
	now := indexedOf(t)
	p.flag(unfinishedBucket, key, e.before.unfinished, now.unfinished)
	p.flag(failuresBucket, key, e.before.failures, now.failures)
	switch { // the other indexes change rarely
	case e.isNew:
		p.put(keysBucket, taskKey(t.Key), appendNumber(nil, t.Number))
		for _, b := range [...]bucket{businessBucket, namesBucket, labelsBucket} {
			p.list(t, b, inIndex)
		}
	case e.labeled:
		p.unlist(tx, e.number, labelsBucket)
		p.list(t, labelsBucket, inIndex)
	}
}

// remove prepares the deletion of all records of a task. A key or ID that
// another task has taken since stays.
func (p *pass) remove(tx *bolt.Tx, e *entry) {
	prefix := seqKey(e.number)
	unreadable := false
	for _, b := range [...]bucket{nodesBucket, attemptsBucket, transitionsBucket, dataBucket} {
		c := b.in(tx).Cursor()
		for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
			p.put(b, k, nil)
			if b != nodesBucket {
				continue
			}
			err := eachNode(k, v, func(_ int, node []byte) error {
				var n state.Node
				err := decodeNode(node, &n)
				if err == nil {
					p.removeIfOurs(tx, idsBucket, idKey(n.ID), e.number)
				}
				return err
			})
			unreadable = unreadable || err != nil
		}
	}
	if unreadable {
		p.removePlaces(tx, e.number)
	}
	p.removeIfOurs(tx, keysBucket, taskKey(e.task.Key), e.number)
	p.put(tasksBucket, prefix, nil)
	p.put(businessBucket, indexKey(businessPrefix(e.task.Key.Business), e.number), nil)
	for _, b := range [...]bucket{unfinishedBucket, failuresBucket} {
		p.flag(b, prefix, b.in(tx) != nil && b.in(tx).Get(prefix) != nil, false)
	}
	p.unlist(tx, e.number, namesBucket)
	p.unlist(tx, e.number, labelsBucket)
}

// removePlaces prepares the deletion of all IDs that lead to a task. It serves
// a task with an unreadable node, whose ID is therefore unknown, and reads the
// whole index.
func (p *pass) removePlaces(tx *bolt.Tx, number uint64) {
	c := idsBucket.in(tx).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if at, err := decodePlace(v); err == nil && at.number == number {
			p.put(idsBucket, k, nil)
		}
	}
}

// removeIfOurs prepares the deletion of an index record if it leads to the task.
func (p *pass) removeIfOurs(tx *bolt.Tx, b bucket, key []byte, number uint64) {
	if v := b.in(tx).Get(key); v != nil {
		d := record(v)
		if d.uvarint() == number && !d.bad {
			p.put(b, key, nil)
		}
	}
}
