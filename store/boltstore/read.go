package boltstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// storedTask is a task at one moment: its part of the overlay, captured at the
// same moment as the transaction that shows the rest.
type storedTask struct {
	place   place
	header  store.Task
	nodes   *nodeReader    // at the first node, nil if the file was not read
	pieces  []piece        // of the overlay
	records [2][]put       // of the overlay, with its data
	last    store.Position // the store's last position at that moment
}

// lookupTries bounds how often a task is looked up again that disappears during
// the lookup: a new task may have taken its key.
const lookupTries = 3

// withTask looks a task up and runs f at a moment when the task exists.
func (s *Store) withTask(ctx context.Context, ref store.Ref, f func(tx *bolt.Tx, t *storedTask) error) error {
	if ref.Node == "" {
		if done, err := s.withTaskOfKey(ctx, ref, f); done || err != nil {
			return err
		}
	}
	var lost place // where the index led last time, without a task there
	for range lookupTries {
		at, ok, err := s.resolve(ctx, ref)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if at == lost {
			return fmt.Errorf("%w: %s leads to task %d, which does not exist", store.ErrCorrupt, ref, at.number)
		}
		there, missing, err := s.withTaskAt(ctx, at, func(tx *bolt.Tx, t *storedTask) error {
			if err := t.answers(tx, ref); err != nil {
				return err
			}
			return f(tx, t)
		})
		if err != nil || there {
			return err
		}
		if missing {
			lost = at
		}
	}
	return fmt.Errorf("%w: %s", state.ErrNotFound, ref)
}

// withTaskOfKey is withTask for the key of a task, in one transaction and
// therefore at half the cost. While the overlay has deletions, it only handles
// keys in the overlay, and done is false for others: the file may still have
// the deleted task.
func (s *Store) withTaskOfKey(ctx context.Context, ref store.Ref, f func(tx *bolt.Tx, t *storedTask) error) (done bool, err error) {
	var t storedTask
	known := false
	capture := func() {
		t.last = s.positionLocked()
		if e := s.overlay.key(ref.Key); e != nil {
			t.place.number, known = e.number, true
			t.overlay(&s.overlay, e)
		}
		done = known || !s.overlay.deletions()
	}
	err = s.view(ctx, capture, func(tx *bolt.Tx) error {
		if !done {
			return nil
		}
		if !known {
			var there bool
			t.place.number, there, err = readKey(tx, ref.Key)
			switch {
			case err != nil:
				return err
			case !there:
				return fmt.Errorf("%w: %s", state.ErrNotFound, ref)
			}
			there, err = t.read(tx)
			switch {
			case err != nil:
				return err
			case !there:
				return fmt.Errorf("%w: task %d does not exist", store.ErrCorrupt, t.place.number)
			}
		}
		if err := t.answers(tx, ref); err != nil {
			return err
		}
		return f(tx, &t)
	})
	return done, err
}

// read reads the header from the file; there is false if the file has no such
// task. It reads the copy with the nodes, since most callers read the nodes
// next. If the copy is unreadable, it reads the tasks bucket.
func (t *storedTask) read(tx *bolt.Tx) (there bool, err error) {
	t.nodes = newNodeReader(tx, t.place.number)
	if t.header, there = t.nodes.task(); there {
		return true, nil
	}
	t.nodes = nil
	k := seqKey(t.place.number)
	v := tasksBucket.in(tx).Get(k)
	if v == nil {
		return false, nil
	}
	t.header, err = decodeTask(k, v)
	return err == nil, err
}

// overlay copies the task's part of the overlay. e is its newest entry.
func (t *storedTask) overlay(o *overlay, e *entry) {
	t.header, t.pieces, t.records = e.task, o.pieces(t.place.number), o.records(t.place.number)
}

