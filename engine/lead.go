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

// enqueue queues a request and reports whether the caller becomes the leader.
// If there is no room it returns [ErrQueueFull], and in room a channel that is
// closed when there may be room.
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

// await is enqueue for a caller that waits for room as long as ctx allows.
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

// makeRoomLocked wakes the callers that wait for room in the queue. The caller
// holds mu.
func (e *Engine) makeRoomLocked() {
	if e.room != nil {
		close(e.room)
		e.room = nil
	}
}

// lead commits one group for a caller: its own request and all others in the
// queue. A goroutine continues with requests that arrive during the commit.
func (e *Engine) lead() {
	e.gather().settle()
	e.mu.Lock()
	more := len(e.queue) > 0
	if !more {
		e.stopLeadingLocked()
	}
	e.mu.Unlock()
	if more {
		go e.leadOn()
	}
}

// leadOn commits groups until the queue is empty.
func (e *Engine) leadOn() {
	for g := e.gather(); g != nil; g = e.gather() {
		g.settle()
	}
}

// forecast is the leader's expectation of the next group: its number of
// requests and the time of its commit. Each expectation falls by at most a
// quarter at a time. When it was that of the last commit alone, a short load of
// the processors, as by a store's write-back, caused a small commit, and a
// small commit was fast and made the next one small: 256 writers then had one
// or two requests in most commits until the load ended.
type forecast struct {
	requests int
	took     time.Duration
}

// committed updates the forecast after a commit. requests is the number of
// requests if every writer sends its next one.
func (f *forecast) committed(requests int, took time.Duration) {
	f.requests = max(requests, f.requests-(f.requests+3)/4)
	f.took = max(took, f.took-f.took/4)
}

// gather makes a group of the queued requests. If there are none, it returns
// nil, and the caller is no longer the leader. It applies requests as they
// arrive, and gives writers that were just answered the chance to send their
// next request: otherwise half of the writers miss every commit because they
// return during its sync. It yields the processor as long as that brings
// requests, at most for the time of a commit, so it costs little time beyond
// the other work that it lets run.
func (e *Engine) gather() (g *group) {
	goal, took := e.forecast.requests, e.forecast.took
	begin := time.Now()
	last := begin // when the last request arrived
	for idle := 0; ; {
		now := time.Now()
		late := now.Sub(begin) > took
		enough := late || idle >= gatherPatience || now.Sub(last) > gatherTime
		batch := e.takeQueue(g == nil && enough)
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
			idle, last = 0, time.Now() // now, since applying them took time
		case enough:
			return g
		default:
			idle++
			runtime.Gosched()
		}
	}
}

// gatherPatience is the number of yields in a row without a request after which
// gather stops; they take some 10 microseconds on an idle processor. gatherTime
// is the same limit as a time, for a busy processor: the last of the writers
// may be running on another one. With a gatherPatience of 3, 256 writers
// measured commits of 175. In a synctest bubble only gatherPatience has an
// effect, since its clock stands still.
const (
	gatherPatience = 100
	gatherTime     = 100 * time.Microsecond
)

// takeQueue empties the queue and returns its requests. If it was empty and
// stop is true, the caller is no longer the leader.
func (e *Engine) takeQueue(stop bool) []*Pending {
	e.mu.Lock()
	defer e.mu.Unlock()
	batch := e.queue
	if len(batch) > 0 {
		e.queue, e.queued, e.empty = e.empty, 0, nil
	}
	e.makeRoomLocked()
	if len(batch) == 0 && stop {
		e.stopLeadingLocked()
	}
	return batch
}

// putBack queues requests again, before those that arrived after them.
func (e *Engine) putBack(batch []*Pending) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queue = append(slices.Clip(batch), e.queue...)
	for _, p := range batch {
		e.queued += p.size
	}
}

// queueLength is the number of queued requests.
func (e *Engine) queueLength() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.queue)
}

// stopLeadingLocked ends the caller's time as the leader. The caller holds mu.
func (e *Engine) stopLeadingLocked() {
	e.leading = false
	e.idle.Broadcast()
}
