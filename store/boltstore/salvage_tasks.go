package boltstore

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// rebuild copies the tasks that were found into a new store.
func (f *scratch) rebuild(ctx context.Context, path string, report func(string)) (done Salvaged, err error) {
	s, err := Open(path, nil)
	if err != nil {
		return done, err
	}
	r := rebuilder{ctx: ctx, to: s, report: report, stale: f.stale, upTo: f.upTo}
	err = f.db.View(func(tx *bolt.Tx) error {
		r.tx = tx
		return r.tasks()
	})
	return r.done, errors.Join(err, s.Close())
}

// rebuilder copies tasks from a scratch file to a new store.
type rebuilder struct {
	ctx    context.Context
	tx     *bolt.Tx // of the scratch file
	to     *Store
	report func(string)
	stale  bool   // some of the found records may have been removed or be outdated
	upTo   uint64 // the checkpoint, 0 if it is not known
	done   Salvaged

	changes []store.Write
	partly  []bool // of changes
	pending int    // transitions in changes
}

// commitSize is the number of transitions that are committed together.
const commitSize = 4096

func (r *rebuilder) tasks() error {
	latest := make(map[state.Key]uint64) // of several tasks with the same key, only the last one exists
	c := r.tx.Bucket(numbersBucket).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if len(v) > 0 {
			continue // deleted
		}
		if t, err := r.gather(seqOf(k)); err == nil {
			latest[t.header.Key] = t.place.number
		} else if key, ok := r.named(seqOf(k)); ok {
			latest[key] = seqOf(k)
		}
	}
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		if len(v) > 0 {
			continue // deleted
		}
		t, err := r.gather(seqOf(k))
		if err != nil {
			if key, ok := r.named(seqOf(k)); ok {
				r.lost("task "+key.String(), "only the index names it")
			} else {
				r.lost(fmt.Sprintf("task number %d", seqOf(k)), "its business and task ID cannot be read")
			}
			continue
		}
		if latest[t.header.Key] != t.place.number {
			continue
		}
		if err := r.task(t); err != nil {
			return err
		}
		if r.pending >= commitSize {
			if err := r.commit(); err != nil {
				return err
			}
		}
	}
	r.names(latest)
	return r.commit()
}

// named returns the task that has a number in the index of keys.
func (r *rebuilder) named(number uint64) (key state.Key, ok bool) {
	k := r.tx.Bucket(keyedBucket).Get(seqKey(number))
	if k == nil {
		return state.Key{}, false
	}
	key, bad := keyOf(k)
	return key, !bad
}

// names reports the tasks that are only in the index of keys. The index has no
// checksums, so names removes no other task with the same key.
func (r *rebuilder) names(latest map[state.Key]uint64) {
	c := r.tx.Bucket(keyedBucket).Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		key, ok := r.named(seqOf(k))
		if !ok || r.tx.Bucket(numbersBucket).Get(k) != nil {
			continue
		}
		if other := latest[key]; other == 0 {
			r.lost("task "+key.String(), "only the index names it")
		} else if other < seqOf(k) {
			r.report(fmt.Sprintf("task %s: the index names a later task with this key, which cannot be read; the copied one may have been removed", key))
		}
	}
}

func (r *rebuilder) lost(task, why string) {
	r.done.Lost++
	r.report(task + ": lost: " + why)
}

// remains holds the readable parts of a task.
type remains struct {
	storedTask          // with all pieces; the header has at least the key
	headed     bool     // the header was found
	revision   uint64   // of the last transition that is known to exist
	unread     []uint64 // sequences of transitions with unknown nodes, ascending
}

