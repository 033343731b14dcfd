package storetest

import (
	"context"
	"fmt"
	"sync"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var lifeCases = []testCase{
	{
		"a canceled context is refused",
		"a call whose context has ended returns the context's error and has no effect",
		canceled,
	},
	{
		"a closed store is closed",
		"after Close every method returns ErrClosed, and Close again nil",
		closed,
	},
	{
		"close waits for commits",
		"results that Commit returned before or during Close are kept, and every other call returns ErrClosed",
		closeWaits,
	},
}

// calls are all methods but Close, as calls that would succeed for a task with
// the given change.
func calls(s store.Store, change store.Write, ref store.Ref, node string) map[string]func(ctx context.Context) error {
	return map[string]func(ctx context.Context) error{
		"Commit":           func(ctx context.Context) error { _, err := s.Commit(ctx, []store.Write{change}); return err },
		"Load":             func(ctx context.Context) error { _, err := s.Load(ctx, ref); return err },
		"Load of a node":   func(ctx context.Context) error { _, err := s.Load(ctx, store.ByNode(node)); return err },
		"Locate":           func(ctx context.Context) error { _, err := s.Locate(ctx, ref); return err },
		"Locate of a node": func(ctx context.Context) error { _, err := s.Locate(ctx, store.ByNode(node)); return err },
		"List":             func(ctx context.Context) error { _, err := s.List(ctx, store.ListQuery{}); return err },
		"Transitions":      func(ctx context.Context) error { _, err := s.Transitions(ctx, ref.Key, 0, 0); return err },
		"Attempts": func(ctx context.Context) error {
			_, err := s.Attempts(ctx, store.ByNode(node), store.AttemptQuery{})
			return err
		},
		"Feed": func(ctx context.Context) error { _, err := s.Feed(ctx, store.Position{}, 0); return err },
	}
}

func canceled(c *trial) {
	w := c.started("2", "10")
	c.reopen()
	d := w.draft(on(state.Suspend, "10"))
	ctx, cancel := context.WithCancel(c.Context())
	cancel()
	for method, call := range calls(c.store, d.change, w.ref(), "10") {
		c.want(method+" with a canceled context", call(ctx), context.Canceled)
	}
	expired, cancel := context.WithTimeout(c.Context(), 0)
	defer cancel()
	_, err := c.store.Commit(expired, []store.Write{d.change})
	c.want("commit past the deadline", err, context.DeadlineExceeded)
	c.reopen()
	w.expect()
	c.expectFeed()
	c.commit(d)
	w.expect()
}

func closed(c *trial) {
	w := c.started("2", "10")
	c.reopen()
	d := w.draft(on(state.Suspend, "10"))
	c.closed = true
	for range 2 {
		c.want("close", c.store.Close(), nil)
		for method, call := range calls(c.store, d.change, w.ref(), "10") {
			c.want(method+" after Close", call(c.Context()), store.ErrClosed)
		}
	}
}

func closeWaits(c *trial) {
	const writers = 4
	tasks := make([]*writer, writers)
	for i := range tasks {
		tasks[i] = c.started("2", fmt.Sprint("t", i))
	}
	committed := make(chan struct{}) // a value for each commit, closed after the last
	failures := make([]error, writers)
	var wg sync.WaitGroup
	for i, w := range tasks {
		wg.Go(func() {
			for range 2_000 { // and no end, if the store does not close
				_, failures[i] = c.tryCommit(c.Context(), w.draft(declare(w.nextID(), w.root(), state.EndEvent)))
				committed <- struct{}{}
				if failures[i] != nil {
					return
				}
			}
		})
	}
	go func() { wg.Wait(); close(committed) }()
	for range 3 * writers {
		<-committed
	}
	done := make(chan struct{})
	go func() {
		for range committed {
		}
		close(done)
	}()
	err := c.store.Close()
	<-done
	c.want("close", err, nil)
	for i, err := range failures {
		c.want(fmt.Sprintf("the last commit of writer %d", i), err, store.ErrClosed)
	}
	c.closed = !c.reopening
	c.reopen() // closes again, which is nil
	if c.closed {
		return
	}
	for _, w := range tasks {
		w.expect()
	}
	c.expectFeed()
}
