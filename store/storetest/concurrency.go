package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var concurrencyCases = []testCase{
	{
		"writers of different tasks do not disturb each other",
		"concurrent changes of different tasks all apply, and the feed has them without gaps",
		ownTasks,
	},
	{
		"the feed only grows at its end",
		"a reader of the feed that has seen a sequence never sees a smaller one appear, or anything change",
		feedGrows,
	},
	{
		"readers see whole changes",
		"a tree loaded during writes equals the replay of its transitions; the transitions after Snapshot.Position continue it",
		wholeChanges,
	},
	{
		"lists stay in order while others write",
		"a page read while others write is in order, without a task twice and with headers of some revision",
		listsInOrder,
	},
	{
		"a task created again is never mixed with its predecessor",
		"while a task is deleted and created again, every read returns one of them, complete, or ErrNotFound",
		neverMixed,
	},
}

// crew runs readers while tasks are written.
type crew struct {
	c       *trial
	tasks   []*writer
	ready   sync.WaitGroup // readers that have not read once
	readers sync.WaitGroup
	done    chan struct{} // closed when all is written
}

// newCrew returns a crew with tasks to write.
func newCrew(c *trial) *crew {
	c.Helper()
	k := &crew{c: c, done: make(chan struct{})}
	for i := range 4 {
		k.tasks = append(k.tasks, c.started("2", fmt.Sprint("a", i)), c.started("3", fmt.Sprint("b", i)))
	}
	return k
}

// watch runs f repeatedly in a new goroutine: once before the first write, then
// until all writes are done, and once after that.
func (k *crew) watch(f func() error) {
	k.ready.Add(1)
	k.readers.Go(func() {
		err := f()
		k.ready.Done()
		for last := false; err == nil && !last; err = f() {
			select {
			case <-k.done:
				last = true
			default:
			}
		}
		if err != nil {
			k.c.report("%v", err)
		}
	})
}

// write changes the tasks at random, two by each writer, while the readers
// read.
func (k *crew) write() {
	k.c.Helper()
	var work []func()
	for i := 0; i < len(k.tasks); i += 2 {
		work = append(work, func() {
			r := rand.New(rand.NewPCG(uint64(i), 3))
			for range 60 {
				drafts := []*draft{k.tasks[i].wander(r), k.tasks[i+1].wander(r)}
				if !k.c.committed(drafts[:1+r.IntN(2)]...) {
					return
				}
			}
		})
	}
	k.run(work...)
}

// run does work in goroutines while the readers read, and checks afterwards
// that everything is there.
func (k *crew) run(work ...func()) {
	k.c.Helper()
	k.ready.Wait()
	var working sync.WaitGroup
	for _, f := range work {
		working.Go(f)
	}
	working.Wait()
	close(k.done)
	k.readers.Wait()
	if k.c.Failed() {
		k.c.FailNow()
	}
	k.c.reopen()
	for _, w := range k.tasks {
		w.expect()
	}
	k.c.expectFeed()
}

// committed commits drafts from a goroutine and reports it if one fails.
func (c *trial) committed(drafts ...*draft) bool {
	results, err := c.tryCommit(c.Context(), drafts...)
	for _, r := range results {
		err = errors.Join(err, r.Err)
	}
	if err != nil {
		c.report("commit: %v", err)
	}
	return err == nil
}

func ownTasks(c *trial) {
	newCrew(c).write()
}

func feedGrows(c *trial) {
	k := newCrew(c)
	var seen [2][]*state.Transition
	var positions [2]store.Position
	for i, limit := range []int{0, 3} {
		k.watch(func() error {
			feed, err := c.store.Feed(c.Context(), positions[i], limit)
			if err != nil {
				return fmt.Errorf("changes: %w", err)
			}
			for event := range feed.Events() {
				before := positions[i]
				if tr := event.Transition; event.Position.In(tr.Sequence) != tr.Sequence || before.Lag(event.Position) == 0 {
					return fmt.Errorf("changes: sequence %d at position %s after %s", tr.Sequence, event.Position, before)
				}
				if !c.factory.Logs && before.Lag(event.Position) != 1 {
					return fmt.Errorf("changes: sequence %d after %s", event.Sequence, before)
				}
				positions[i] = event.Position
			}
			if feed.Last.Lag(positions[i]) > 0 {
				return fmt.Errorf("changes: last is %s after %s was read", feed.Last, positions[i])
			}
			seen[i], positions[i] = append(seen[i], feed.Transitions...), feed.After()
			return nil
		})
	}
	k.write()
	for i, trs := range seen {
		want := slices.DeleteFunc(c.history(), func(tr *state.Transition) bool { return !positions[i].Has(tr.Sequence) })
		if d := diffTransitions(c.byLog(trs), want); d != "" {
			c.broken("changes seen while others wrote: %s", d)
		}
	}
}

