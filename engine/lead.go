package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/pipestatus/pipestatus/store"
)

// ErrQueueFull says that [Options.MaxQueued] operations are queued already.
var ErrQueueFull = errors.New("queue full")

// enqueue queues a request and reports whether the caller must lead. If there is
// no room it returns [ErrQueueFull] and what is closed when there may be some.
func (e *Engine) enqueue(p *Pending) (lead bool, room <-chan struct{}, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed.Load() {
		return false, nil, store.ErrClosed
	}
	if n := p.size; n > 0 && e.queued > 0 && e.queued+n > e.opts.MaxQueued {
		if e.room == nil {
			e.room = make(chan struct{})
		}
		return false, e.room, fmt.Errorf("engine: %w: %d operations wait", ErrQueueFull, e.queued)
	}
	e.queue = append(e.queue, p)
	e.queued += p.size
	lead = !e.leading
	e.leading = true
	return lead, nil, nil
}

// await is enqueue for a caller who waits for room as long as ctx allows.
func (e *Engine) await(ctx context.Context, p *Pending) (lead bool, err error) {
	for {
		lead, room, err := e.enqueue(p)
		if room == nil {
			return lead, err
		}
		select {
		case <-room:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// makeRoom wakes those who wait for room in the queue. It is called with mu held.
func (e *Engine) makeRoom() {
	if e.room != nil {
		close(e.room)
		e.room = nil
	}
}

// lead commits what is queued, for a caller: its own request and whatever else
// is there. What comes meanwhile it leaves to a goroutine.
func (e *Engine) lead() {
	e.gather().finish()
	e.mu.Lock()
	more := len(e.queue) > 0
	if !more {
		e.stopLeading()
	}
	e.mu.Unlock()
	if more {
		go e.leadOn()
	}
}

// leadOn commits what is queued until the queue is empty.
func (e *Engine) leadOn() {
	for g := e.gather(); g != nil; g = e.gather() {
		g.finish()
	}
}

// crowd is what whoever leads expects of the next group: how many requests it
// has, and how long its commit takes. Both shrink by a quarter at a time. When
// they were those of the last commit alone, a moment in which others had the
// processors, as a write-back of the store's, made a small commit, and a small
// commit was quick and made the next one small: 256 writers then had one or two
// requests in most commits until that was over.
type crowd struct {
	requests int
	took     time.Duration
}

// committed takes in the last commit: how many requests there will be when
// everybody has come back with the next one, and how long it took.
func (c *crowd) committed(requests int, took time.Duration) {
	c.requests = max(requests, c.requests-(c.requests+3)/4)
	c.took = max(took, c.took-c.took/4)
}

// gather makes a group of what is queued, nil if that is nothing; then leading
// ends. It applies requests as they come and gives those just answered the
// chance to come back with their next one: otherwise half of the writers miss
// every commit because they return while it syncs. It yields the processor for
// as long as that brings requests, at most for as long as a commit takes, so it
// costs little more time than there is other work to do.
func (e *Engine) gather() (g *group) {
	goal, took := e.crowd.requests, e.crowd.took
	begin := time.Now()
	last := begin // when something came
	for idle := 0; ; {
		now := time.Now()
		late := now.Sub(begin) > took
		enough := late || idle >= gatherPatience || now.Sub(last) > gatherTime
		batch := e.take(g == nil && enough)
		switch {
		case len(batch) > 0:
			if g == nil {
				g = e.newGroup(max(len(batch), min(goal, groupKept)))
			}
			if rest := g.addAll(batch); len(rest) > 0 {
				e.putBack(rest)
				return g
			}
			if clear(batch); cap(batch) <= groupKept {
				e.empty = batch[:0]
			}
			if g.requests >= goal || late {
				return g
			}
			idle, last = 0, time.Now() // applying them took a while
		case enough:
			return g
		default:
			idle++
			runtime.Gosched()
		}
	}
}

// gatherPatience is how often in a row yielding may bring nothing, which takes
// some 10 microseconds where nobody else computes, and gatherTime how long, for
// where somebody does: the last of the writers may be running on another
// processor. With 3, 256 writers measured commits of 175. In a synctest bubble
// only the first one counts, since its clock stands still.
const (
	gatherPatience = 100
	gatherTime     = 100 * time.Microsecond
)

// take empties the queue. If it is empty already and stop is set, leading ends.
func (e *Engine) take(stop bool) []*Pending {
	e.mu.Lock()
	defer e.mu.Unlock()
	batch := e.queue
	if len(batch) > 0 {
		e.queue, e.queued, e.empty = e.empty, 0, nil
	}
	e.makeRoom()
	if len(batch) == 0 && stop {
		e.stopLeading()
	}
	return batch
}

// putBack queues requests again, before those that came after them.
func (e *Engine) putBack(batch []*Pending) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queue = append(slices.Clip(batch), e.queue...)
	for _, p := range batch {
		e.queued += p.size
	}
}

// waiting is how many requests are queued.
func (e *Engine) waiting() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.queue)
}

// stopLeading is called with mu held.
func (e *Engine) stopLeading() {
	e.leading = false
	e.idle.Broadcast()
}
