package pgstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/store"
)

// source is a feed that grows, and that counts how often it is read.
type source struct {
	*engine.Engine
	store store.Store
	reads atomic.Int64
}

func newSource(t *testing.T) *source {
	s := &source{store: store.NewMemory()}
	var err error
	if s.Engine, err = engine.Open(t.Context(), s.store, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func (s *source) grow(t *testing.T, transitions int) {
	for range transitions {
		if _, err := s.Create(t.Context(), "2", fmt.Sprint(rand.Int64())); err != nil {
			t.Error(err)
		}
	}
}

func (s *source) read(ctx context.Context, q feedQuery) (store.FeedPage, error) {
	s.reads.Add(1)
	return s.store.Feed(ctx, q.after, q.limit)
}

func (s *source) last(t *testing.T) store.Position {
	last, err := store.Last(t.Context(), s.store)
	if err != nil {
		t.Fatal(err)
	}
	return last
}

// follow is Feed on a source.
func (s *source) follow(ctx context.Context, r *recent, q feedQuery) (store.FeedPage, error) {
	page, ok, err := r.feed(ctx, q, s.read)
	if !ok && err == nil {
		if page, err = s.read(ctx, q); err == nil {
			r.add(&page)
		}
	}
	return page, err
}

func TestPagesNearTheEndOfTheFeedAreThoseOfTheDatabase(t *testing.T) {
	s := newSource(t)
	var r recent
	s.grow(t, 1)
	for range 1_000 {
		s.grow(t, rand.IntN(4))
		last := s.last(t)
		q := feedQuery{last.At(last.Sequence - min(last.Sequence, rand.Uint64N(1+rand.Uint64N(3*recentMax)))), 1 + rand.IntN(recentMax)}
		got, err := s.follow(t.Context(), &r, q)
		if err != nil {
			t.Fatal(err)
		}
		want, err := s.store.Feed(t.Context(), q.after, q.limit)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Transitions) == 0 && len(want.Transitions) == 0 {
			got.Transitions = want.Transitions
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("after %s: %d transitions, first %d, last %s, want %d, %d, %s",
				q.after, len(got.Transitions), got.First, got.Last, len(want.Transitions), want.First, want.Last)
		}
	}
}

// A database that is replaced by another one, or by a copy of before, must not be
// hidden by what was read from it.
func TestAnotherFeedIsNoticedNearTheEnd(t *testing.T) {
	s, other := newSource(t), newSource(t)
	s.grow(t, 10)
	other.grow(t, 20)
	var r recent
	last := s.last(t)
	for _, back := range []uint64{5, 0, 5} {
		if _, err := s.follow(t.Context(), &r, feedQuery{last.At(last.Sequence - back), 10}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if _, err := other.follow(t.Context(), &r, feedQuery{last, 10}); !errors.Is(err, store.ErrHistory) {
			t.Errorf("%v, want %v", err, store.ErrHistory)
		}
	}
	if page, err := other.follow(t.Context(), &r, feedQuery{store.Position{}, 10}); err != nil || len(page.Transitions) != 10 {
		t.Errorf("%d transitions of the other feed, %v, want 10", len(page.Transitions), err)
	}
}

func TestReadsOfTheFeedAreBoundedWhateverTheNumberOfWatchers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(t)
		s.grow(t, 1)
		var r recent
		begin := s.last(t)
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range 500 {
			all.Go(func() {
				for after := begin; ctx.Err() == nil; {
					page, err := s.follow(ctx, &r, feedQuery{after, recentMax})
					if err != nil {
						if ctx.Err() == nil {
							t.Error(err)
						}
						return
					}
					for _, tr := range page.Transitions {
						if tr.Sequence != after.Sequence+1 {
							t.Errorf("transition %d follows %d", tr.Sequence, after.Sequence)
						}
						after = page.Last.At(tr.Sequence)
						time.Sleep(rand.N(4 * time.Millisecond)) // the consumer
					}
					if len(page.Transitions) == 0 {
						time.Sleep(time.Millisecond)
					}
				}
			})
		}
		const span = 2 * time.Second
		for begun := time.Now(); time.Since(begun) < span; time.Sleep(2 * time.Millisecond) {
			s.grow(t, 1)
		}
		stop()
		all.Wait()
		s.Close()
		// At first, the 500 know nothing in common.
		if n, most := s.reads.Load(), 500+(recentCalls+2)*int64(span/recentWindow); n > most {
			t.Errorf("%d reads, want at most %d", n, most)
		}
	})
}