// answers checks that the index led to the task or node that ref names.
func (t *storedTask) answers(tx *bolt.Tx, ref store.Ref) error {
	if ref.Node == "" {
		if t.header.Key != ref.Key {
			return fmt.Errorf("%w: %s leads to task %s", store.ErrCorrupt, ref, t.header.Key)
		}
		return nil
	}
	names := identities{task: t, tx: tx, known: make(map[int]*state.Node)}
	n, err := names.node(t.place.index)
	if err == nil && n.ID != ref.Node {
		err = fmt.Errorf("%w: %s leads to node %q", store.ErrCorrupt, ref, n.ID)
	}
	return err
}

// resolve returns the number of a task, and the index of the node that ref
// names. Numbers are never used again, so the result may be outdated but never
// means another task.
func (s *Store) resolve(ctx context.Context, ref store.Ref) (at place, ok bool, err error) {
	capture := func() {
		if ref.Node != "" {
			at, ok = s.overlay.id(ref.Node)
		} else if e := s.overlay.key(ref.Key); e != nil {
			at.number, ok = e.number, true
		}
	}
	err = s.view(ctx, capture, func(tx *bolt.Tx) error {
		if ok {
			return nil
		}
		if ref.Node != "" {
			at, ok, err = readID(tx, ref.Node)
		} else {
			at.number, ok, err = readKey(tx, ref.Key)
		}
		return err
	})
	return at, ok, err
}

// withTaskAt runs f unless the task is deleted. missing says that neither the
// overlay nor the file has the task, which may be so for a short time only.
func (s *Store) withTaskAt(ctx context.Context, at place, f func(tx *bolt.Tx, t *storedTask) error) (there, missing bool, err error) {
	t := storedTask{place: at}
	known, deleted := false, false
	capture := func() {
		t.last = s.positionLocked()
		if e := s.overlay.entry(at.number); e != nil {
			known, deleted = true, e.deleted
			t.overlay(&s.overlay, e)
		}
	}
	err = s.view(ctx, capture, func(tx *bolt.Tx) error {
		if deleted {
			return nil
		}
		if !known {
			there, err := t.read(tx)
			if missing = !there && err == nil; missing || err != nil {
				return err
			}
		}
		there = true
		return f(tx, &t)
	})
	return there, missing, err
}

// Load implements [store.Store].
func (s *Store) Load(ctx context.Context, ref store.Ref) (snap store.Snapshot, err error) {
	err = s.withTask(ctx, ref, func(tx *bolt.Tx, t *storedTask) error {
		snap.Index, snap.Position = t.place.index, t.last
		if snap.Tree, err = t.tree(tx); err == nil && ref.NodeKey != "" {
			snap.Index, err = ref.In(snap.Tree)
		}
		return err
	})
	if err != nil {
		return store.Snapshot{}, fmt.Errorf("boltstore: load: %w", err)
	}
	return snap, nil
}

// fold folds the overlay's changes of the task.
func (t *storedTask) fold() (*folded, error) {
	f := &folded{}
	return f, f.add(t.pieces, nil)
}

// nodeRoom is about the memory of a node.
const nodeRoom = 256

// tree builds the task's tree from the nodes of the file and, on top of them,
// the overlay.
func (t *storedTask) tree(tx *bolt.Tx) (*state.Tree, error) {
	changed, err := t.fold()
	if err != nil {
		return nil, err
	}
	// A damaged header could ask for more nodes than the file has room for.
	b := state.NewBuilder(t.header.Key, min(t.header.Nodes, int(tx.Size()/nodeRoom)+len(changed.nodes)))
	file := t.nodes
	if t.nodes = nil; file == nil {
		file = newNodeReader(tx, t.place.number)
	}
	file.ids.size = min(t.header.Nodes, 64) * 32
	var n state.Node
	for i := range t.header.Nodes {
		over := changed.get(i)
		there, err := file.read(i, &n)
		if err != nil {
			return nil, err
		}
		if !there {
			if n, err = over.node(i); err != nil {
				return nil, err
			}
		}
		if over != nil {
			n.Progress = over.progress
		}
		if err := b.Add(&n); err != nil {
			return nil, fmt.Errorf("%w: %w", store.ErrCorrupt, err)
		}
	}
	b.Label(t.header.Labels)
	tree, err := b.Tree(t.header.Revision)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	return tree, nil
}