func wholeChanges(c *trial) {
	k := newCrew(c)
	var early []store.Snapshot // of each task, before all changes
	next := 0
	k.watch(func() error {
		for len(early) < len(k.tasks) {
			snap, err := c.store.Load(c.Context(), k.tasks[len(early)].ref())
			if err != nil {
				return fmt.Errorf("load: %w", err)
			}
			early = append(early, snap)
		}
		w := k.tasks[next%len(k.tasks)]
		next++
		snap, err := c.store.Load(c.Context(), w.ref())
		if err != nil {
			return fmt.Errorf("load: %w", err)
		}
		return c.replayed(snap.Tree)
	})
	k.write()
	for i, snap := range early {
		tree := snap.Tree
		for _, tr := range c.changes(snap.Position) {
			if tr.Task != tree.Key() || tr.Sequence <= tree.Revision() {
				continue
			}
			var err error
			if tree, err = tree.Replay(tr); err != nil {
				c.broken("replay after position %s: %v", snap.Position, err)
			}
		}
		if d := diffTrees(tree, k.tasks[i].tree); d != "" {
			c.broken("the tree loaded at position %s and the changes after that: %s", snap.Position, d)
		}
	}
}

// replayed compares a tree with the replay of its transitions.
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
	k := newCrew(c)
	var headers []store.Task
	k.watch(func() error {
		q, below := store.ListQuery{Limit: 3}, make(map[string]uint64)
		for n := 0; ; {
			page, err := c.store.List(c.Context(), q)
			if err != nil {
				return fmt.Errorf("list: %w", err)
			}
			for _, t := range page.Tasks {
				log := "the only one"
				if c.factory.Logs {
					log = t.Key.Business
				}
				if last, some := below[log]; some && t.Number >= last {
					return fmt.Errorf("list: task number %d after %d", t.Number, last)
				}
				below[log] = t.Number
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
	k.write()
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

func neverMixed(c *trial) {
	w := c.task("2", "10")
	k := &crew{c: c, done: make(chan struct{})}
	generations := make(map[uint64]string) // what was read at a revision
	var seen atomic.Int64                  // how many of these
	k.watch(func() error {
		for _, ref := range []store.Ref{store.ByKey("2", "10"), store.ByNode("n")} {
			snap, err := c.store.Load(c.Context(), ref)
			switch {
			case errors.Is(err, state.ErrNotFound):
				continue
			case err != nil:
				return fmt.Errorf("load %s: %w", ref, err)
			case snap.Tree.Len() != 2 || snap.Tree.Node(0).Name != snap.Tree.Node(1).Name:
				return fmt.Errorf("load %s: a tree of %d nodes that are not of one task", ref, snap.Tree.Len())
			}
			generations[snap.Tree.Revision()] = snap.Tree.Node(0).Name
			seen.Store(int64(len(generations)))
		}
		trs, err := c.store.Transitions(c.Context(), w.key(), 0, 0)
		if err != nil && !errors.Is(err, state.ErrNotFound) {
			return fmt.Errorf("transitions: %w", err)
		}
		for i, tr := range trs {
			if (i == 0) != (tr.Op == state.Create) {
				return fmt.Errorf("transitions: %d of %d is a %s", i+1, len(trs), tr.Op)
			}
		}
		return nil
	})
	k.run(func() {
		for i := 0; i < 50 || seen.Load() < 10 && i < 5_000; i++ {
			named := func(op *state.Op) { op.Name = fmt.Sprint("generation ", i) }
			ok := c.committed(w.draft(with(create("10"), named), with(declare("n", "10", state.EndEvent), named))) &&
				c.committed(w.draft(on(state.Start, "10"))) &&
				c.committed(w.deletion())
			if !ok {
				return
			}
		}
	})

	want := make(map[uint64]string)
	name := ""
	for _, tr := range c.history() {
		if tr.Op == state.Create {
			name = tr.Changes[0].Declared.Name
		}
		want[tr.Sequence] = name
	}
	for revision, name := range generations {
		if want[revision] != name {
			c.broken("loaded %q at revision %d, which is of %q", name, revision, want[revision])
		}
	}
}
