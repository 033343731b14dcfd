package pgstore

import (
	"context"
	"errors"
	"sync"
)

// shared makes simultaneous calls with the same arguments share an answer, so
// that a hundred watchers that wake up together cost the server as much as one.
// A call never gets an answer that began before it, since it must see
// everything committed by then: calls during an answer share the next one. The
// zero shared is ready for use.
type shared[K comparable, V any] struct {
	mu      sync.Mutex // protects current and its answers
	current map[K]*answer[V]
}

// answer is a running answer, or the next one after it.
type answer[V any] struct {
	done  chan struct{} // closed when the fields below are set
	value V
	err   error
	// The shared's mu protects the rest.
	led  bool       // a call is getting it
	next *answer[V] // for the calls since this one began, nil if there are none
}

// do returns the result of f, which may be called for this call or for a later
// one with the same key. If that call's context ends, this call runs f itself.
func (s *shared[K, V]) do(ctx context.Context, key K, f func(ctx context.Context) (V, error)) (value V, err error) {
	s.mu.Lock()
	before := s.current[key]
	if before == nil {
		return s.answerAndUnlock(ctx, key, &answer[V]{done: make(chan struct{})}, f)
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
	case mine.led: // by another call that waited for the same answer
	case now != nil: // a later call has begun another answer
		mine = now
	default:
		return s.answerAndUnlock(ctx, key, mine, f)
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

// answerAndUnlock makes an answer the current one, releases mu, which the caller
// holds, and gets the answer.
func (s *shared[K, V]) answerAndUnlock(ctx context.Context, key K, mine *answer[V], f func(ctx context.Context) (V, error)) (V, error) {
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