// Locate implements [store.Store].
func (s *Store) Locate(ctx context.Context, ref store.Ref) (at store.Location, err error) {
	err = s.withTask(ctx, ref, func(tx *bolt.Tx, t *storedTask) error {
		at = store.Location{Key: t.header.Key, Revision: t.header.Revision}
		_, err = t.index(tx, ref)
		return err
	})
	if err != nil {
		return store.Location{}, fmt.Errorf("boltstore: locate: %w", err)
	}
	return at, nil
}

// Feed implements [store.Store].
func (s *Store) Feed(ctx context.Context, after store.Position, limit int) (feed store.FeedPage, err error) {
	if limit <= 0 {
		limit = store.DefaultLimit
	}
	var newer []feedRecord // the overlay's records
	var past store.Histories
	capture := func() {
		feed.Last, past = s.positionLocked(), s.past
		if s.overlay.frozen != nil {
			newer = slices.Clip(s.overlay.frozen.records)
		}
		newer = append(newer, s.overlay.active.records...)
	}
	err = s.view(ctx, capture, func(tx *bolt.Tx) error {
		first, _, err := feedEnds(tx)
		if err != nil {
			return err
		}
		feed.First = feed.Last.Sequence + 1
		if len(newer) > 0 {
			feed.First = newer[0].first
		}
		if first > 0 {
			feed.First = min(feed.First, first)
		}
		if err := past.Check(after, feed.First, feed.Last.Sequence); err != nil {
			return err
		}
		if after.Sequence >= feed.Last.Sequence {
			return nil
		}
		r := feedReader{after: after.Sequence, next: after.Sequence + 1, last: feed.Last.Sequence, limit: limit}
		if err := r.file(tx, newer); err != nil {
			return err
		}
		feed.Transitions, err = r.list, r.overlay(newer)
		return err
	})
	if err != nil {
		return store.FeedPage{}, fmt.Errorf("boltstore: changes: %w", err)
	}
	return feed, nil
}

// feedReader reads up to limit transitions, after the sequence after and up to
// the sequence last.
type feedReader struct {
	after, last uint64
	limit       int
	next        uint64 // sequence
	list        []*state.Transition
}

func (r *feedReader) done() bool { return r.next > r.last || len(r.list) >= r.limit }

// file reads the records that are only in the file.
func (r *feedReader) file(tx *bolt.Tx, newer []feedRecord) error {
	end := r.last + 1
	if len(newer) > 0 {
		end = newer[0].first
	}
	if r.next >= end {
		return nil
	}
	c := feedBucket.in(tx).Cursor()
	for k, v := seekFeed(c, r.next); r.next < end && !r.done(); k, v = c.Next() {
		if k == nil || seqOf(k) > r.next || seqOf(k) < r.next && len(r.list) > 0 {
			return fmt.Errorf("%w: the feed has no %d", store.ErrCorrupt, r.next)
		}
		if err := r.record(k, v); err != nil {
			return err
		}
	}
	return nil
}

// overlay reads the overlay's records.
func (r *feedReader) overlay(newer []feedRecord) error {
	from, _ := slices.BinarySearchFunc(newer, r.next, func(f feedRecord, seq uint64) int { return cmp.Compare(f.next, seq+1) })
	for i := from; i < len(newer) && !r.done(); i++ {
		if err := r.record(seqKey(newer[i].first), newer[i].value); err != nil {
			return err
		}
	}
	return nil
}

func (r *feedReader) record(k, v []byte) error {
	pieces, err := decodeFeed(k, v)
	if err != nil {
		return err
	}
	for i := range pieces {
		if r.next = pieces[i].last() + 1; r.next <= r.after+1 || len(r.list) >= r.limit {
			continue
		}
		trs, err := pieces[i].transitions(pieces[i].key)
		if err != nil {
			return err
		}
		trs = trs[countUpTo(trs, r.after):]
		r.list = append(r.list, trs[:min(len(trs), r.limit-len(r.list))]...)
	}
	return nil
}
