package boltstore

import (
	"bytes"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// add prepares the puts for one task.
func (p *pass) add(tx *bolt.Tx, e *entry) error {
	p.entries = append(p.entries, e)
	if e.deleted {
		p.transitions++
		return p.remove(tx, e)
	}
	for i := range e.pieces {
		p.transitions += e.pieces[i].count
	}
	changed, trs, err := fold(e.pieces)
	if err != nil {
		return err
	}
	if err := p.nodes(tx, e.number, changed); err != nil {
		return err
	}
	if err := p.history(tx, e.number, trs); err != nil {
		return err
	}
	p.header(&e.task)
	return nil
}

func (p *pass) put(b bucket, key, value []byte) {
	p.puts = append(p.puts, put{b, key, value})
}

func (p *pass) nodes(tx *bolt.Tx, number uint64, changed map[int]*newest) error {
	for index, n := range changed {
		key := nodeKey(number, index)
		var node state.Node
		if n.declared != nil {
			node = state.Node{ID: n.id, Kind: n.kind, Declaration: *n.declared}
			p.put(idsBucket, idKey(n.id), appendPlace(nil, place{number, index}))
		} else if err := decodeNode(nodesBucket.in(tx).Get(key), &node); err != nil {
			return err
		}
		node.Progress = n.progress
		p.put(nodesBucket, key, appendNode(nil, &node))
	}
	return nil
}

// history prepares superseded attempts and the task's transitions. The last
// block on disk goes on until it is full; what it has already is left out.
func (p *pass) history(tx *bolt.Tx, number uint64, trs []*state.Transition) error {
	for _, tr := range trs {
		for i := range tr.Changes {
			if c := &tr.Changes[i]; c.Superseded != nil {
				v := appendAttempt([]byte{recordVersion}, c.Superseded, state.Instant{}, state.Version{})
				p.put(attemptsBucket, attemptKey(number, c.Index, attemptNumber(c.Superseded)), v)
			}
		}
	}
	block, size, err := lastBlock(tx, number)
	if err != nil {
		return err
	}
	if n := len(block); n > 0 {
		last := block[n-1].Sequence
		trs = trs[countUpTo(trs, last):]
		if n >= blockMax || size >= blockBytes {
			block = nil
		}
	}
	block = append(block, trs...)
	if len(trs) == 0 {
		return nil
	}
	w := blockWriter{packed: true}
	for len(block) > 0 {
		v := []byte{recordVersion}
		first := block[0].Sequence
		w.restart(first - 1)
		n := 0
		for ; n < len(block) && n < blockMax && len(v) < blockBytes; n++ {
			v = w.add(v, block[n], block[n].Sequence)
		}
		block = block[n:]
		p.put(transitionsBucket, blockKey(number, first), v)
	}
	return nil
}

// lastBlock reads the last block of a task's transitions, if there is one.
func lastBlock(tx *bolt.Tx, number uint64) (block []*state.Transition, size int, err error) {
	c := transitionsBucket.in(tx).Cursor()
	k, v := before(c, blockKey(number+1, 0))
	if !bytes.HasPrefix(k, seqKey(number)) {
		return nil, 0, nil
	}
	block, err = decodeBlock(k, v, state.Key{})
	return block, len(v), err
}

// decodeBlock reads a record of the transitions bucket.
func decodeBlock(k, v []byte, key state.Key) ([]*state.Transition, error) {
	d := record(v)
	trs := d.block(key, seqOf(k[8:])-1, true)
	return trs, d.end("transitions")
}

// countUpTo is the number of transitions with sequences up to last.
func countUpTo(trs []*state.Transition, last uint64) int {
	n := 0
	for n < len(trs) && trs[n].Sequence <= last {
		n++
	}
	return n
}

func (p *pass) header(t *store.Task) {
	key := seqKey(t.Number)
	p.put(tasksBucket, key, appendTask(nil, t))
	p.put(keysBucket, taskKey(t.Key), appendNumber(nil, t.Number))
	p.put(businessBucket, businessKey(t.Key.Business, t.Number), []byte{recordVersion, byte(t.Shown)})
	if t.Unfinished() {
		p.put(unfinishedBucket, key, []byte{recordVersion})
	} else {
		p.put(unfinishedBucket, key, nil)
	}
}

// remove prepares the deletion of all records of a task. A key or ID that
// another task has taken since stays.
func (p *pass) remove(tx *bolt.Tx, e *entry) error {
	prefix := seqKey(e.number)
	for _, b := range [...]bucket{nodesBucket, attemptsBucket, transitionsBucket} {
		c := b.in(tx).Cursor()
		for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
			p.put(b, bytes.Clone(k), nil)
			if b != nodesBucket {
				continue
			}
			var n state.Node
			if err := decodeNode(v, &n); err != nil {
				return err
			}
			if err := p.removeIfOurs(tx, idsBucket, idKey(n.ID), e.number); err != nil {
				return err
			}
		}
	}
	if err := p.removeIfOurs(tx, keysBucket, taskKey(e.task.Key), e.number); err != nil {
		return err
	}
	p.put(tasksBucket, prefix, nil)
	p.put(unfinishedBucket, prefix, nil)
	p.put(businessBucket, businessKey(e.task.Key.Business, e.number), nil)
	return nil
}

// removeIfOurs prepares the deletion of an index record if it leads to the task.
func (p *pass) removeIfOurs(tx *bolt.Tx, b bucket, key []byte, number uint64) error {
	v := b.in(tx).Get(key)
	if v == nil {
		return nil
	}
	d := record(v)
	if d.uvarint() == number {
		p.put(b, key, nil)
	}
	if d.bad {
		return d.end("index")
	}
	return nil
}
