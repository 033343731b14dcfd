package boltstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/pages"
)

// wreck is a damaged file being searched. Nothing on a page is believed that
// does not fit into the page; records are believed by their checksums.
type wreck struct {
	file     *os.File
	finds    *finds
	report   func(problem string)
	pageSize int64
	limit    uint64    // of page numbers
	done     pages.Set // searched, or to be left
	queue    []branch
	buckets  [bucketCount]bool // those found in the root
	named    bool              // the format record says that the file is one of ours
	hidden   int               // places that may lead to others, but cannot be read
	pairing  *pairing          // nil if it was not found
	acked    uint64            // see checkpoint
}

// branch is a page of a bucket that is to be searched; that of the root has
// bucketCount for a bucket.
type branch struct {
	page uint64
	in   bucket
}

func newWreck(file *os.File, f *finds, report func(string)) *wreck {
	return &wreck{file: file, finds: f, report: report}
}

// hide is problem for what may lead to pages that nothing else leads to.
func (w *wreck) hide(format string, args ...any) {
	w.hidden++
	w.problem(format, args...)
}

func (w *wreck) problem(format string, args ...any) { w.report(fmt.Sprintf(format, args...)) }

// search puts everything that can be read into finds.
func (w *wreck) search(ctx context.Context) error {
	info, err := w.file.Stat()
	if err != nil {
		return err
	}
	meta, pageSize, ok := pages.Guess(w.file)
	w.pageSize = pageSize
	if !ok {
		w.finds.stale = true
		w.problem("neither meta page is whole: all pages are read, and what was removed may be among them")
	}
	newest := ok && pages.ExamineOtherMeta(w.file, &meta) == nil
	w.limit = uint64(info.Size() / w.pageSize)
	if ok && meta.Limit > w.limit {
		w.problem("the file has %d of its %d pages", w.limit, meta.Limit)
	} else if newest {
		w.limit = meta.Limit // what is behind was never used
	}
	if ok {
		w.queue = []branch{{meta.Root, bucketCount}}
		for len(w.queue) > 0 {
			next := w.queue[len(w.queue)-1]
			w.queue = w.queue[:len(w.queue)-1]
			if err := w.follow(ctx, next); err != nil {
				return err
			}
		}
		for b, found := range w.buckets {
			if !found {
				w.hide("bucket %s: the root does not lead to it", bucketNames[b])
			}
		}
		if newest {
			w.leaveFree(&meta)
		} else { // what is free by the older one may be in use by the newer one
			w.finds.stale = true
			w.problem("the newer meta page may be damaged: all pages are read, and what was removed may be among them")
		}
	}
	if err := w.strays(ctx, ok && !w.finds.stale); err != nil {
		return err
	}
	if err := w.journal(); err != nil {
		return err
	}
	return w.concluded()
}

// continued marks the pages that continue another.
func (w *wreck) continued(id uint64, p *pages.Run) {
	end := uint64(p.Size()) // or where its last element ends: it may claim any number
	if n := min(p.Count(), p.Room()); n > 0 {
		end = min(end, p.Element(n-1).Behind)
	}
	for i := uint64(1); i*uint64(w.pageSize) < end; i++ {
		w.done.Add(id + i)
	}
}

// leaveFree marks the pages that are free: they hold what is no more.
func (w *wreck) leaveFree(m *pages.Meta) {
	var free []uint64 // none of them, if the list is damaged
	var own uint64
	err := errors.New("there is none")
	if m.Freelist != math.MaxUint64 {
		own, err = pages.ReadFreelist(w.file, w.pageSize, m, func(id uint64) { free = append(free, id) })
	}
	for i := range own {
		w.done.Add(m.Freelist + i) // the list is in use itself
	}
	if err != nil || w.isCut(m, len(free)) || slices.ContainsFunc(free, w.done.Has) {
		w.finds.stale = true
		w.problem("the list of free pages is damaged: what was removed may be among what is copied")
		return
	}
	for _, id := range free {
		if id < w.limit {
			w.done.Add(id)
		}
	}
}

// isCut reports whether the list of free pages goes on after so many of them:
// bbolt fills the rest of its page with zeros, and nothing else tells that the
// count is wrong.
func (w *wreck) isCut(m *pages.Meta, count int) bool {
	at := pages.HeaderBytes + 8*int64(count)
	if count >= math.MaxUint16 {
		at += 8
	}
	var next [8]byte
	if at%w.pageSize > w.pageSize-int64(len(next)) || at%w.pageSize == 0 {
		return false // there may be no more room
	}
	_, err := w.file.ReadAt(next[:], int64(m.Freelist)*w.pageSize+at)
	return err == nil && next != [8]byte{}
}