// gather scratch the header and the pieces of a task.
func (r *rebuilder) gather(number uint64) (*remains, error) {
	t := &remains{storedTask: storedTask{place: place{number: number}}}
	k := seqKey(number)
	if v := tasksBucket.in(r.tx).Get(k); v != nil {
		header, err := decodeTask(k, v)
		if err != nil {
			return nil, err
		}
		t.header, t.headed, t.revision = header, true, header.Revision
	}
	c := r.tx.Bucket(piecesBucket).Cursor()
	for at, v := c.Seek(k); bytes.HasPrefix(at, k); at, v = c.Next() {
		d := decoder{b: v}
		p := piece{first: seqOf(at[8:]), count: d.int(maxInt)}
		key := state.Key{Business: d.id(), Task: d.id()}
		if p.block = d.rest(); !t.headed {
			t.header.Key = key
		}
		t.pieces = append(t.pieces, p)
		t.revision = max(t.revision, p.last())
	}
	if t.header.Key == (state.Key{}) {
		return nil, store.ErrCorrupt
	}
	return t, nil
}

// task copies a task as far as possible.
func (r *rebuilder) task(t *remains) error {
	past, err := t.transitions(r.tx)
	if err != nil {
		return err
	}
	if len(past) > 0 {
		t.revision = max(t.revision, past[len(past)-1].tr.Sequence)
	}
	proven := uint64(0)
	if n := t.nodes(r.tx); n > 0 && (!t.headed || n == t.header.Nodes) {
		proven = max(t.header.Revision, r.upTo)
	}
	whole, tree := t.run(r.tx, past, proven)
	why := t.lacks(r.tx, tree)
	if why == "" {
		return r.add(t, whole, false)
	}
	name := "task " + t.header.Key.String()
	if present, err := t.present(r.tx, r.upTo); err == nil && !r.stale {
		r.report(name + ": " + why + "; its nodes and attempts are complete as of the last write-back, but the transitions are reconstructed from them")
		return r.add(t, present, true)
	}
	certain, _ := t.run(r.tx, past, 0)
	if len(certain) == 0 {
		r.lost(name, why)
		return nil
	}
	last := certain[len(certain)-1]
	r.report(fmt.Sprintf("%s: %s; copied as of transition %d, %s", name, why, last.tr.Sequence, last.tr.At))
	return r.add(t, certain, true)
}

func (r *rebuilder) commit() error {
	if len(r.changes) == 0 {
		return nil
	}
	results, err := r.to.Commit(r.ctx, r.changes)
	if err != nil {
		return err
	}
	for i := range results {
		switch {
		case results[i].Err != nil:
			r.lost("task "+r.changes[i].Key().String(), results[i].Err.Error())
		default:
			r.count(r.partly[i])
		}
	}
	r.changes, r.partly, r.pending = nil, nil, 0
	return nil
}

// foundTransition is a transition and the record that it was in.
type foundTransition struct {
	tr     *state.Transition
	record int
}

// transitions returns the readable transitions of the task, in order.
func (t *remains) transitions(tx *bolt.Tx) (all []foundTransition, err error) {
	record := 0
	add := func(trs []*state.Transition) {
		for _, tr := range trs {
			all = append(all, foundTransition{tr, record})
		}
		record++
	}
	prefix := seqKey(t.place.number)
	names := identities{task: &t.storedTask, tx: tx, known: make(map[int]*state.Node)}
	c := transitionsBucket.in(tx).Cursor()
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		trs, err := decodeBlock(k, v, t.header.Key)
		if err != nil {
			return nil, err // impossible: scratch has only readable records
		}
		n := 0
		for n < len(trs) && names.fill(trs[n]) == nil {
			n++
		}
		add(trs[:n])
		for _, tr := range trs[n:] {
			t.unread = append(t.unread, tr.Sequence)
			t.revision = max(t.revision, tr.Sequence)
		}
	}
	for i := range t.pieces {
		trs, err := t.pieces[i].transitions(t.header.Key)
		if err != nil {
			return nil, err // impossible as well
		}
		add(trs)
	}
	slices.SortStableFunc(all, func(a, b foundTransition) int { return cmp.Compare(a.tr.Sequence, b.tr.Sequence) })
	return slices.CompactFunc(all, func(a, b foundTransition) bool { return a.tr.Sequence == b.tr.Sequence }), nil
}

