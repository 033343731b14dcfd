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

// damagedFile is a damaged file being searched. Elements that do not fit into their page
// are ignored; records are verified by their checksums.
type damagedFile struct {
	file     *os.File
	scratch  *scratch
	report   func(problem string)
	pageSize int64
	limit    uint64    // of page numbers
	done     pages.Set // searched, or not to be searched
	queue    []branch
	buckets  [bucketCount]bool // the buckets found in the root
	named    bool              // the format record says that it is a pipestatus file
	hidden   int               // unreadable places that may have led to other pages
	pairing  *pairing          // nil if no such record was found
	acked    uint64            // see checkpoint
}

// branch is a page of a bucket that is to be searched; in is bucketCount for a
// page of the root.
type branch struct {
	page uint64
	in   bucket
}

func newDamagedFile(file *os.File, f *scratch, report func(string)) *damagedFile {
	return &damagedFile{file: file, scratch: f, report: report}
}

// hide reports an unreadable place that may have been the only one to lead to
// some pages.
func (df *damagedFile) hide(format string, args ...any) {
	df.hidden++
	df.problem(format, args...)
}

func (df *damagedFile) problem(format string, args ...any) { df.report(fmt.Sprintf(format, args...)) }

// search adds every readable record to scratch.
func (df *damagedFile) search(ctx context.Context) error {
	info, err := df.file.Stat()
	if err != nil {
		return err
	}
	meta, pageSize, ok := pages.Guess(df.file)
	df.pageSize = pageSize
	if !ok {
		df.scratch.stale = true
		df.problem("both meta pages are damaged: all pages are read, and removed records may be among them")
	}
	newest := ok && pages.ExamineOtherMeta(df.file, &meta) == nil
	df.limit = uint64(info.Size() / df.pageSize)
	if ok && meta.Limit > df.limit {
		df.problem("the file has %d of its %d pages", df.limit, meta.Limit)
	} else if newest {
		df.limit = meta.Limit // later pages were never used
	}
	if ok {
		df.queue = []branch{{meta.Root, bucketCount}}
		for len(df.queue) > 0 {
			next := df.queue[len(df.queue)-1]
			df.queue = df.queue[:len(df.queue)-1]
			if err := df.follow(ctx, next); err != nil {
				return err
			}
		}
		for b, found := range df.buckets {
			if !found {
				df.hide("bucket %s: the root does not lead to it", bucketNames[b])
			}
		}
		if newest {
			df.leaveFree(&meta)
		} else { // pages that are free in the older one may be in use in the newer one
			df.scratch.stale = true
			df.problem("the newer meta page may be damaged: all pages are read, and removed records may be among them")
		}
	}
	if err := df.strays(ctx, ok && !df.scratch.stale); err != nil {
		return err
	}
	if err := df.journal(); err != nil {
		return err
	}
	return df.concluded()
}

// continued marks the pages that continue another one as done.
func (df *damagedFile) continued(id uint64, p *pages.Run) {
	end := uint64(p.Size()) // at most, since a damaged page may claim any number of pages
	if n := min(p.Count(), p.Room()); n > 0 {
		end = min(end, p.Element(n-1).Behind)
	}
	for i := uint64(1); i*uint64(df.pageSize) < end; i++ {
		df.done.Add(id + i)
	}
}

// leaveFree marks the free pages as done, since their records were removed.
func (df *damagedFile) leaveFree(m *pages.Meta) {
	var free []uint64 // ignored if the list is damaged
	var own uint64
	err := errors.New("no list of free pages")
	if m.Freelist != math.MaxUint64 {
		own, err = pages.ReadFreelist(df.file, df.pageSize, m, func(id uint64) { free = append(free, id) })
	}
	for i := range own {
		df.done.Add(m.Freelist + i) // the pages of the list
	}
	if err != nil || df.isCut(m, len(free)) || slices.ContainsFunc(free, df.done.Has) {
		df.scratch.stale = true
		df.problem("the list of free pages is damaged: removed records may be among the copied ones")
		return
	}
	for _, id := range free {
		if id < df.limit {
			df.done.Add(id)
		}
	}
}