// follow searches a page that another one leads to.
func (w *wreck) follow(ctx context.Context, at branch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	name := "the root, which small buckets lie within, such as a short journal"
	if at.in < bucketCount {
		name = bucketNames[at.in]
	}
	p, err := pages.Read(w.file, w.pageSize, at.page, w.limit)
	if err != nil {
		w.hide("page %d, of %s: %v", at.page, name, err)
		if at.page < w.limit {
			w.done.Add(at.page)
		}
		return nil
	}
	if w.done.Add(at.page) {
		w.hide("page %d, of %s: is in use twice", at.page, name)
		return nil
	}
	w.continued(at.page, &p)
	switch flags := p.Flags(); flags {
	case pages.Branch:
		bad := p.Elements(func(_ uint32, _, _ []byte, child uint64) {
			w.queue = append(w.queue, branch{child, at.in})
		})
		if bad > 0 {
			w.hide("page %d, of %s: %d of its entries are malformed", at.page, name, bad)
		}
		return nil
	case pages.Leaf:
		return w.leaf(fmt.Sprintf("page %d, of %s", at.page, name), &p, at.in)
	default:
		w.hide("page %d, of %s: has flags %#x", at.page, name, flags)
		return nil
	}
}

// leaf searches a leaf of a bucket, or of the root.
func (w *wreck) leaf(what string, p *pages.Run, in bucket) (err error) {
	altered := 0
	bad := p.Elements(func(flag uint32, k, v []byte, _ uint64) {
		switch {
		case err != nil:
		case in == bucketCount:
			err = w.bucket(k, v)
		default:
			ok := flag == 0
			if ok {
				ok, err = w.take(in, k, v)
			}
			if !ok {
				altered++
			}
		}
	})
	if bad+altered > 0 {
		if in == bucketCount {
			w.hidden++
		}
		w.problem("%s: %d of its entries are malformed, %d altered", what, bad, altered)
	}
	return err
}

// bucket goes on with one of the root's buckets.
func (w *wreck) bucket(name, v []byte) error {
	b := bucketNamed(name)
	switch {
	case b < 0:
		w.hide("bucket %q: is unknown", name)
		return nil
	case len(v) < pages.BucketBytes:
		w.hide("bucket %s: is malformed", name)
		return nil
	}
	w.buckets[b] = true
	if root := binary.NativeEndian.Uint64(v); root != 0 {
		w.queue = append(w.queue, branch{root, b})
		return nil
	}
	if len(v) < pages.BucketBytes+pages.HeaderBytes {
		w.problem("bucket %s: is malformed", name)
		return nil
	}
	within := pages.Inline(v[pages.BucketBytes:])
	return w.leaf("bucket "+bucketNames[b], &within, b)
}

// bucketNamed returns the bucket of a name, -1 if there is none. What is the feed
// now was the journal in schema 1.
func bucketNamed(name []byte) bucket {
	if bytes.Equal(name, journalBucket1) {
		return feedBucket
	}
	return bucket(slices.Index(bucketNames[:], string(name)))
}

// take keeps a record of a bucket; ok is false if it is not what was written.
func (w *wreck) take(in bucket, k, v []byte) (ok bool, err error) {
	if in == metaBucket {
		return w.about(k, v)
	}
	if in == keysBucket {
		return w.finds.name(k, v)
	}
	if !isSealed(in) {
		return true, nil // an index: it is made anew
	}
	if !reads(in, k, v) {
		return false, nil
	}
	return true, w.finds.record(in, k, v)
}

