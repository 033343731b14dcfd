package pgstore

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// asked makes n calls ask for the same, each while the ones before it wait.
func asked(n int, call func(i int)) (wait func()) {
	var calls sync.WaitGroup
	for i := range n {
		calls.Go(func() { call(i) })
		synctest.Wait()
	}
	return calls.Wait
}

func TestCallsDuringAnAnswerShareTheNextOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s shared[string, int64]
		var begun atomic.Int64
		gate := make(chan struct{})
		got := make([]int64, 100)
		wait := asked(len(got), func(i int) {
			v, err := s.do(t.Context(), "key", func(context.Context) (int64, error) {
				n := begun.Add(1)
				<-gate
				return n, nil
			})
			if err != nil {
				t.Error(err)
			}
			got[i] = v
		})
		if n := begun.Load(); n != 1 {
			t.Errorf("%d answers begun while the first is on its way, want 1", n)
		}
		gate <- struct{}{}
		synctest.Wait()
		close(gate)
		wait()
		if begun.Load() != 2 || got[0] != 1 {
			t.Errorf("%d answers, the first call got number %d", begun.Load(), got[0])
		}
		for i, v := range got[1:] {
			if v != 2 {
				t.Errorf("call %d got answer %d, which was begun before it", i+1, v)
			}
		}
		if len(s.current) > 0 {
			t.Errorf("%d answers are kept", len(s.current))
		}
	})
}

func TestACanceledCallDoesNotCancelTheAnswersOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s shared[string, int]
		gate := make(chan struct{})
		contexts, cancels := make([]context.Context, 4), make([]context.CancelFunc, 4)
		for i := range contexts {
			contexts[i], cancels[i] = context.WithCancel(t.Context())
		}
		errs := make([]error, len(contexts))
		wait := asked(len(contexts), func(i int) {
			_, errs[i] = s.do(contexts[i], "key", func(ctx context.Context) (int, error) {
				select {
				case <-gate:
					return 1, nil
				case <-ctx.Done():
					return 0, ctx.Err()
				}
			})
		})
		for _, cancel := range cancels[:3] { // the running one, and two that wait
			cancel()
			synctest.Wait()
		}
		close(gate)
		wait()
		cancels[3]()
		for i, err := range errs {
			if given := i < 3; given != errors.Is(err, context.Canceled) || !given && err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		}
	})
}

// Calls of many goroutines all see the changes that were made before them.
func TestNoCallGetsAnAnswerOlderThanItself(t *testing.T) {
	var s shared[int, int64]
	var now atomic.Int64
	var calls sync.WaitGroup
	for w := range 16 {
		calls.Go(func() {
			for range 2_000 {
				least := now.Add(1)
				v, err := s.do(t.Context(), w%2, func(context.Context) (int64, error) { return now.Load(), nil })
				if err != nil || v < least {
					t.Errorf("got %d, %v, want at least %d", v, err, least)
					return
				}
			}
		})
	}
	calls.Wait()
}
