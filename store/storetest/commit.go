package storetest

import (
	"fmt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var commitCases = []testCase{
	{
		"sequences are dense",
		"a change of n transitions takes n sequences; they run from 1 without gaps, in the order of the changes of a commit",
		denseSequences,
	},
	{
		"a stale base conflicts",
		"a change applies only to the revision it was computed from: ErrConflict at any other",
		staleBase,
	},
	{
		"a change that does not apply is left out alone",
		"a change that does not apply has its own error and takes no sequence; the others of the commit apply",
		leftOut,
	},
	{
		"a task key is taken once",
		"creating a task whose key exists is ErrExists, for any root ID",
		keyTaken,
	},
	{
		"a node ID is taken once in a store",
		"declaring a node whose ID any task has is ErrExists",
		nodeTaken,
	},
	{
		"a node ID is taken once in a commit",
		"of two changes of a commit that declare the same node ID the first applies and the second is ErrExists",
		nodeTakenInCommit,
	},
	{
		"a change left out takes no IDs",
		"the node IDs of a change that was left out are free, for later changes of the same commit too",
		idsStayFree,
	},
	{
		"a change is atomic",
		"a change that does not apply leaves nothing behind, even if only its last transition is invalid",
		atomicChange,
	},
	{
		"keys and node IDs are different names",
		"a task ID may be the node ID of another task, and a business ID too",
		separateNames,
	},
	{
		"given sequences are ignored",
		"Commit ignores the sequences in its input",
		givenSequences,
	},
	{
		"an empty commit is no error",
		"a commit without changes returns no results and no error, and takes no sequence",
		emptyCommit,
	},
}

func denseSequences(c *trial) {
	next := make(map[int]uint64) // by log
	var tasks []*writer
	for i := range 8 {
		fresh := c.task("2", fmt.Sprint(i))
		var drafts []*draft
		for j, w := range tasks {
			var ops []state.Op
			for k := range j + 1 {
				ops = append(ops, declare(fmt.Sprintf("%d.%d.%d", i, j, k), w.root(), state.StartEvent))
			}
			drafts = append(drafts, w.draft(ops...))
		}
		drafts = append(drafts, fresh.draft(create(fresh.key().Task), on(state.Start, fresh.key().Task)))
		for j, r := range c.commit(drafts...) {
			log := store.LogOf(r.First)
			if next[log] == 0 {
				next[log] = 1
				if c.factory.Logs { // a log may begin with other records
					next[log] = r.First
				}
			}
			if r.First != next[log] {
				c.broken("commit %d, change %d: first sequence %d, want %d", i+1, j+1, r.First, next[log])
			}
			next[log] += uint64(len(drafts[j].change.Transitions))
		}
		tasks = append(tasks, fresh)
	}
	c.reopen()
	c.expectFeed()
	tasks[0].do(declare("after", tasks[0].root(), state.EndEvent))
	if got := tasks[0].revision(); got != next[store.LogOf(got)] {
		c.broken("sequence %d after reopening, want %d", got, next[store.LogOf(got)])
	}
}

// wantResult checks the error of one result.
func (c *trial) wantResult(what string, r store.Result, target error) {
	c.Helper()
	c.want("result of "+what, r.Err, target)
}

func staleBase(c *trial) {
	a := c.started("2", "a")
	old := a.draft(declare("n", "a", state.ServiceActivity))
	a.do(declare("m", "a", state.ServiceActivity))
	ahead := a.draft(on(state.Suspend, "m"))
	ahead.change.Base++
	missing := c.task("2", "missing").deletion()
	missing.change.Base = 7
	update := a.draft(on(state.Start, "m"))
	other := *update.change.Transitions[0]
	other.Task = state.Key{Business: "2", Task: "absent"}
	absent := &draft{w: c.task("2", "absent"), change: store.Write{Base: 2, Transitions: []*state.Transition{&other}}}

	c.reopen()
	c.wantResult("a change from an earlier revision", c.offer(old)[0], store.ErrConflict)
	c.wantResult("a change from a later revision", c.offer(ahead)[0], store.ErrConflict)
	c.wantResult("a delete of no task", c.offer(missing)[0], store.ErrConflict)
	c.wantResult("a change of no task", c.offer(absent)[0], store.ErrConflict)
	c.expectAbsent(absent.w.key())
	a.expect()
	c.wantResult("a change from the current revision", c.offer(update)[0], nil)
	c.reopen()
	a.expect()
	c.expectFeed()
}

func leftOut(c *trial) {
	stale, taken, good := c.started("2", "stale"), c.started("2", "taken"), c.started("2", "good")
	old := stale.draft(declare("n1", "stale", state.ServiceActivity))
	stale.do(on(state.Suspend, "stale"))
	again := c.task("2", "taken").draft(create("other root"))
	node := c.task(c.business("3"), "new").draft(create("good"))
	fresh := c.task(c.business("3"), "fresh")
	last := c.last()
	c.reopen()

	results := c.offer(
		old,
		good.draft(declare("n2", "good", state.ServiceActivity), on(state.Start, "n2")),
		again,
		node,
		fresh.draft(create("fresh")),
	)
	want := []store.Result{
		{Err: store.ErrConflict}, {First: last + 1}, {Err: state.ErrExists}, {Err: state.ErrExists}, {First: last + 3},
	}
	for i, r := range results {
		c.wantResult(fmt.Sprintf("change %d of the commit", i+1), r, want[i].Err)
		if r.First != want[i].First {
			c.broken("change %d of the commit: first sequence %d, want %d", i+1, r.First, want[i].First)
		}
	}
	c.reopen()
	for _, w := range []*writer{stale, taken, good, fresh} {
		w.expect()
	}
	c.expectAbsent(node.w.key(), "n1", "other root")
	c.expectFeed()
}