// run returns the longest series of transitions, from the first on, that follow
// each other, and the tree that they lead to. A transition after the sequence
// proven must also be known to be the next one: it is in the same record as the
// one before, or the journal between them is complete. Up to proven, a complete
// set of the task's nodes shows whether a transition is missing.
func (t *remains) run(tx *bolt.Tx, all []foundTransition, proven uint64) ([]foundTransition, *state.Tree) {
	tree := state.NewTree(t.header.Key)
	for i := range all {
		tr := all[i].tr
		if n, _ := slices.BinarySearch(t.unread, tree.Revision()+1); n < len(t.unread) && t.unread[n] < tr.Sequence {
			return all[:i], tree
		}
		if i > 0 && tr.Sequence > proven && all[i].record != all[i-1].record && !journaled(tx, max(tree.Revision(), proven), tr.Sequence) {
			return all[:i], tree
		}
		next, err := tree.Replay(tr)
		if err != nil || !t.follows(tree, tr) || next.Shown(0) != tr.Shown {
			return all[:i], tree
		}
		tree = next
	}
	return all, tree
}

// journaled reports whether every transition between two sequences was found in
// the feed or the journal.
func journaled(tx *bolt.Tx, after, before uint64) bool {
	c := feedBucket.in(tx).Cursor()
	k, v := c.Seek(seqKey(after + 1))
	if seqOf(k) != after+1 {
		if k, v = c.Prev(); k == nil {
			k, v = c.First()
		}
	}
	for next := after + 1; next < before; k, v = c.Next() {
		if k == nil || seqOf(k) > next {
			return false
		}
		next = max(next, binary.BigEndian.Uint64(v)+1)
	}
	return true
}

// follows reports whether a transition continues from a tree.
func (t *remains) follows(tree *state.Tree, tr *state.Transition) bool {
	if (tr.Op == state.Create) != (tr.Sequence == t.place.number) || (tr.Op == state.Create) != (tree.Len() == 0) || len(tr.Changes) == 0 && tr.Op != state.Label {
		return false
	}
	for i := range tr.Changes {
		c := &tr.Changes[i]
		if c.Declared != nil {
			continue // Replay has checked it
		}
		n := tree.Node(c.Index)
		if n.Kind != c.Kind || n.State != c.From || c.Superseded != nil && *c.Superseded != n.Attempt {
			return false
		}
	}
	return true
}

// nodes is the number of nodes with a record, 0 if one between them has none.
func (t *remains) nodes(tx *bolt.Tx) (n int) {
	prefix := seqKey(t.place.number)
	c := nodesBucket.in(tx).Cursor()
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		if !bytes.Equal(k, nodeKey(t.place.number, n)) {
			return 0
		}
		n++
	}
	return n
}

// lacks returns what is missing in a tree of the known parts of the task, "" if
// nothing is.
func (t *remains) lacks(tx *bolt.Tx, tree *state.Tree) (why string) {
	if tree.Revision() < t.revision {
		return fmt.Sprintf("transitions between %d and %d cannot be read", tree.Revision(), t.revision)
	}
	prefix := seqKey(t.place.number)
	c := nodesBucket.in(tx).Cursor()
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		var n state.Node
		if err := readNode(tx, t.place.number, int(binary.BigEndian.Uint32(k[8:])), &n); err != nil {
			return err.Error()
		}
		if n.Index >= tree.Len() {
			return fmt.Sprintf("transitions after %d cannot be read", tree.Revision())
		}
		// A node that was written back is never newer than the last transition.
		// It is the same unless the journal has later transitions.
		is, writtenBack := tree.Node(n.Index), t.headed && t.revision == t.header.Revision
		if n.Updated.After(is.Updated) || writtenBack && n.Progress != is.Progress {
			return fmt.Sprintf("transitions of node %q cannot be read", n.ID)
		}
	}
	return ""
}