// isCut reports whether the list of free pages seems longer than count. bbolt
// fills the rest of the page with zeros, so a following number shows that the
// count is wrong.
func (df *damagedFile) isCut(m *pages.Meta, count int) bool {
	at := pages.HeaderBytes + 8*int64(count)
	if count >= math.MaxUint16 {
		at += 8
	}
	var next [8]byte
	if at%df.pageSize > df.pageSize-int64(len(next)) || at%df.pageSize == 0 {
		return false // the list may fill its pages
	}
	_, err := df.file.ReadAt(next[:], int64(m.Freelist)*df.pageSize+at)
	return err == nil && next != [8]byte{}
}

// follow searches a page that another one leads to.
func (df *damagedFile) follow(ctx context.Context, at branch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	name := "the root, which may contain small buckets"
	if at.in < bucketCount {
		name = bucketNames[at.in]
	}
	p, err := pages.Read(df.file, df.pageSize, at.page, df.limit)
	if err != nil {
		df.hide("page %d, of %s: %v", at.page, name, err)
		if at.page < df.limit {
			df.done.Add(at.page)
		}
		return nil
	}
	if df.done.Add(at.page) {
		df.hide("page %d, of %s: is in use twice", at.page, name)
		return nil
	}
	df.continued(at.page, &p)
	switch flags := p.Flags(); flags {
	case pages.Branch:
		bad := p.Elements(func(_ uint32, _, _ []byte, child uint64) {
			df.queue = append(df.queue, branch{child, at.in})
		})
		if bad > 0 {
			df.hide("page %d, of %s: %d of its entries are malformed", at.page, name, bad)
		}
		return nil
	case pages.Leaf:
		return df.leaf(fmt.Sprintf("page %d, of %s", at.page, name), &p, at.in)
	default:
		df.hide("page %d, of %s: has flags %#x", at.page, name, flags)
		return nil
	}
}

// leaf searches a leaf of a bucket, or of the root.
func (df *damagedFile) leaf(what string, p *pages.Run, in bucket) (err error) {
	altered := 0
	bad := p.Elements(func(flag uint32, k, v []byte, _ uint64) {
		switch {
		case err != nil:
		case in == bucketCount:
			err = df.bucket(k, v)
		default:
			ok := flag == 0
			if ok {
				ok, err = df.keep(in, k, v)
			}
			if !ok {
				altered++
			}
		}
	})
	if bad+altered > 0 {
		if in == bucketCount {
			df.hidden++
		}
		df.problem("%s: %d of its entries are malformed, %d altered", what, bad, altered)
	}
	return err
}

// bucket searches one of the root's buckets.
func (df *damagedFile) bucket(name, v []byte) error {
	b := bucketNamed(name)
	switch {
	case b < 0:
		df.hide("bucket %q: is unknown", name)
		return nil
	case len(v) < pages.BucketBytes:
		df.hide("bucket %s: is malformed", name)
		return nil
	}
	df.buckets[b] = true
	if root := binary.NativeEndian.Uint64(v); root != 0 {
		df.queue = append(df.queue, branch{root, b})
		return nil
	}
	if len(v) < pages.BucketBytes+pages.HeaderBytes {
		df.problem("bucket %s: is malformed", name)
		return nil
	}
	within := pages.Inline(v[pages.BucketBytes:])
	return df.leaf("bucket "+bucketNames[b], &within, b)
}

// bucketNamed returns the bucket with a name, -1 if there is none. The feed was
// called the journal in schema 1.
func bucketNamed(name []byte) bucket {
	if bytes.Equal(name, journalBucket1) {
		return feedBucket
	}
	return bucket(slices.Index(bucketNames[:], string(name)))
}

// keep adds a record of a bucket to scratch; ok is false if the record is
// damaged.
func (df *damagedFile) keep(in bucket, k, v []byte) (ok bool, err error) {
	if in == metaBucket {
		return df.keepMeta(k, v)
	}
	if in == keysBucket {
		return df.scratch.indexedKey(k, v)
	}
	if !isSealed(in) {
		return true, nil // an index, which the new store builds again
	}
	if !reads(in, k, v) {
		return false, nil
	}
	return true, df.scratch.record(in, k, v)
}

