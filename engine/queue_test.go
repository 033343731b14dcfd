package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/storetest"
)

// told collects the calls of [engine.Hooks.Refused].
type told struct {
	mu  sync.Mutex // protects all
	all []string
}

func (t *told) hook(ops []engine.Op, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, fmt.Sprintf("%v: %v", ops, err))
}

// take returns the calls since the last take.
func (t *told) take() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := strings.Join(t.all, "\n")
	t.all = nil
	return all
}

func TestRefusalsOfSubmittedOperationsAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hook told
		var log strings.Builder
		s := &storetest.Wrapper{Store: store.NewMemory()}
		f := onStore(t, s, engine.Options{
			Hooks: &engine.Hooks{Refused: hook.hook}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		f.task("10", "root")
		expect := func(what, want string) {
			t.Helper()
			synctest.Wait()
			if got := hook.take(); !strings.Contains(got, want) || (got == "") != (want == "") {
				t.Errorf("%s: told %q, want %q", what, got, want)
			}
		}
		f.Submit(engine.Suspend("root"))
		expect("an operation that is recorded", "")
		f.Submit(engine.Start("root"))
		expect("one that the rules refuse", `[start node "root"]: start node "root" (SUSPENDED)`)
		if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), `start node`) {
			t.Errorf("logged %q", log.String())
		}
		f.Submit(engine.Finish("a"), engine.Finish(strings.Repeat("b", 200)))
		expect("one that is malformed", `invalid argument: node ID of 200 bytes`)
		f.Submit()
		expect("none", "[]: ")
		if _, err := f.Start(f.ctx, "root"); err == nil {
			t.Error("started twice")
		}
		expect("one whose caller heard of it", "")

		broken := errors.New("no disk")
		hold := make(chan struct{})
		s.BeforeCommit = func(context.Context, []store.Write) error {
			<-hold
			return broken
		}
		f.Submit(engine.Resume("root"))
		ctx, cancel := context.WithCancel(f.ctx)
		for _, record := range []func() error{
			func() error { _, err := f.Record(ctx, engine.Suspend("root")); return err },
			func() error { _, err := f.Suspend(ctx, "root"); return err },
		} {
			go func() {
				if err := record(); !errors.Is(err, context.Canceled) {
					t.Errorf("canceled: %v", err)
				}
			}()
		}
		synctest.Wait()
		cancel()
		expect("nothing was answered", "")
		close(hold)
		synctest.Wait()
		got := hook.take()
		if !strings.Contains(got, "no disk") || strings.Count(got, "[resume") != 1 || strings.Count(got, "[suspend") != 2 {
			t.Errorf("a failed commit: told %q", got)
		}

		if err := f.Engine.Close(); err != nil {
			t.Fatal(err)
		}
		f.Submit(engine.Resume("root"))
		expect("the engine is closed", store.ErrClosed.Error())
	})
}

// withACommitHeld is an engine whose queue has room for so many operations, and
// whose commit waits until hold is closed.
func withACommitHeld(t *testing.T, queued int) (f *fixture, hold chan struct{}) {
	t.Helper()
	s := &storetest.Wrapper{Store: store.NewMemory()}
	f = onStore(t, s, engine.Options{MaxQueued: queued})
	f.task("10", "root")
	hold = make(chan struct{})
	s.BeforeCommit = func(context.Context, []store.Write) error {
		<-hold
		return nil
	}
	f.Submit(engine.Suspend("root"))
	synctest.Wait() // until its commit runs
	return f, hold
}

func TestTheQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, hold := withACommitHeld(t, 10)
		toggle := []engine.Op{engine.Resume("root"), engine.Suspend("root")}
		var queued []*engine.Pending
		for range 5 {
			queued = append(queued, f.Submit(toggle...))
		}
		if _, err := f.Submit(toggle...).Wait(f.ctx); !errors.Is(err, engine.ErrQueueFull) {
			t.Errorf("submit to a full queue: %v, want %v", err, engine.ErrQueueFull)
		}
		ctx, cancel := context.WithCancel(f.ctx)
		answers := make(chan error, 2)
		for _, ctx := range []context.Context{ctx, f.ctx} {
			go func() { _, err := f.Record(ctx, toggle...); answers <- err }()
		}
		synctest.Wait()
		select {
		case err := <-answers:
			t.Errorf("record in a full queue did not wait: %v", err)
		default:
		}
		cancel()
		synctest.Wait()
		if err := <-answers; !errors.Is(err, context.Canceled) {
			t.Errorf("its context ended: %v", err)
		}
		close(hold)
		if err := <-answers; err != nil {
			t.Errorf("there was room again: %v", err)
		}
		for _, p := range queued {
			if _, err := p.Wait(f.ctx); err != nil {
				t.Error(err)
			}
		}
		// The canceled request has no effect.
		if want := uint64(2 + 1 + 2*5 + 2); f.Position().Sequence != want {
			t.Errorf("%d transitions, want %d", f.Position().Sequence, want)
		}
	})
}

func TestARequestLargerThanTheQueueIsQueuedAlone(t *testing.T) {
	f := onStore(t, store.NewMemory(), engine.Options{MaxQueued: 1})
	f.task("10", "root")
	f.record(engine.Suspend("root"), engine.Resume("root"), engine.Suspend("root"))
}

func TestCloseAnswersCallersThatWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, hold := withACommitHeld(t, 1)
		f.Submit(engine.Resume("root"))
		go func() {
			if _, err := f.Record(f.ctx, engine.Suspend("root")); !errors.Is(err, store.ErrClosed) {
				t.Errorf("waited for room: %v, want %v", err, store.ErrClosed)
			}
		}()
		synctest.Wait()
		go func() { _ = f.Engine.Close() }()
		synctest.Wait()
		close(hold)
		synctest.Wait()
	})
}

// locates counts the calls of the store's Locate while f runs.
func locates(s *storetest.Wrapper, f func()) (n int) {
	s.BeforeRead = func(_ context.Context, method string) error {
		if method == "Locate" {
			n++
		}
		return nil
	}
	f()
	s.BeforeRead = nil
	return n
}

func TestGivenIDsAreLookedUpOnlyAfterARefusal(t *testing.T) {
	s := &storetest.Wrapper{Store: store.NewMemory()}
	f := onStore(t, s, engine.Options{})
	f.task("10", "root")
	f.task("11", "other")
	f.record(engine.Create("3", "10", engine.ID("foreign")))
	n := locates(s, func() {
		f.record(engine.Create("2", "12", engine.ID("new")), engine.Start("new"))
		f.record(engine.Declare("root", state.EndEvent, engine.ID("a")), engine.Start("a"))
	})
	if n > 0 {
		t.Errorf("the store was asked %d times where IDs are", n)
	}
	for id, where := range map[string]string{
		"other": `node "other", in task "2"/"11"`, "foreign": `node "foreign"`, "a": `node "a"`,
	} {
		f.expectUnchanged(func() {
			_, err := f.Declare(f.ctx, "root", state.EndEvent, engine.ID(id))
			f.expectRefusal(err, state.ErrExists)
			if !strings.HasSuffix(err.Error(), where) {
				t.Errorf("%q: %v, want %q", id, err, where)
			}
			_, err = f.Create(f.ctx, "2", "13", engine.ID(id))
			f.expectRefusal(err, state.ErrExists)
			if strings.Contains(err.Error(), `"3"`) {
				t.Errorf("%q: the message names another business: %v", id, err)
			}
		})
	}
}

// Requests that build on a node whose ID is in use mean the node that has it.
func TestRequestsAfterATakenIDReachTheExistingNode(t *testing.T) {
	h := hold(t)
	taken := h.Submit(engine.Declare("door", state.ServiceActivity, engine.ID("a")))
	finish := h.Submit(engine.Finish("a"))
	loop := h.Submit(engine.Loop("a"))
	h.release()
	_, err := taken.Wait(h.ctx)
	h.expectRefusal(err, state.ErrExists)
	for _, p := range []*engine.Pending{finish, loop} {
		if _, err := p.Wait(h.ctx); err != nil {
			t.Error(err)
		}
	}
	if n := h.node("a"); n.State != state.Running || n.Loop != 2 || n.Parent != "root" {
		t.Errorf("node a is %+v", n)
	}
}