// about takes note of what the meta bucket says. An older checkpoint is no less
// true.
func (w *wreck) about(k, v []byte) (ok bool, err error) {
	switch {
	case string(k) == string(keyCheckpoint):
		c, err := decodeCheckpoint(v)
		if err != nil { // in schema 1 it is a sequence alone
			d := sealed(k, v)
			c = checkpoint{seq: d.uvarint()}
			err = d.end("checkpoint")
		}
		if err == nil {
			w.finds.upTo, w.acked = max(w.finds.upTo, c.seq), max(w.acked, c.acked)
		}
		return err == nil, nil
	case string(k) == string(keyJournal):
		p, err := decodePairing(v)
		if err == nil && (w.pairing == nil || p.inUse) {
			w.pairing = &p
		}
		return err == nil, nil
	case string(k) == string(keyHistories):
		_, err := decodeHistories(v) // the new file has its own
		return err == nil, nil
	case string(k) == string(keyFormat):
		version, err := decodeFormat(v)
		if err == nil && version > schemaVersion {
			return true, fmt.Errorf("%w: schema %d, this version knows %d", store.ErrIncompatible, version, schemaVersion)
		}
		w.named = w.named || err == nil
		return err == nil, nil
	}
	return true, nil
}

func isSealed(b bucket) bool {
	return b == feedBucket || b == tasksBucket || b == nodesBucket || b == attemptsBucket || b == transitionsBucket || b == dataBucket
}

// reads reports whether a record is one of a bucket, and unaltered.
func reads(b bucket, k, v []byte) bool {
	var err error
	switch {
	case b == feedBucket && len(k) == 8:
		var pieces []owned
		if pieces, err = decodeFeed(k, v); err == nil {
			for i := range pieces {
				if _, err := pieces[i].transitions(pieces[i].key); err != nil {
					return false
				}
			}
			return len(pieces) > 0
		}
	case b == tasksBucket && len(k) == 8:
		_, err = decodeTask(k, v)
	case b == nodesBucket && len(k) == 12:
		err = checkGroup(k, v)
	case b == attemptsBucket && len(k) == 16:
		err = checkAttempt(k, v)
	case b == transitionsBucket && len(k) == 16:
		_, err = decodeBlock(k, v, state.Key{})
	case b == dataBucket && len(k) == dataKeyBytes:
		_, err = decodeData(k, v, true)
	default:
		return false
	}
	return err == nil
}

// strays searches the pages that nothing leads to. If the file says what is
// free, something must have led to them, or the list of free pages lacks them.
func (w *wreck) strays(ctx context.Context, known bool) error {
	for id := uint64(2); id < w.limit; id++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if w.done.Add(id) {
			continue
		}
		p, err := pages.Read(w.file, w.pageSize, id, w.limit)
		if err != nil {
			continue
		}
		w.continued(id, &p)
		if p.Flags() != pages.Leaf {
			continue
		}
		found, err := w.stray(&p)
		if err != nil {
			return err
		}
		if known && found > 0 {
			w.problem("page %d: nothing leads to it; it has %d records, and what was removed may be among them", id, found)
			w.finds.stale = w.finds.stale || w.hidden == 0
		}
	}
	return nil
}

// stray keeps the records on a leaf of no bucket.
func (w *wreck) stray(p *pages.Run) (found int, err error) {
	p.Elements(func(flag uint32, k, v []byte, _ uint64) {
		if err != nil {
			return
		}
		if flag == pages.BucketElement { // of the root: the bucket may lie within
			b := bucketNamed(k)
			if b >= 0 && len(v) > pages.BucketBytes+pages.HeaderBytes && binary.NativeEndian.Uint64(v) == 0 {
				var n int
				within := pages.Inline(v[pages.BucketBytes:])
				n, err = w.stray(&within)
				found += n
			}
			return
		}
		if _, err = w.about(k, v); err != nil {
			return
		}
		for b := range bucketCount {
			if isSealed(b) && reads(b, k, v) {
				found++
				err = w.finds.record(b, k, v)
				return
			}
		}
	})
	return found, err
}

// concluded reports what the journal lacks and ends the search.
func (w *wreck) concluded() error {
	if err := w.finds.flush(); err != nil {
		return err
	}
	return w.finds.db.View(func(tx *bolt.Tx) error {
		if k, _ := tx.Bucket(numbersBucket).Cursor().First(); k == nil && !w.named {
			return fmt.Errorf("%w: no task and no sign of a store can be read in it", store.ErrCorrupt)
		}
		next := uint64(0)
		if w.finds.upTo > 0 {
			next = w.finds.upTo + 1
		}
		c := feedBucket.in(tx).Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			if first := seqOf(k); next != 0 && first > next {
				w.problem("transitions %d to %d cannot be read in the journal, and may be nowhere else", next, first-1)
			}
			next = max(next, binary.BigEndian.Uint64(v)+1)
		}
		return nil
	})
}