// keepMeta reads a record of the meta bucket. An older copy of the checkpoint
// is as true as a newer one.
func (df *damagedFile) keepMeta(k, v []byte) (ok bool, err error) {
	switch {
	case string(k) == string(keyCheckpoint):
		c, err := decodeCheckpoint(v)
		if err != nil { // in schema 1 it is only a sequence
			d := sealed(k, v)
			c = checkpoint{seq: d.uvarint()}
			err = d.end("checkpoint")
		}
		if err == nil {
			df.scratch.upTo, df.acked = max(df.scratch.upTo, c.seq), max(df.acked, c.acked)
		}
		return err == nil, nil
	case string(k) == string(keyJournal):
		p, err := decodePairing(v)
		if err == nil && (df.pairing == nil || p.inUse) {
			df.pairing = &p
		}
		return err == nil, nil
	case string(k) == string(keyHistories):
		_, err := decodeHistories(v) // not kept: the new file has its own
		return err == nil, nil
	case string(k) == string(keyFormat):
		version, err := decodeFormat(v)
		if err == nil && version > schemaVersion {
			return true, fmt.Errorf("%w: schema %d, this version knows %d", store.ErrIncompatible, version, schemaVersion)
		}
		df.named = df.named || err == nil
		return err == nil, nil
	}
	return true, nil
}

func isSealed(b bucket) bool {
	return b == feedBucket || b == tasksBucket || b == nodesBucket || b == attemptsBucket || b == transitionsBucket || b == dataBucket
}

// reads reports whether a record belongs to a bucket and is undamaged.
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

// strays searches the pages that no page leads to. If known is true, the file
// says which pages are free. A page that is neither free nor in use then means
// that a page which led to it is damaged, or that the list of free pages is
// incomplete.
func (df *damagedFile) strays(ctx context.Context, known bool) error {
	for id := uint64(2); id < df.limit; id++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if df.done.Add(id) {
			continue
		}
		p, err := pages.Read(df.file, df.pageSize, id, df.limit)
		if err != nil {
			continue
		}
		df.continued(id, &p)
		if p.Flags() != pages.Leaf {
			continue
		}
		found, err := df.stray(&p)
		if err != nil {
			return err
		}
		if known && found > 0 {
			df.problem("page %d: no page leads to it; it has %d records, and removed records may be among them", id, found)
			df.scratch.stale = df.scratch.stale || df.hidden == 0
		}
	}
	return nil
}

// stray adds the records on a leaf of an unknown bucket.
func (df *damagedFile) stray(p *pages.Run) (found int, err error) {
	p.Elements(func(flag uint32, k, v []byte, _ uint64) {
		if err != nil {
			return
		}
		if flag == pages.BucketElement { // in the root, which may contain the whole bucket
			b := bucketNamed(k)
			if b >= 0 && len(v) > pages.BucketBytes+pages.HeaderBytes && binary.NativeEndian.Uint64(v) == 0 {
				var n int
				within := pages.Inline(v[pages.BucketBytes:])
				n, err = df.stray(&within)
				found += n
			}
			return
		}
		if _, err = df.keepMeta(k, v); err != nil {
			return
		}
		for b := range bucketCount {
			if isSealed(b) && reads(b, k, v) {
				found++
				err = df.scratch.record(b, k, v)
				return
			}
		}
	})
	return found, err
}

// concluded reports the transitions that are missing in the feed and the
// journal.
func (df *damagedFile) concluded() error {
	if err := df.scratch.flush(); err != nil {
		return err
	}
	return df.scratch.db.View(func(tx *bolt.Tx) error {
		if k, _ := tx.Bucket(numbersBucket).Cursor().First(); k == nil && !df.named {
			return fmt.Errorf("%w: neither a task nor the format of a store can be read", store.ErrCorrupt)
		}
		next := uint64(0)
		if df.scratch.upTo > 0 {
			next = df.scratch.upTo + 1
		}
		c := feedBucket.in(tx).Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			if first := seqOf(k); next != 0 && first > next {
				df.problem("transitions %d to %d cannot be read in the journal, and may be nowhere else", next, first-1)
			}
			next = max(next, binary.BigEndian.Uint64(v)+1)
		}
		return nil
	})
}
