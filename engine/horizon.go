package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pipestatus/pipestatus/store"
)

// horizon is the position up to which an engine knows its store: trees in
// memory are as of this position, or newer. A commit of this engine moves the
// position if no other engine has committed since. Otherwise the position stays
// until it is asked for. Only then does the engine read which trees the other
// engines have changed, and a process that only writes never does.
type horizon struct {
	at atomic.Pointer[store.Position]
	// own is the position after the engine's last transition if that is beyond at,
	// otherwise nil.
	own atomic.Pointer[store.Position]

	mu       sync.Mutex // held to change at and own
	catching sync.Mutex // held while the commits of other engines are read
}

// committed records the position after a commit of this engine. alone says that
// no other engine has committed since the previous commit.
func (h *horizon) committed(alone bool, last store.Position) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.own.Load() == nil && alone {
		h.at.Store(&last)
	} else {
		h.own.Store(&last)
	}
}

// caughtUp moves the position to that of an earlier commit of this engine.
func (h *horizon) caughtUp(to *store.Position) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at.Store(to)
	if h.own.Load() == to { // otherwise the engine has committed again
		h.own.Store(nil)
	}
}

// reached is the position after the newest transitions whose trees are visible.
func (h *horizon) reached() store.Position {
	if own := h.own.Load(); own != nil {
		return *own
	}
	return *h.at.Load()
}

// Position is the last position of the store that the engine knows: the position
// after its own last transition, or the store's position at Open. Later reads show
// what other engines committed before that position: the call looks up which tasks
// they have changed since the last call, for 250 ms at most, and drops their trees
// from memory.
func (e *Engine) Position() store.Position {
	h := &e.horizon
	if h.own.Load() != nil {
		h.catching.Lock()
		if own := h.own.Load(); own != nil {
			e.forgetChanged(*h.at.Load(), *own)
			h.caughtUp(own)
		}
		h.catching.Unlock()
	}
	return *h.at.Load()
}

// forgetChanged drops the trees of the tasks that other engines changed between
// two positions.
func (e *Engine) forgetChanged(after, until store.Position) {
	e.cache.removed() // trees that are being read now may be from before
	lag := after.Lag(until)
	if lag > forgetMost {
		e.cache.clear()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), forgetTime)
	defer cancel()
	for ; lag > 0; lag = after.Lag(until) {
		page, err := e.store.Feed(ctx, after, int(lag))
		if err != nil || len(page.Transitions) == 0 {
			e.cache.clear()
			return
		}
		e.cache.removeOlder(page.Transitions)
		after = page.After()
	}
}

// With more changes than forgetMost, or a store that needs longer than
// forgetTime to list them, loading the needed trees again costs less. Readers
// wait during this.
const (
	forgetMost = 4096
	forgetTime = 250 * time.Millisecond
)
