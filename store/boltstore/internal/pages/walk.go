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
	free     *Set // pages that no tree may lead to; nil if seen has them from the beginning
	queue    []pageAt
	batch    [walkBatch]fetched
	sound    bool
	branches bool // examine no leaves of buckets
}

// pageAt is a page with the number of branches between it and the leaves, and
// the range of its keys as far as it is known: from low to before high.
type pageAt struct {
	id        uint64
	height    int
	low, high []byte
}

// walkBatch is the number of pages that are read before any is examined, and
// walkReads the number of reads at the same time. With an empty cache a disk
// needs little more time for eight reads than for one, and branches are often
// neighbors.
const (
	walkBatch = 256
	walkBytes = 1 << 20 // the most bytes of a batch, unless a page is larger
	walkReads = 8
)

// fetched is a page of the batch as it was read.
type fetched struct {
	pageAt
	data []byte
	err  error
}

// Walk examines every page that the transaction with the meta page m can reach,
// and that all other pages are free. It reports all problems, and returns
// whether there were none. The transaction must be open for reading; then
// writers do not disturb Walk, since bbolt leaves the pages of the transaction
// and its list of free pages unchanged. bbolt's own check, in contrast, reads
// the list in memory, which writers change.
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

// account reports the pages that no page leads to and that are not free. They
// are not used, so the caller may still examine everything else.
func (w *walk) account(ctx context.Context) {
	lost := uint64(0) // number of such pages right before this one
	for id := uint64(2); id <= w.limit && ctx.Err() == nil; id++ {
		switch {
		case id < w.limit && !w.seen.Has(id) && !w.free.Has(id):
			lost++
		case lost > 0:
			w.report(fmt.Sprintf("pages %d to %d: no page leads to them, and they are not free", id-lost, id-1))
			lost = 0
		}
	}
}

// from examines the pages from a root on.
func (w *walk) from(ctx context.Context, root uint64) bool {
	w.sound = true
	w.follow(pageAt{id: root, height: maxHeight}, 0) // with the leaves, which lead to the buckets
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

// fetch removes the last pages from the queue and reads them into buf, in the
// order of the file, neighbors with one call.
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

// read reads pages whose buffers are adjacent.
func (w *walk) read(pages []fetched) {
	for len(pages) > 0 {
		n := 1
		for n < len(pages) && pages[n].id == pages[n-1].id+1 {
			n++
		}
		run := pages[0].data[:int64(n)*w.pageSize]
		if _, err := w.file.ReadAt(run, int64(pages[0].id)*w.pageSize); err != nil {
			for i := range pages[:n] { // one by one, to find the unreadable ones
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

// follow adds a page that another one leads to to the queue.
func (w *walk) follow(to pageAt, from uint64) {
	switch {
	case to.id < 2 || to.id >= w.limit:
		w.problem("page %d: leads to page %d of %d", from, to.id, w.limit)
	case w.branches && to.height <= 0:
		w.claim(to.id)
	case w.branches: // without the range of keys, which needs the keys
		w.queue = append(w.queue, pageAt{id: to.id, height: to.height})
	default:
		to.low, to.high = bytes.Clone(to.low), bytes.Clone(to.high)
		w.queue = append(w.queue, to)
	}
}

// height descends along the first elements of branches and returns the number
// of branches.
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

// claim records that a page is in use, and returns false if it must not be.
func (w *walk) claim(id uint64) bool {
	if w.seen.Add(id) {
		w.problem("page %d: is in use twice", id)
		return false
	}
	if w.free != nil && w.free.Has(id) {
		w.problem("page %d: is in use, and listed as free", id)
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

// elements examines the elements of a page, or of an inline page within it, and
// returns the end of the last one.
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
			w.problem("page %d: element %d of %d is outside of it", id, i, count)
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

// bucket examines the value of an element that is a bucket. An inline bucket is
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
