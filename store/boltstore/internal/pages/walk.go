package pages

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
)

// walk examines the pages of one transaction.
type walk struct {
	file     io.ReaderAt
	pageSize int64
	report   func(problem string)
	limit    uint64 // of page numbers
	seen     Set
	free     *Set // what no tree may lead to; nil if seen has it from the start
	queue    []pageAt
	batch    [walkBatch]fetched
	sound    bool
	branches bool // leave out the leaves of buckets
}

// pageAt is a page with the number of branches that lead from it to leaves,
// and the range of its keys as far as it is known: from low on and before high.
type pageAt struct {
	id        uint64
	height    int
	low, high []byte
}

// walkBatch is how many pages are read before any is examined, and walkReads
// how many reads go on at once. With an empty cache a disk takes little longer
// for eight reads than for one, and branches often stand side by side.
const (
	walkBatch = 256
	walkBytes = 1 << 20 // of a batch, if a page is no larger
	walkReads = 8
)

// fetched is a page of the batch as it was read.
type fetched struct {
	pageAt
	data []byte
	err  error
}

// Walk examines every page that a transaction can come to, whose meta page is m, and
// that all other pages are free. It reports what does not fit, and returns whether
// all does. Writers do not disturb it while the transaction is open for reading:
// bbolt leaves what it sees as it is, its list of free pages too. bbolt's own check
// reads the list that writers change, in memory, and must not run while they do.
func Walk(ctx context.Context, file io.ReaderAt, m *Meta, report func(problem string)) bool {
	free, err := Unused(file, m.PageSize, m)
	if err != nil {
		report(fmt.Sprintf("file: %v", err))
		return false
	}
	w := walk{file: file, pageSize: m.PageSize, report: report, limit: m.Limit, free: free}
	if !w.from(ctx, m.Root) {
		return false
	}
	if m.Freelist != math.MaxUint64 { // else nothing says what is free
		w.account(ctx)
	}
	return true
}

// account reports the pages that nothing leads to and that are not free. Nobody
// reads them, so they are no reason to examine nothing else.
func (w *walk) account(ctx context.Context) {
	lost := uint64(0) // how many up to the present one
	for id := uint64(2); id <= w.limit && ctx.Err() == nil; id++ {
		switch {
		case id < w.limit && !w.seen.Has(id) && !w.free.Has(id):
			lost++
		case lost > 0:
			w.report(fmt.Sprintf("pages %d to %d: nothing leads to any of them, and they are not free", id-lost, id-1))
			lost = 0
		}
	}
}

// from examines the pages from a root on.
func (w *walk) from(ctx context.Context, root uint64) bool {
	w.sound = true
	w.follow(pageAt{id: root, height: maxHeight}, 0) // all of the root bucket: its leaves lead to buckets
	pages := min(walkBatch, max(walkBytes/w.pageSize, 1), int64(w.limit))
	buf := make([]byte, pages*w.pageSize)
	for len(w.queue) > 0 && ctx.Err() == nil {
		batch := w.fetch(buf)
		for i := range batch {
			w.page(&batch[i])
		}
	}
	return w.sound && ctx.Err() == nil
}

// fetch takes the last pages from the queue and reads them into buf, in the
// order in which they are in the file, neighbours with one call.
func (w *walk) fetch(buf []byte) []fetched {
	rest := max(0, len(w.queue)-len(buf)/int(w.pageSize))
	batch := w.batch[:len(w.queue)-rest]
	slices.SortFunc(w.queue[rest:], func(a, b pageAt) int { return cmp.Compare(a.id, b.id) })
	for i, at := range w.queue[rest:] {
		batch[i] = fetched{pageAt: at, data: buf[int64(i)*w.pageSize:][:w.pageSize]}
	}
	w.queue = w.queue[:rest]
	var wg sync.WaitGroup
	for part := range slices.Chunk(batch, (len(batch)+walkReads-1)/walkReads) {
		wg.Go(func() { w.read(part) })
	}
	wg.Wait()
	return batch
}

// read reads pages that are beside each other in memory.
func (w *walk) read(pages []fetched) {
	for len(pages) > 0 {
		n := 1
		for n < len(pages) && pages[n].id == pages[n-1].id+1 {
			n++
		}
		run := pages[0].data[:int64(n)*w.pageSize]
		if _, err := w.file.ReadAt(run, int64(pages[0].id)*w.pageSize); err != nil {
			for i := range pages[:n] { // which of them it is
				_, pages[i].err = w.file.ReadAt(pages[i].data, int64(pages[i].id)*w.pageSize)
			}
		}
		pages = pages[n:]
	}
}

func (w *walk) problem(format string, args ...any) {
	w.sound = false
	w.report(fmt.Sprintf(format, args...))
}