func keyTaken(c *trial) {
	w := c.started("2", "10")
	c.reopen()
	for _, root := range []string{"10", "another"} {
		d := c.task("2", "10").draft(create(root))
		c.wantResult("creating the task again", c.offer(d)[0], state.ErrExists)
	}
	c.reopen()
	w.expect()
	c.wantResult("the same task ID in another business", c.offer(c.task("3", "10").draft(create("r3")))[0], nil)
	c.wantResult("another task ID in the business", c.offer(c.task("2", "11").draft(create("r11")))[0], nil)
	c.expectFeed()
}

func nodeTaken(c *trial) {
	a, b := c.started("2", "a"), c.started("2", "b")
	a.do(declare("sub", "a", state.Subprocess), declare("leaf", "sub", state.ServiceActivity))
	c.reopen()
	for _, id := range []string{"a", "sub", "leaf"} {
		d := b.draft(declare(id, "b", state.ServiceActivity))
		c.wantResult("declaring node "+id+" of another task", c.offer(d)[0], state.ErrExists)
		d = c.task(c.business("3"), "new").draft(create(id))
		c.wantResult("a root of the ID of node "+id, c.offer(d)[0], state.ErrExists)
	}
	c.reopen()
	a.expect()
	b.expect()
	c.expectAbsent(state.Key{Business: c.business("3"), Task: "new"})
	c.expectFeed()
}

func nodeTakenInCommit(c *trial) {
	a, b := c.started("2", "a"), c.started("2", "b")
	first, second := c.task(c.business("3"), "first"), c.task(c.business("3"), "second")
	c.reopen()
	results := c.offer(
		a.draft(declare("n", "a", state.ServiceActivity)),
		b.draft(declare("n", "b", state.ServiceActivity)),
		first.draft(create("root")),
		second.draft(create("root")),
	)
	c.reopen()
	for i, want := range []error{nil, state.ErrExists, nil, state.ErrExists} {
		c.wantResult(fmt.Sprintf("change %d of the commit", i+1), results[i], want)
	}
	for _, w := range []*writer{a, b, first} {
		w.expect()
	}
	c.expectAbsent(second.key())
	c.expectFeed()
}

func idsStayFree(c *trial) {
	a, b := c.started("2", "a"), c.started("2", "b")
	old := a.draft(declare("n", "a", state.ServiceActivity))
	a.do(on(state.Suspend, "a"))
	c.reopen()
	// The second change fails because of its second ID, after the store has checked its first.
	results := c.offer(
		old,
		c.task(c.business("3"), "c").draft(create("m"), declare("b", "m", state.ServiceActivity)),
		b.draft(declare("n", "b", state.ServiceActivity), declare("m", "b", state.ServiceActivity)),
	)
	for i, want := range []error{store.ErrConflict, state.ErrExists, nil} {
		c.wantResult(fmt.Sprintf("change %d of the commit", i+1), results[i], want)
	}
	c.reopen()
	a.expect()
	b.expect()
	c.expectFeed()
}

func atomicChange(c *trial) {
	a, b := c.started("2", "a"), c.started("2", "b")
	c.reopen()
	d := a.draft(
		declare("n", "a", state.ServiceActivity), on(state.Start, "n"), on(state.Finish, "n"),
		declare("b", "a", state.ServiceActivity),
	)
	c.wantResult("a change whose last node is taken", c.offer(d)[0], state.ErrExists)
	c.reopen()
	a.expect()
	b.expect()
	c.expectAbsent(state.Key{Business: "2", Task: "n"}, "n")
	c.expectFeed()
}

func separateNames(c *trial) {
	x, y := c.task("x", "y"), c.task("y", "x")
	c.commit(x.draft(create("x")), y.draft(create("y")))
	c.reopen()
	x.expect()
	y.expect()
	for id, w := range map[string]*writer{"x": x, "y": y} {
		if got := c.load(store.ByNode(id)).Tree.Key(); got != w.key() {
			c.broken("node %q leads to task %s, want %s", id, got, w.key())
		}
	}
}

func givenSequences(c *trial) {
	w := c.started("2", "a")
	d := w.draft(declare("n", "a", state.ServiceActivity), on(state.Start, "n"))
	d.change.Transitions[0].Sequence, d.change.Transitions[1].Sequence = 99, 1
	c.commit(d)
	c.reopen()
	w.expect()
	c.expectFeed()
}

func emptyCommit(c *trial) {
	w := c.started("2", "a")
	if results := c.offer(); len(results) != 0 {
		c.broken("%d results for no change", len(results))
	}
	w.do(on(state.Suspend, "a"))
	c.reopen()
	w.expect()
	c.expectFeed()
}
