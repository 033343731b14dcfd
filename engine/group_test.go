package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/storetest"
)

// held is an engine on a memory store whose next commit waits, so that requests
// submitted during it become one group. release continues it and sets the
// answers of the group's commit.
type held struct {
	*fixture
	store  *storetest.Wrapper
	enter  chan struct{}
	answer chan error
}

// hold makes the task "10" with a running activity "a", and holds a commit.
func hold(t *testing.T) *held {
	h := &held{store: &storetest.Wrapper{Store: store.NewMemory()}, enter: make(chan struct{}), answer: make(chan error)}
	h.fixture = onStore(t, h.store, engine.Options{})
	h.task("10", "root")
	h.activity("root", "a", engine.Start)
	h.task("0", "door")
	var first atomic.Bool
	h.store.BeforeCommit = func(context.Context, []store.Write) error {
		if first.CompareAndSwap(false, true) {
			close(h.enter)
			return <-h.answer
		}
		return <-h.answer
	}
	h.Submit(engine.Suspend("door"))
	<-h.enter
	return h
}

// release lets the held commit succeed and the group's have these answers;
// later ones succeed.
func (h *held) release(answers ...error) {
	h.answer <- nil
	for _, err := range answers {
		h.answer <- err
	}
	close(h.answer)
}

func TestRequestsOfOneGroupAreAppliedInOrder(t *testing.T) {
	h := hold(t)
	var pending []*engine.Pending
	for _, op := range []engine.Op{
		engine.Finish("a"), engine.Loop("a"), engine.Loop("a"), fails("a"), engine.Finish("a"), engine.Skip("a"),
	} {
		pending = append(pending, h.Submit(op))
	}
	h.release()
	want := []uint64{8, 9, 0, 10, 0, 11}
	for i, p := range pending {
		results, err := p.Wait(h.ctx)
		if want[i] == 0 {
			h.expectRefusal(err, state.ErrInvalidTransition)
			continue
		}
		if err != nil || results[0].Sequence != want[i] {
			t.Errorf("request %d: %+v, %v; want sequence %d", i, results, err, want[i])
		}
	}
	if n := h.node("a"); n.Loop != 2 || !n.Skipped || n.Retry() != 1 {
		t.Errorf("node a is %+v", n)
	}
}

// Answers that depend on uncommitted changes of the group get the commit's
// error; others get their own.
func TestAnswersThatDependOnAFailedCommitShareItsError(t *testing.T) {
	h := hold(t)
	before := h.Submit(engine.Resume("a"))                      // refused whatever comes
	changed := h.Submit(engine.Finish("a"))                     // fails
	resting := h.Submit(engine.Suspend("a"))                    // refused because of that
	repeat := h.Submit(engine.Finish("a", engine.Idempotent())) // done because of that
	other := h.Submit(engine.Retry("door"))                     // refused, another task
	h.expectUnchangedBut(func() { h.release(store.ErrFull) })
	for what, p := range map[string]*engine.Pending{"changed": changed, "resting": resting, "repeat": repeat} {
		if _, err := p.Wait(h.ctx); !errors.Is(err, store.ErrFull) {
			t.Errorf("%s: %v, want %v", what, err, store.ErrFull)
		}
	}
	for _, p := range []*engine.Pending{before, other} {
		_, err := p.Wait(h.ctx)
		h.expectRefusal(err, state.ErrInvalidTransition)
	}
	h.expectStates(map[string]state.State{"a": state.Running})
	if _, err := h.Finish(h.ctx, "a"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// expectUnchangedBut expects that do changes only the task of the held commit.
func (h *held) expectUnchangedBut(do func()) {
	before := h.node("a")
	do()
	if after := h.node("a"); after != before {
		h.Errorf("node a is %+v, was %+v", after, before)
	}
}

// A commit is invisible until it has returned.
func TestNothingIsVisibleBeforeItsCommitReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hold(t)
		p := h.Submit(engine.Finish("a"), engine.Declare("root", state.EndEvent, engine.ID("end")))
		h.answer <- nil // the door; the group waits now
		synctest.Wait()
		var watched []uint64
		go func() {
			for tr, err := range h.Watch(h.ctx, h.Position()) {
				if err == nil {
					watched = append(watched, tr.Sequence)
				}
			}
		}()
		synctest.Wait()
		h.expectStates(map[string]state.State{"a": state.Running})
		if _, err := h.Locate(h.ctx, store.ByNode("end")); !errors.Is(err, state.ErrNotFound) {
			t.Errorf("locate: %v", err)
		}
		if len(watched) > 0 || h.Position().Sequence != 7 {
			t.Errorf("watched %v, sequence %d", watched, h.Position().Sequence)
		}
		select {
		case <-p.Done():
			t.Error("answered")
		default:
		}
		close(h.answer)
		synctest.Wait()
		if len(watched) != 2 || h.Position().Sequence != 9 {
			t.Errorf("afterwards watched %v, sequence %d", watched, h.Position().Sequence)
		}
	})
}