// follow puts a page that another one leads to into the queue.
func (w *walk) follow(to pageAt, from uint64) {
	switch {
	case to.id < 2 || to.id >= w.limit:
		w.problem("page %d: leads to page %d of %d", from, to.id, w.limit)
	case w.branches && to.height <= 0:
		w.claim(to.id)
	case w.branches: // whose keys are read in any case
		w.queue = append(w.queue, pageAt{id: to.id, height: to.height})
	default:
		to.low, to.high = bytes.Clone(to.low), bytes.Clone(to.high)
		w.queue = append(w.queue, to)
	}
}

// height goes down the first of each branch from a page and returns how many
// there are.
func (w *walk) height(id uint64) (height int) {
	var p [HeaderBytes + ElementBytes]byte
	for ; height < maxHeight && id < w.limit; height++ {
		_, err := w.file.ReadAt(p[:], int64(id)*w.pageSize)
		if err != nil || binary.NativeEndian.Uint16(p[8:]) != Branch {
			break
		}
		id = binary.NativeEndian.Uint64(p[HeaderBytes+8:])
	}
	return height
}

// claim takes note of a page in use.
func (w *walk) claim(id uint64) bool {
	if w.seen.Add(id) {
		w.problem("page %d: is in use twice", id)
		return false
	}
	if w.free != nil && w.free.Has(id) {
		w.problem("page %d: is in use, and free", id)
		return false
	}
	return true
}

func (w *walk) page(at *fetched) {
	id := at.id
	if !w.claim(id) {
		return
	}
	if at.err != nil {
		w.problem("page %d: %v", id, at.err)
		return
	}
	overflow := uint64(binary.NativeEndian.Uint32(at.data[12:]))
	if found := binary.NativeEndian.Uint64(at.data); found != id || overflow >= w.limit-id {
		w.problem("page %d: is page %d with %d more, of %d", id, found, overflow, w.limit)
		return
	}
	p, err := readRun(w.file, id, at.data, overflow)
	if err != nil {
		w.problem("page %d: %v", id, err)
		return
	}
	end, ok := w.elements(at.pageAt, &p)
	if !ok {
		return
	}
	if end+uint64(w.pageSize) <= uint64(p.size) {
		w.problem("page %d: has %d more, which it does not need", id, overflow)
		return
	}
	for i := range overflow {
		if !w.claim(id + 1 + i) {
			return
		}
	}
}

// elements examines what is on a page, or on one that is part of it, and returns
// where the last of it ends.
func (w *walk) elements(page pageAt, p *Run) (end uint64, ok bool) {
	id, flags, count := page.id, p.Flags(), p.Count()
	if flags != Branch && flags != Leaf || count > p.Room() || flags == Branch && count == 0 {
		w.problem("page %d: has flags %#x and %d elements in %d bytes", id, flags, count, p.size)
		return 0, false
	}
	end = HeaderBytes
	var before []byte
	var below uint64 // the page that the element before leads to
	for i := range count {
		e := p.Element(i)
		if int(e.Offset) < (count-i)*ElementBytes || e.Behind > min(uint64(p.size), math.MaxInt32) || e.Value-e.Key > maxKey {
			w.problem("page %d: element %d of %d lies outside", id, i, count)
			return 0, false
		}
		key, err := p.Part(e.Key, e.Value)
		if err != nil {
			w.problem("page %d: element %d: %v", id, i, err)
			return 0, false
		}
		if i > 0 && bytes.Compare(before, key) >= 0 || bytes.Compare(key, page.low) < 0 || page.high != nil && bytes.Compare(key, page.high) >= 0 {
			w.problem("page %d: element %d is out of order", id, i)
			return 0, false
		}
		switch {
		case flags == Branch:
			if i > 0 {
				w.follow(pageAt{below, page.height - 1, before, key}, id)
			}
			below = e.Child
		case e.Flags == BucketElement:
			w.bucket(id, p, &e)
		case e.Flags != 0:
			w.problem("page %d: element %d has flags %#x", id, i, e.Flags)
			return 0, false
		}
		before, end = key, max(end, e.Behind)
	}
	if flags == Branch {
		w.follow(pageAt{below, page.height - 1, before, page.high}, id)
	}
	return end, true
}

// bucket examines the value that stands for a bucket. One that lies within is
// never larger than a page.
func (w *walk) bucket(id uint64, p *Run, e *Element) {
	size := e.Behind - e.Value
	if size < BucketBytes || size > uint64(w.pageSize) {
		w.problem("page %d: a bucket of %d bytes", id, size)
		return
	}
	v, err := p.Part(e.Value, e.Behind)
	if err != nil {
		w.problem("page %d: a bucket: %v", id, err)
		return
	}
	if root := binary.NativeEndian.Uint64(v); root != 0 {
		w.follow(pageAt{id: root, height: w.height(root)}, id)
		return
	}
	if v = v[BucketBytes:]; len(v) < HeaderBytes || binary.NativeEndian.Uint16(v[8:]) != Leaf {
		w.problem("page %d: an inline bucket that is no leaf", id)
		return
	}
	within := Inline(v)
	w.elements(pageAt{id: id}, &within)
}
