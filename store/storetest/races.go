package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var raceCases = []testCase{
	{
		"one of two changes from the same revision wins",
		"of changes computed from the same revision and committed at the same time exactly one applies, the others are ErrConflict",
		sameBase,
	},
	{
		"one of two creates wins",
		"of tasks created at the same time under one key, or with one node ID, exactly one is, the others are ErrExists",
		sameNames,
	},
	{
		"a context that ends undoes nothing",
		"a Commit whose context ends at any time either applies and returns no error or has no effect",
		canceledDuringCommit,
	},
}

// race commits drafts concurrently, each in a separate commit, and notes the one
// that applies; the others must have an error that matches loses.
func (c *trial) race(loses error, drafts ...*draft) {
	c.Helper()
	results, errs := make([]store.Result, len(drafts)), make([]error, len(drafts))
	var wg sync.WaitGroup
	for i, d := range drafts {
		wg.Go(func() {
			got, err := c.store.Commit(c.Context(), []store.Write{d.change})
			if err == nil {
				results[i] = got[0]
			}
			errs[i] = err
		})
	}
	wg.Wait()
	winner := -1
	for i, r := range results {
		c.want("commit", errs[i], nil)
		switch {
		case r.Err == nil && winner >= 0:
			c.broken("changes %d and %d both apply", winner+1, i+1)
		case r.Err == nil:
			winner = i
		default:
			c.wantResult("a change that came too late", r, loses)
		}
	}
	if winner < 0 {
		c.broken("none of %d changes applies", len(drafts))
	}
	drafts[winner].accept(results[winner].First)
}

func sameBase(c *trial) {
	w := c.started("2", "10")
	for i := range 20 {
		id := fmt.Sprint("n", i)
		c.race(
			store.ErrConflict,
			w.draft(declare(id, "10", state.ServiceActivity)),
			w.draft(declare(id+" too", "10", state.ServiceActivity), on(state.Start, id+" too")),
			w.draft(with(declare(id, "10", state.EndEvent), func(op *state.Op) { op.Actor = "third" })),
		)
	}
	c.race(store.ErrConflict, w.deletion(), w.draft(on(state.Suspend, "10")))
	c.reopen()
	c.expectAll([]*writer{w})
	c.expectFeed()
}

func sameNames(c *trial) {
	var tasks []*writer
	for i := range 10 {
		key, node := fmt.Sprint("key", i), fmt.Sprint("node", i)
		a, b := c.task("2", key), c.task("2", key)
		c.race(state.ErrExists, a.draft(create(key+" a")), b.draft(create(key+" b")))
		x, y := c.task(c.business("3"), node), c.task(c.business("4"), node+" y")
		c.race(state.ErrExists, x.draft(create(node)), y.draft(create(node)))
		for _, w := range []*writer{a, b, x, y} {
			if w.tree.Len() > 0 {
				tasks = append(tasks, w)
			}
		}
	}
	c.reopen()
	for _, w := range tasks {
		w.expect()
	}
	c.expectFeed()
}

func canceledDuringCommit(c *trial) {
	w := c.started("2", "10")
	for i := range 40 {
		ctx, cancel := context.WithCancel(c.Context())
		d := w.draft(declare(fmt.Sprint("n", i), "10", state.EndEvent))
		go func() {
			for range i * 50 { // at another time in each round
				if ctx.Err() != nil {
					return
				}
			}
			cancel()
		}()
		results, err := c.tryCommit(ctx, d)
		cancel()
		switch {
		case err == nil:
			c.wantResult("the change", results[0], nil)
		case !errors.Is(err, context.Canceled):
			c.broken("commit: %v", err)
		}
		w.expectTree()
	}
	c.reopen()
	w.expect()
	c.expectFeed()
}
