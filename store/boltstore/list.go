package boltstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

const (
	// scanStep is the number of tasks that List examines at a time under the lock.
	scanStep = 256
	// scanMax is the number of tasks after which List returns a short page.
	scanMax = 64 * scanStep
)

// List implements [store.Store]. It scans tasks by number in the order of the
// list, those of the overlay and those of the file together.
func (s *Store) List(ctx context.Context, q store.ListQuery) (store.ListPage, error) {
	last, err := q.Start()
	if err != nil {
		return store.ListPage{}, fmt.Errorf("boltstore: list: %w", err)
	}
	if q.Limit <= 0 {
		q.Limit = store.DefaultLimit
	}
	l := lister{store: s, q: &q, last: last}
	for scanned := 0; scanned < scanMax && !l.ended && len(l.page.Tasks) < q.Limit; scanned += scanStep {
		if err := l.step(ctx); err != nil {
			return store.ListPage{}, fmt.Errorf("boltstore: list: %w", err)
		}
	}
	if !l.ended {
		l.page.Cursor = q.CursorAt(l.last)
	}
	return l.page, nil
}

type lister struct {
	store *Store
	q     *store.ListQuery
	last  uint64 // number of the last task that was examined
	ended bool   // no tasks are left
	page  store.ListPage
}

// step examines some tasks. It holds the overlay's lock, which delays the
// publication of commits for that time only.
func (l *lister) step(ctx context.Context) error {
	s := l.store
	return s.read(ctx, l.scan, func(*bolt.Tx) error { return nil })
}

func (l *lister) scan(tx *bolt.Tx) error {
	o := &l.store.overlay
	disk, err := newDiskScan(tx, l.q, l.last)
	if err != nil {
		return err
	}
	fresh := newFreshScan(o, l.q.OldestFirst, l.last)
	headers := tasksBucket.in(tx).Cursor()
	for range scanStep {
		number := fresh.number
		if number == 0 || disk.number > 0 && fresh.comesAfter(disk.number) {
			number = disk.number
		}
		if number == 0 {
			l.ended = true
			return nil
		}
		l.last = number
		if fresh.number == number {
			fresh.next()
		}
		var header []byte
		if disk.number == number { // the overlay may have it, too
			header = disk.header
			if err := disk.next(); err != nil {
				return err
			}
		}
		if err := l.consider(headers, o, number, header); err != nil || len(l.page.Tasks) == l.q.Limit {
			return err
		}
	}
	return nil
}

// freshScan iterates over the numbers of the tasks that were created or joined
// an index while in the overlay, without the deleted ones.
type freshScan struct {
	overlay     *overlay
	oldestFirst bool
	rest        [4][]uint64
	number      uint64 // of the current task, 0 at the end
}

func newFreshScan(o *overlay, oldestFirst bool, last uint64) *freshScan {
	f := &freshScan{overlay: o, oldestFirst: oldestFirst}
	for i, g := range o.generations() {
		f.rest[2*i], f.rest[2*i+1] = g.created, g.joined
	}
	for i, numbers := range f.rest {
		if oldestFirst {
			n, _ := slices.BinarySearch(numbers, last+1)
			f.rest[i] = numbers[n:]
		} else {
			n, _ := slices.BinarySearch(numbers, last)
			f.rest[i] = numbers[:n]
		}
	}
	f.next()
	return f
}

// comesAfter reports whether the current task comes after one with a number.
func (f *freshScan) comesAfter(number uint64) bool {
	if f.oldestFirst {
		return f.number > number
	}
	return f.number < number
}

// next moves to the next task, which may be in several of the lists.
func (f *freshScan) next() {
	for {
		f.number = 0
		for _, numbers := range f.rest {
			if n := f.head(numbers); n > 0 && (f.number == 0 || f.comesAfter(n)) {
				f.number = n
			}
		}
		for i, numbers := range f.rest {
			switch {
			case f.number == 0 || f.head(numbers) != f.number:
			case f.oldestFirst:
				f.rest[i] = numbers[1:]
			default:
				f.rest[i] = numbers[:len(numbers)-1]
			}
		}
		if f.number == 0 || f.overlay.live(f.number) != nil {
			return
		}
	}
}

