package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var concurrencyCases = []testCase{
	{
		"writers of their own tasks do not disturb each other",
		"whatever is written at the same time to different tasks applies, and the feed has it without gaps",
		ownTasks,
	},
	{
		"the feed only grows at its end",
		"a reader of the feed that has seen a sequence never sees a smaller one appear, or anything change",
		feedGrows,
	},
	{
		"readers see whole changes",
		"a tree loaded while others write is the one its transitions lead to; what follows Snapshot.Sequence leads on from it",
		wholeChanges,
	},
	{
		"lists stay in order while others write",
		"a page read while others write is in order, without a task twice and with headers of some revision",
		listsInOrder,
	},
	{
		"of two changes from one revision one wins",
		"of changes computed from the same revision and committed at the same time exactly one applies, the others are ErrConflict",
		sameBase,
	},
	{
		"of two creates one wins",
		"of tasks created at the same time under one key, or with one node ID, exactly one is, the others are ErrExists",
		sameNames,
	},
	{
		"a context that ends undoes nothing",
		"a Commit whose context ends at any time either applies and returns no error or has no effect",
		cancelledMeanwhile,
	},
}

// crew is a number of writers at work, each on two tasks of its own.
type crew struct {
	c     *trial
	tasks []*writer
	done  chan struct{}  // closed when all writers are done
	wg    sync.WaitGroup // of readers
}

// atWork starts writers and returns while they write.
func atWork(c *trial) *crew {
	c.Helper()
	const writers, commits = 4, 60
	k := &crew{c: c, done: make(chan struct{})}
	var work sync.WaitGroup
	for i := range writers {
		one, two := c.started("2", fmt.Sprint("one", i)), c.started("3", fmt.Sprint("two", i))
		k.tasks = append(k.tasks, one, two)
	}
	for i := range writers {
		work.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 3))
			for range commits {
				drafts := []*draft{k.tasks[2*i].wander(r), k.tasks[2*i+1].wander(r)}
				results, err := c.tryCommit(c.Context(), drafts[:1+r.IntN(2)]...)
				for _, res := range results {
					err = errors.Join(err, res.Err)
				}
				if err != nil {
					c.report("commit of writer %d: %v", i, err)
					return
				}
			}
		})
	}
	go func() { work.Wait(); close(k.done) }()
	return k
}

// watch runs f again and again, in a goroutine, until the writers are done and
// once after that, or until it returns an error.
func (k *crew) watch(f func() error) {
	k.wg.Go(func() {
		for last := false; ; {
			select {
			case <-k.done:
				last = true
			default:
			}
			if err := f(); err != nil {
				k.c.report("%v", err)
				return
			}
			if last {
				return
			}
		}
	})
}

// finish waits for everybody and checks that everything is there.
func (k *crew) finish() {
	k.c.Helper()
	<-k.done
	k.wg.Wait()
	if k.c.Failed() {
		k.c.FailNow()
	}
	k.c.reopen()
	for _, w := range k.tasks {
		w.expect()
	}
	k.c.expectFeed()
}

func ownTasks(c *trial) {
	atWork(c).finish()
}

func feedGrows(c *trial) {
	k := atWork(c)
	var seen [2][]*state.Transition
	for i, limit := range []int{0, 3} {
		k.watch(func() error {
			after := uint64(len(seen[i]))
			feed, err := c.store.Changes(c.Context(), after, limit)
			if err != nil {
				return fmt.Errorf("changes: %w", err)
			}
			for _, tr := range feed.Transitions {
				if after++; tr.Sequence != after {
					return fmt.Errorf("changes: sequence %d in place of %d", tr.Sequence, after)
				}
			}
			if feed.Last < after {
				return fmt.Errorf("changes: last is %d after sequence %d was read", feed.Last, after)
			}
			seen[i] = append(seen[i], feed.Transitions...)
			return nil
		})
	}
	k.finish()
	all := c.history()
	for _, trs := range seen {
		if d := diffTransitions(trs, all[:min(len(trs), len(all))]); d != "" {
			c.broken("changes seen while others wrote: %s", d)
		}
	}
}

