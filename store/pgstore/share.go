package pgstore

import (
	"context"
	"errors"
	"sync"
)

// shared lets calls that ask for the same at the same time share an answer, so
// that a hundred watchers who wake up together cost the server what one does. A
// call never gets an answer that was begun before it, since it has to see what was
// committed by then: calls that come while an answer is on its way share the
// next one. The zero shared is ready.
type shared[K comparable, V any] struct {
	mu      sync.Mutex // protects current and what is in it
	current map[K]*answer[V]
}

// answer is one that is on its way or, as the next of such a one, will be.
type answer[V any] struct {
	done  chan struct{} // closed when the fields below are set
	value V
	err   error
	// mu of what they are shared in protects these.
	led  bool       // somebody gets it
	next *answer[V] // of those who came since this one was begun; nil: nobody
}

// do returns what f returns, to this call or to another one with the same key
// for which f was begun later. If the other's context ended, it does it itself.
func (s *shared[K, V]) do(ctx context.Context, key K, f func(ctx context.Context) (V, error)) (value V, err error) {
	s.mu.Lock()
	before := s.current[key]
	if before == nil {
		return s.lead(ctx, key, &answer[V]{done: make(chan struct{})}, f)
	}
	if before.next == nil {
		before.next = &answer[V]{done: make(chan struct{})}
	}
	mine := before.next
	s.mu.Unlock()
	select {
	case <-before.done:
	case <-ctx.Done():
		return value, ctx.Err()
	}
	s.mu.Lock()
	switch now := s.current[key]; {
	case mine.led: // by another who waited for the same
	case now != nil: // somebody came after all of those who waited
		mine = now
	default:
		return s.lead(ctx, key, mine, f)
	}
	s.mu.Unlock()
	select {
	case <-mine.done:
	case <-ctx.Done():
		return value, ctx.Err()
	}
	if ctx.Err() == nil && (errors.Is(mine.err, context.Canceled) || errors.Is(mine.err, context.DeadlineExceeded)) {
		return f(ctx)
	}
	return mine.value, mine.err
}

// lead makes an answer the current one and gets it. The caller has locked mu.
func (s *shared[K, V]) lead(ctx context.Context, key K, mine *answer[V], f func(ctx context.Context) (V, error)) (V, error) {
	if s.current == nil {
		s.current = make(map[K]*answer[V])
	}
	s.current[key], mine.led = mine, true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.current, key)
		close(mine.done)
	}()
	mine.value, mine.err = f(ctx)
	return mine.value, mine.err
}