// head returns the next of some numbers, 0 if there is none.
func (f *freshScan) head(numbers []uint64) uint64 {
	switch {
	case len(numbers) == 0:
		return 0
	case f.oldestFirst:
		return numbers[0]
	}
	return numbers[len(numbers)-1]
}

// consider adds a task to the page if the query selects it. header is its
// record in the file, nil if that is still to be read, with a cursor that a scan
// uses for all headers.
func (l *lister) consider(headers *bolt.Cursor, o *overlay, number uint64, header []byte) error {
	if o.deleted(number) {
		return nil
	}
	var t store.Task
	if e := o.live(number); e != nil {
		t = e.task
	} else {
		var err error
		if header == nil {
			t, err = seekTask(headers, number)
		} else {
			t, err = decodeTask(seqKey(number), header)
		}
		switch {
		case errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrIncompatible):
			l.page.Unreadable = append(l.page.Unreadable, store.Unreadable{Number: number, Err: err})
			return nil
		case err != nil:
			return err
		}
	}
	if l.q.Matches(&t) {
		l.page.Tasks = append(l.page.Tasks, t)
	}
	return nil
}

// diskScan iterates over the task numbers in the most selective index.
type diskScan struct {
	c           *bolt.Cursor
	prefix      []byte
	oldestFirst bool
	isTasks     bool   // the index is the tasks bucket itself
	number      uint64 // of the current task, 0 at the end
	header      []byte // its record, if the index has it
}

// index returns the most selective bucket that has all tasks which a list
// selects, and the beginning of their keys there.
func index(q *store.ListQuery) (bucket, []byte) {
	for key, value := range q.Labels.All() {
		return labelsBucket, labelPrefix(key, value)
	}
	switch {
	case q.Name != "" && q.Name != state.Pipeline.Class(): // the default name is not in the index
		return namesBucket, namePrefix(q.Name)
	case q.HasFailures:
		return failuresBucket, nil
	case q.Unfinished:
		return unfinishedBucket, nil
	case q.Business != "":
		return businessBucket, businessPrefix(q.Business)
	}
	return tasksBucket, nil
}

func newDiskScan(tx *bolt.Tx, q *store.ListQuery, last uint64) (*diskScan, error) {
	b, prefix := index(q)
	d := &diskScan{c: b.in(tx).Cursor(), prefix: prefix, oldestFirst: q.OldestFirst, isTasks: b == tasksBucket, number: last}
	if q.OldestFirst {
		return d, d.set(d.c.Seek(indexKey(slices.Clip(prefix), last+1)))
	}
	return d, d.set(before(d.c, indexKey(slices.Clip(prefix), last)))
}

func (d *diskScan) next() error { return d.set(d.step()) }

func (d *diskScan) step() (k, v []byte) {
	if d.oldestFirst {
		return d.c.Next()
	}
	return d.c.Prev()
}

// set sets the next number. It returns an error unless the number is beyond the
// one before, since a caller that continues from a page's cursor could
// otherwise get the same page forever.
func (d *diskScan) set(k, v []byte) error {
	last := d.number
	d.number, d.header = 0, nil
	for k != nil && bytes.HasPrefix(k, d.prefix) && len(k) != len(d.prefix)+8 {
		k, v = d.step() // a malformed key, which Check reports
	}
	if !bytes.HasPrefix(k, d.prefix) || len(k) != len(d.prefix)+8 {
		return nil
	}
	if d.isTasks {
		d.header = v
	}
	if d.number = seqOf(k[len(d.prefix):]); d.number == last || d.number > last != d.oldestFirst {
		return fmt.Errorf("%w: task %d is listed after task %d", store.ErrCorrupt, d.number, last)
	}
	return nil
}