// Canceling stops the wait and undoes nothing; the engine continues with the
// request, and does not reuse its memory.
func TestCanceledWaitLeavesTheRequestQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hold(t)
		ctx, cancel := context.WithCancel(h.ctx)
		errs := make(chan error, 2)
		go func() {
			_, err := h.Finish(ctx, "a")
			errs <- err
		}()
		go func() {
			_, err := h.Record(ctx, engine.Declare("root", state.EndEvent, engine.ID("end")))
			errs <- err
		}()
		synctest.Wait()
		cancel()
		for range 2 {
			if err := <-errs; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		}
		// Other requests during this get their own answers.
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				node := fmt.Sprint("node ", i)
				if r, err := h.Declare(h.ctx, "root", state.EndEvent, engine.ID(node)); err != nil || r.Node != node {
					t.Errorf("got %+v, %v", r, err)
				}
			})
		}
		synctest.Wait()
		h.release()
		wg.Wait()
		h.expectStates(map[string]state.State{"a": state.Finished, "end": state.Created})
	})
}

// Runners are tested in synctest bubbles, many in one process.
func TestEnginesOfDifferentBubblesShareNothing(t *testing.T) {
	for range 10 {
		synctest.Test(t, func(t *testing.T) {
			f := onMemory(t, engine.Options{})
			for i := range 10 {
				if _, err := f.Create(f.ctx, "2", fmt.Sprint(i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestConflictsAreTriedEightTimes(t *testing.T) {
	for _, conflicts := range []int{1, 7, 8} {
		s := &storetest.Wrapper{Store: store.NewMemory()}
		f := onStore(t, s, engine.Options{})
		f.task("10", "root")
		f.task("11", "bystander")
		tries := 0
		s.Refuse = func(c *store.Write) error {
			if c.Key().Task != "10" {
				return nil
			}
			if tries++; tries > conflicts {
				return nil
			}
			return store.ErrConflict
		}
		_, err := f.Suspend(f.ctx, "root")
		if conflicts < 8 && (err != nil || tries != conflicts+1) {
			t.Errorf("%d conflicts: %v after %d tries", conflicts, err, tries)
		}
		if conflicts == 8 {
			if !errors.Is(err, store.ErrConflict) || tries != 8 {
				t.Errorf("8 conflicts: %v after %d tries", err, tries)
			}
			f.expectStates(map[string]state.State{"root": state.Running})
		}
		if _, err := f.Suspend(f.ctx, "bystander"); err != nil {
			t.Error(err)
		}
	}
}

// A conflict only makes the requests of its task be tried again.
func TestConflictLeavesOtherTasksOfTheGroupAlone(t *testing.T) {
	h := hold(t)
	commits := map[string]int{}
	h.store.Refuse = func(c *store.Write) error {
		if commits[c.Key().Task]++; c.Key().Task == "10" && commits["10"] == 1 {
			return store.ErrConflict
		}
		return nil
	}
	first, second := h.Submit(engine.Finish("a")), h.Submit(engine.Create("2", "12", engine.ID("new")))
	third := h.Submit(engine.Loop("a"))
	h.release()
	for _, p := range []*engine.Pending{first, second, third} {
		if _, err := p.Wait(h.ctx); err != nil {
			t.Error(err)
		}
	}
	if commits["10"] != 2 || commits["12"] != 1 {
		t.Errorf("commits by task: %v", commits)
	}
}

// Every caller gets an answer from a store that fails, is full, or cannot read.
// Uncommitted changes stay invisible, and the engine continues as far as the
// store does.
func TestStoreErrorsAreAnswersAndLeaveNoTrace(t *testing.T) {
	broken := errors.New("broken")
	for name, tc := range map[string]struct {
		fail func(s *storetest.Wrapper, fails *atomic.Bool)
		want error
	}{
		"full": {func(s *storetest.Wrapper, fails *atomic.Bool) {
			s.BeforeCommit = func(context.Context, []store.Write) error { return errorIf(fails, store.ErrFull) }
		}, store.ErrFull},
		"failed": {func(s *storetest.Wrapper, fails *atomic.Bool) {
			s.BeforeCommit = func(context.Context, []store.Write) error { return errorIf(fails, store.ErrFailed) }
		}, store.ErrFailed},
		"any": {func(s *storetest.Wrapper, fails *atomic.Bool) {
			s.BeforeCommit = func(context.Context, []store.Write) error { return errorIf(fails, broken) }
		}, broken},
	} {
		t.Run(name, func(t *testing.T) {
			s := &storetest.Wrapper{Store: store.NewMemory()}
			var failing atomic.Bool
			tc.fail(s, &failing)
			f := onStore(t, s, engine.Options{})
			f.task("10", "root")
			f.activity("root", "a", engine.Start)
			failing.Store(true)
			f.expectUnchanged(func() {
				var wg sync.WaitGroup
				for i := range 20 {
					wg.Go(func() {
						_, err := f.Declare(f.ctx, "root", state.EndEvent)
						if i%2 == 0 {
							_, err = f.Create(f.ctx, "2", fmt.Sprint("new ", i))
						}
						if !errors.Is(err, tc.want) {
							t.Errorf("got %v, want %v", err, tc.want)
						}
					})
				}
				wg.Wait()
			})
			failing.Store(false)
			if _, err := f.Finish(f.ctx, "a"); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func errorIf(fails *atomic.Bool, err error) error {
	if fails.Load() {
		return err
	}
	return nil
}

// A commit with an unknown outcome is never shown as successful.
func TestCommitOfUnknownOutcomeIsNotShown(t *testing.T) {
	s := &storetest.Wrapper{Store: store.NewMemory()}
	f := onStore(t, s, engine.Options{})
	f.task("10", "root")
	s.AfterCommit = func([]store.Result, error) ([]store.Result, error) { return nil, store.ErrFailed }
	if _, err := f.Suspend(f.ctx, "root"); !errors.Is(err, store.ErrFailed) {
		t.Errorf("got %v", err)
	}
	f.expectStates(map[string]state.State{"root": state.Running})
	if f.Position().Sequence != 2 {
		t.Errorf("sequence %d, want 2", f.Position().Sequence)
	}
}

// A request on an unreadable task gets the store's error, and the other
// requests of the group get their own answers.
func TestReadErrorsAreAnswers(t *testing.T) {
	s := &storetest.Wrapper{Store: store.NewMemory()}
	var failing atomic.Bool
	s.BeforeRead = func(context.Context, string) error { return errorIf(&failing, store.ErrCorrupt) }
	f := onStore(t, s, engine.Options{})
	f.task("10", "root")
	f.activity("root", "a", engine.Start)
	f.task("20", "in memory")
	f.reopenEngine()
	if _, err := f.Load(f.ctx, store.ByNode("in memory")); err != nil {
		t.Fatal(err)
	}
	failing.Store(true)
	for what, ops := range map[string][]engine.Op{
		"not in memory": {engine.Finish("a")},
		"a new task":    {engine.Create("2", "12")},
		"refusal":       {engine.Create("2", "11"), engine.Start("a")},
	} {
		var refused *state.Error
		if _, err := f.Record(f.ctx, ops...); !errors.Is(err, store.ErrCorrupt) || errors.As(err, &refused) {
			t.Errorf("%s: %T %v, want %v", what, err, err, store.ErrCorrupt)
		}
	}
	if _, err := f.Suspend(f.ctx, "in memory"); err != nil {
		t.Errorf("what needs no reading: %v", err)
	}
	failing.Store(false)
	if _, err := f.Finish(f.ctx, "a"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// Close commits the queued requests, whichever goroutine leads, and answers all
// callers.
func TestCloseCommitsAllQueuedRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, calling := range []bool{false, true} {
			s := &storetest.Wrapper{Store: store.NewMemory()}
			f := onStore(t, s, engine.Options{})
			f.task("10", "root")
			s.BeforeCommit = func(context.Context, []store.Write) error {
				time.Sleep(time.Minute) // of the test's own time
				return nil
			}
			var wg sync.WaitGroup
			if calling { // a caller leads first, then a goroutine
				wg.Go(func() {
					if _, err := f.Suspend(f.ctx, "root"); err != nil {
						t.Error(err)
					}
				})
				synctest.Wait()
			}
			var pending []*engine.Pending
			for i := range 10 {
				pending = append(pending, f.Submit(engine.Create("2", fmt.Sprint("new ", i))))
			}
			for range 2 {
				wg.Go(func() {
					if err := f.Close(); err != nil {
						t.Error(err)
					}
					for _, p := range pending {
						select {
						case <-p.Done():
						default:
							t.Error("closed before everybody was answered")
						}
					}
				})
			}
			synctest.Wait()
			if _, err := f.Submit(engine.Create("2", "late")).Wait(f.ctx); !errors.Is(err, store.ErrClosed) {
				t.Errorf("while closing: %v", err)
			}
			wg.Wait()
			for _, p := range pending {
				if _, err := p.Wait(f.ctx); err != nil {
					t.Error(err)
				}
			}
			if page, err := s.List(f.ctx, store.ListQuery{}); err != nil || len(page.Tasks) != 11 {
				t.Errorf("%d tasks stored, want 11: %v", len(page.Tasks), err)
			}
		}
	})
}
