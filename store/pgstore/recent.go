package pgstore

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/feed"
)

// recent holds the latest transitions that a handle has read from the feed. Watchers
// that are at different places among them all need what is newer, so they share the
// reads of that. Without it, hundreds of watchers that take their time over each
// transition would each read pages of a few transitions. The zero recent is ready
// for use.
type recent struct {
	reads shared[struct{}, store.FeedPage] // of what follows last

	mu          sync.Mutex // protects everything below
	last        store.Position
	transitions []*state.Transition // all up to last, at most 2 * recentMax
	window      time.Time           // since when calls are counted
	calls       int
}

const (
	recentMax = store.DefaultLimit
	// After recentCalls calls in a recentWindow, the others in it share a read at its
	// end. So there are never more than about 1,000 reads a second, and about 200 if
	// the calls are many.
	recentCalls  = 8
	recentWindow = 10 * time.Millisecond
)

// firstLocked is the sequence before the oldest of the transitions. The caller
// holds mu.
func (r *recent) firstLocked() uint64 { return r.last.Sequence - uint64(len(r.transitions)) }

// hasLocked reports whether a position is among the transitions. The caller
// holds mu.
func (r *recent) hasLocked(at store.Position) bool {
	return r.last != (store.Position{}) && at == r.last.At(at.Sequence) && at.Sequence >= r.firstLocked() && at.Sequence <= r.last.Sequence
}

// near begins a call and reports whether its page can come from here.
func (r *recent) near(after store.Position) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.hasLocked(after) {
		return false
	}
	if now := time.Now(); now.Sub(r.window) >= recentWindow {
		r.window, r.calls = now, 0
	}
	r.calls++
	return true
}

// pause returns how long to wait until the next read.
func (r *recent) pause() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.calls <= recentCalls {
		return 0
	}
	return recentWindow - time.Since(r.window)
}

// end returns the position of the latest transition.
func (r *recent) end() store.Position {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// add adds a page that was read, unless it ends before the latest transition.
func (r *recent) add(page *store.FeedPage) {
	last, trs := page.After(), page.Transitions
	first := last.At(last.Sequence - uint64(len(trs)))
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.hasLocked(first) && r.hasLocked(last):
		return
	case r.hasLocked(first):
		r.transitions = append(r.transitions, trs[r.last.Sequence-first.Sequence:]...)
	case last.History != r.last.History || last.Sequence >= r.last.Sequence:
		r.transitions = slices.Clone(trs)
	default:
		return
	}
	r.last = last
	if n := len(r.transitions) - recentMax; n > recentMax {
		r.transitions = slices.Delete(r.transitions, 0, n)
	}
}

// forget makes it empty.
func (r *recent) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last, r.transitions = store.Position{}, nil
}

// page returns the transitions after a position, as of a page of the feed that was
// read since. It returns false if they are not all here.
func (r *recent) page(q feedQuery, newest *store.FeedPage) (page store.FeedPage, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	from, first, to := q.after.Sequence, r.firstLocked(), min(r.last.Sequence, newest.Last.Sequence)
	switch {
	case !r.hasLocked(q.after) || newest.Last.History != r.last.History || from+1 < newest.First || from > to:
		return page, false
	case to < newest.Last.Sequence && to-from < uint64(q.limit):
		return page, false
	}
	page = *newest
	page.Transitions = slices.Clone(r.transitions[from-first : min(from+uint64(q.limit), to)-first])
	return page, true
}

// feed returns a page of the feed after a position near its end, with the help of a
// function that reads pages. It returns false if that page has to be read by itself.
func (r *recent) feed(
	ctx context.Context, q feedQuery, read func(context.Context, feedQuery) (store.FeedPage, error),
) (page store.FeedPage, ok bool, err error) {
	if !r.near(q.after) {
		return page, false, nil
	}
	newest, err := r.reads.do(ctx, struct{}{}, func(ctx context.Context) (page store.FeedPage, err error) {
		if err := feed.Sleep(ctx, r.pause()); err != nil {
			return page, err
		}
		if page, err = read(ctx, feedQuery{r.end(), recentMax}); err == nil {
			r.add(&page)
		}
		return page, err
	})
	switch {
	case errors.Is(err, store.ErrHistory) || errors.Is(err, store.ErrTrimmed): // it is about another position
		r.forget()
		return page, false, nil
	case err != nil:
		return page, false, err
	}
	page, ok = r.page(q, &newest)
	return page, ok, nil
}