func wholeChanges(c *trial) {
	k := atWork(c)
	var early []store.Snapshot // one of each task
	next := 0
	k.watch(func() error {
		w := k.tasks[next%len(k.tasks)]
		next++
		ref := store.Ref{Key: w.key()}
		snap, err := c.store.Load(c.Context(), ref)
		if err != nil {
			return fmt.Errorf("load %s: %w", ref, err)
		}
		if len(early) < len(k.tasks) {
			early = append(early, snap)
		}
		return c.replayed(snap.Tree)
	})
	k.finish()
	for i, snap := range early {
		tree := snap.Tree
		for _, tr := range c.changes(snap.Sequence) {
			if tr.Task != tree.Key() || tr.Sequence <= tree.Revision() {
				continue
			}
			var err error
			if tree, err = tree.Replay(tr); err != nil {
				c.broken("replay after sequence %d: %v", snap.Sequence, err)
			}
		}
		if d := diffTrees(tree, k.tasks[i].tree); d != "" {
			c.broken("the tree loaded at sequence %d and the changes after that: %s", snap.Sequence, d)
		}
	}
}

// replayed holds a tree against its transitions.
func (c *trial) replayed(tree *state.Tree) error {
	want := state.NewTree(tree.Key())
	for want.Revision() < tree.Revision() {
		trs, err := c.store.Transitions(c.Context(), tree.Key(), want.Revision(), 0)
		if err != nil || len(trs) == 0 {
			return fmt.Errorf("%d transitions of task %s after %d: %w", len(trs), tree.Key(), want.Revision(), err)
		}
		for len(trs) > 0 && trs[len(trs)-1].Sequence > tree.Revision() {
			trs = trs[:len(trs)-1]
		}
		if want, err = want.Replay(trs...); err != nil {
			return err
		}
		if len(trs) == 0 {
			break // no transition has the tree's revision
		}
	}
	if d := diffTrees(tree, want); d != "" {
		return fmt.Errorf("loaded while others wrote: %s", d)
	}
	return nil
}

func listsInOrder(c *trial) {
	k := atWork(c)
	var headers []store.Task
	k.watch(func() error {
		q, below := store.ListQuery{Limit: 3}, uint64(1<<63)
		for n := 0; ; {
			page, err := c.store.List(c.Context(), q)
			if err != nil {
				return fmt.Errorf("list: %w", err)
			}
			for _, t := range page.Tasks {
				if t.Number >= below {
					return fmt.Errorf("list: task number %d after %d", t.Number, below)
				}
				below = t.Number
				n++
			}
			if len(headers) < 500 {
				headers = append(headers, page.Tasks...)
			}
			if q.Cursor = page.Cursor; q.Cursor == "" {
				if n != len(k.tasks) {
					return fmt.Errorf("list: %d tasks, want %d", n, len(k.tasks))
				}
				return nil
			}
		}
	})
	k.finish()
	known := make(map[store.Task]bool)
	for _, w := range k.tasks {
		var h store.Task
		for _, tr := range w.transitions {
			h.Add(tr)
			known[h] = true
		}
	}
	for _, h := range headers {
		if !known[h] {
			c.broken("listed while others wrote: %+v, which fits no revision", h)
		}
	}
}

// race commits drafts at the same time, each by itself, and takes note of the
// one that applies; the others must have an error that matches loses.
func (c *trial) race(loses error, drafts ...*draft) {
	c.Helper()
	results, errs := make([]store.Result, len(drafts)), make([]error, len(drafts))
	var wg sync.WaitGroup
	for i, d := range drafts {
		wg.Go(func() {
			got, err := c.store.Commit(c.Context(), []store.Change{d.change})
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
		x, y := c.task("3", node), c.task("4", node)
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

func cancelledMeanwhile(c *trial) {
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
