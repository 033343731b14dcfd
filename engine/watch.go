package engine

import (
	"context"
	"iter"
	"slices"
	"sync"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Watch iterates over every committed transition after a position, in order,
// without gap or duplicate: first the existing ones, then each as it is committed.
// The zero position begins with the first transition of the store. [Engine.Load]
// shows every transition that has been yielded. A consumer that keeps the position
// of the last event can continue there later, even in another process.
//
// Watch reads the store at the consumer's pace. A slow consumer delays nobody and
// misses nothing, unless the store trims transitions before it has read them: then
// the iterator yields [store.ErrTrimmed]. It yields [store.ErrHistory] if the store
// never had the position, for example because a backup was restored. In both cases
// load a snapshot and watch from its position. The iterator ends with the context's
// error or, after the last commit, with [store.ErrClosed]; it ends after yielding
// any error. If a part of the store cannot be reached, it yields the transitions of the
// other parts and then an error that matches [store.ErrUnavailable]: watch again after
// the last event. Watch sees commits of a second engine on the same store with this
// engine's next commit, or soon if the store is a [store.Notifier].
func (e *Engine) Watch(ctx context.Context, after store.Position) iter.Seq2[store.Event, error] {
	notifier, shared := e.store.(store.Notifier)
	return func(yield func(store.Event, error) bool) {
		for {
			// Listening begins before reading, so that no commit can fall
			// between the two.
			rung := e.feed.listen()
			var changed <-chan struct{} // closed after commits of other engines
			if shared {
				changed = notifier.Changed()
			}
			drained := e.drained()
			page, err := e.store.Feed(ctx, after, 0)
			if err != nil {
				yield(store.Event{}, err)
				return
			}
			e.awaitTrees(page.Transitions)
			if shared {
				e.cache.removeOlder(page.Transitions)
			}
			for event := range page.Events() {
				if err := ctx.Err(); err != nil {
					yield(store.Event{}, err)
					return
				}
				if !yield(event, nil) {
					return
				}
			}
			after = page.After()
			switch {
			case len(page.Transitions) > 0:
			case drained:
				yield(store.Event{}, store.ErrClosed)
				return
			default:
				select {
				case <-rung:
				case <-changed:
				case <-ctx.Done():
					yield(store.Event{}, ctx.Err())
					return
				}
			}
		}
	}
}

// awaitTrees waits until the trees of the transitions are visible: the store
// shows a commit to readers slightly earlier than the engine does.
func (e *Engine) awaitTrees(trs []*state.Transition) {
	known := e.horizon.reached()
	if slices.ContainsFunc(trs, func(tr *state.Transition) bool { return !known.Has(tr.Sequence) }) {
		e.committing.Lock()
		defer e.committing.Unlock()
	}
}

// bell wakes all listeners. The zero bell is ready for use.
type bell struct {
	mu sync.Mutex
	ch chan struct{} // nil if nobody listens
}

// listen returns a channel that is closed by the next ring.
func (b *bell) listen() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}
