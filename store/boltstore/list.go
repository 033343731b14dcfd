package boltstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

const (
	// scanStep is how many tasks a list looks at under the lock at a time.
	scanStep = 256
	// scanMax is how many it looks at before it returns a short page.
	scanMax = 64 * scanStep
)

// List implements [store.Store]. Tasks are scanned from the newest number
// down, those of the overlay and those on disk together.
func (s *Store) List(ctx context.Context, q store.ListQuery) (store.ListPage, error) {
	below, err := parseCursor(q.Cursor)
	if err != nil {
		return store.ListPage{}, fmt.Errorf("boltstore: list: %w", err)
	}
	if q.Limit <= 0 {
		q.Limit = store.DefaultLimit
	}
	l := lister{store: s, q: &q, below: below}
	for scanned := 0; scanned < scanMax && l.below > 0 && len(l.page.Tasks) < q.Limit; scanned += scanStep {
		if err := l.step(ctx); err != nil {
			return store.ListPage{}, fmt.Errorf("boltstore: list: %w", err)
		}
	}
	if l.below > 0 {
		l.page.Cursor = cursorPrefix + strconv.FormatUint(l.below, 16)
	}
	return l.page, nil
}

// A cursor says below which task number to go on.
const cursorPrefix = "n"

func parseCursor(cursor string) (uint64, error) {
	if cursor == "" {
		return math.MaxUint64, nil
	}
	below, err := strconv.ParseUint(strings.TrimPrefix(cursor, cursorPrefix), 16, 64)
	if err != nil || below == 0 || !strings.HasPrefix(cursor, cursorPrefix) {
		return 0, fmt.Errorf("%w: cursor %q", state.ErrInvalidArgument, cursor)
	}
	return below, nil
}

type lister struct {
	store *Store
	q     *store.ListQuery
	below uint64 // numbers from here on are done; 0: all are
	page  store.ListPage
}

// step looks at some tasks. The overlay's lock is held while it does, which
// keeps a commit from publishing for as long as that takes and no longer.
func (l *lister) step(ctx context.Context) error {
	s := l.store
	return s.read(ctx, l.scan, func(*bolt.Tx) error { return nil })
}

func (l *lister) scan(tx *bolt.Tx) error {
	o := &l.store.overlay
	disk, err := newDiskScan(tx, l.q, l.below)
	if err != nil {
		return err
	}
	fresh := newFreshScan(o, l.below)
	for range scanStep {
		number := fresh.number
		switch {
		case number > 0 && number >= disk.number:
			fresh.next()
			if number == disk.number {
				err = disk.next() // written back, and not published yet
			}
		case disk.number > 0:
			number = disk.number
			err = disk.next()
		default:
			l.below = 0
			return nil
		}
		if err != nil {
			return err
		}
		l.below = number
		if err := l.consider(tx, o, number); err != nil || len(l.page.Tasks) == l.q.Limit {
			return err
		}
	}
	return nil
}

// freshScan goes down the numbers of the tasks that the overlay saw created and
// that are not deleted.
type freshScan struct {
	overlay *overlay
	rest    [2][]uint64 // the active generation's, the frozen one's
	number  uint64      // of the current task, 0 at the end
}

func newFreshScan(o *overlay, below uint64) *freshScan {
	f := &freshScan{overlay: o}
	for i, g := range o.generations() {
		n, _ := slices.BinarySearch(g.created, below)
		f.rest[i] = g.created[:n]
	}
	f.next()
	return f
}

func (f *freshScan) next() {
	f.number = 0
	for i := range f.rest {
		for n := len(f.rest[i]); n > 0 && f.number == 0; n-- {
			if number := f.rest[i][n-1]; f.overlay.live(number) != nil {
				f.number = number
			}
			f.rest[i] = f.rest[i][:n-1]
		}
		if f.number > 0 {
			return
		}
	}
}

func (l *lister) consider(tx *bolt.Tx, o *overlay, number uint64) error {
	if o.deleted(number) {
		return nil
	}
	var t store.Task
	if e := o.live(number); e != nil {
		t = e.task
	} else {
		var err error
		switch t, err = readTask(tx, number); {
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

// diskScan goes down the task numbers of the most selective index.
type diskScan struct {
	c      *bolt.Cursor
	prefix []byte
	number uint64 // of the current task, 0 at the end
}

func newDiskScan(tx *bolt.Tx, q *store.ListQuery, below uint64) (*diskScan, error) {
	d := &diskScan{number: below}
	from := seqKey(below)
	switch {
	case q.Unfinished:
		d.c = unfinishedBucket.in(tx).Cursor()
	case q.Business != "":
		d.c = businessBucket.in(tx).Cursor()
		d.prefix = appendID(nil, q.Business)
		from = businessKey(q.Business, below)
	default:
		d.c = tasksBucket.in(tx).Cursor()
	}
	k, _ := before(d.c, from)
	return d, d.set(k)
}

func (d *diskScan) next() error {
	k, _ := d.c.Prev()
	return d.set(k)
}

// set takes the next number, which is lower than the one before: otherwise a
// caller who goes on from where a page ended would come to the same page again.
func (d *diskScan) set(k []byte) error {
	last := d.number
	d.number = 0
	for k != nil && bytes.HasPrefix(k, d.prefix) && len(k) != len(d.prefix)+8 {
		k, _ = d.c.Prev() // a key that cannot be, which Check reports
	}
	if bytes.HasPrefix(k, d.prefix) && len(k) == len(d.prefix)+8 {
		d.number = seqOf(k[len(d.prefix):])
	}
	if d.number >= last {
		return fmt.Errorf("%w: task %d is listed after task %d", store.ErrCorrupt, d.number, last)
	}
	return nil
}
