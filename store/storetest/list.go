package storetest

import (
	"fmt"
	"math"
	"slices"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var listCases = []testCase{
	{
		"lists show the newest first",
		"List returns tasks in the order of their recording, newest first, regardless of their clocks and of later changes",
		listOrder,
	},
	{
		"lists show headers",
		"a listed Task equals the result of Task.Add for the task's transitions",
		listHeaders,
	},
	{
		"lists select",
		"List returns exactly the tasks that match business, shown states and unfinished together",
		listSelects,
	},
	{
		"lists select by time",
		"List returns exactly the tasks recorded, started and finished at Since or later and before Until; an unset time is no bound",
		listTimes,
	},
	{
		"lists select by name, labels and failures",
		"List returns exactly the tasks that have the name, all of the labels, and failures, together with the other conditions",
		listRecord,
	},
	{
		"the pages of a list are complete",
		"pages are never longer than the limit and together are the whole list, whatever the limit",
		listPages,
	},
}

func listOrder(c *trial) {
	c.expectList(store.ListQuery{})
	var want []*writer
	for i, year := range []int64{2020, 2030, 2010, 2010, 2025} {
		w := c.task(fmt.Sprint(i%2), fmt.Sprint("t", i))
		at := state.UnixInstant((year-1970)*31_556_952, 0)
		w.do(with(create(w.key().Task), func(op *state.Op) { op.Now = at }))
		want = append([]*writer{w}, want...)
	}
	c.reopen()
	c.expectList(store.ListQuery{}, want...)
	for _, w := range want[1:4] {
		w.do(on(state.Start, w.root()))
	}
	c.reopen()
	c.expectList(store.ListQuery{}, want...)
	c.expectList(store.ListQuery{Business: "0"}, want[0], want[2], want[4])
}

func listHeaders(c *trial) {
	a, b := c.task("2", "a"), c.task("3", "b")
	a.do(create("root of a"))
	tour(b)
	check := func() {
		c.Helper()
		c.reopen()
		if d := diffLists("headers", c.list(store.ListQuery{}), []store.Task{b.header, a.header}); d != "" {
			c.broken("list: %s", d)
		}
		for _, w := range []*writer{a, b} {
			h := w.header
			if h.Shown != w.tree.Shown(0) || h.Counts != w.tree.Counts(0) || h.Nodes != w.tree.Len() || h.Root != w.root() ||
				h.State != w.tree.State(0) || h.Pending != w.tree.Pending(0) || h.Unfinished() != w.tree.Unfinished() ||
				h.Settled() != w.tree.Settled() || h.HasFailures() != w.tree.HasFailures() || h.Number != w.transitions[0].Sequence {
				c.broken("header %+v does not fit its tree", h)
			}
		}
	}
	check()
	a.do(on(state.Start, "root of a"), declare("n", "root of a", state.ServiceActivity), on(state.Start, "n"))
	b.do(on(state.Revoke, "b"))
	check()
	a.do(with(on(state.Fail, "n"), func(op *state.Op) { op.RetryAt = moment(1 << 20) }))
	check()
	a.do(on(state.Retry, "n"), on(state.Start, "n"))
	a.do(on(state.Finish, "n"), on(state.Finish, "root of a"))
	check()
}

func listRecord(c *trial) {
	created := func(business, task, name string, labels map[string]string) *writer {
		c.Helper()
		w := c.task(business, task)
		w.do(with(create(task), func(op *state.Op) { op.Name, op.Labels = name, state.LabelsOf(labels) }), on(state.Start, task))
		return w
	}
	a := created("2", "a", "deploy", map[string]string{"env": "prod", "team": "x"})
	b := created("2", "b", "deploy", map[string]string{"env": "test"})
	d := created("3", "d", "", map[string]string{"env": "prod", "empty": ""})
	a.do(declare("n", "a", state.ServiceActivity), on(state.Start, "n"), on(state.Fail, "n"))
	d.do(on(state.Fail, "d"))
	c.reopen()
	c.expectList(store.ListQuery{Labels: labels("env", "prod")}, d, a)
	c.expectList(store.ListQuery{Labels: labels("env", "prod", "team", "x")}, a)
	c.expectList(store.ListQuery{Labels: labels("env", "prod", "team", "")})
	c.expectList(store.ListQuery{Labels: labels("empty", "")}, d)
	c.expectList(store.ListQuery{Name: "deploy"}, b, a)
	c.expectList(store.ListQuery{Name: "deploy", Labels: labels("env", "test"), Business: "2"}, b)
	c.expectList(store.ListQuery{Name: state.Pipeline.Class()}, d)
	c.expectList(store.ListQuery{HasFailures: true}, d, a)
	c.expectList(store.ListQuery{HasFailures: true, Unfinished: true}, a)
	change := func(w *writer, set state.Labels, remove ...string) {
		c.Helper()
		w.do(state.Op{Kind: state.Label, Task: w.key(), Labels: set, Unlabel: remove})
	}
	// Lists follow each change of a task at once.
	a.do(on(state.Retry, "n"), on(state.Start, "n"), on(state.Finish, "n"), on(state.Finish, "a"))
	b.do(on(state.Fail, "b"))
	c.reopen()
	change(a, labels("env", "test"), "team")
	change(d, labels(), "empty")
	a.do(state.Op{Kind: state.Reopen})
	b.do(state.Op{Kind: state.Reopen})
	d.do(state.Op{Kind: state.Reopen}, declare("m", "d", state.EndEvent), on(state.Start, "m"), on(state.Fail, "m"))
	a.do(declare("o", "a", state.EndEvent), on(state.Start, "o"), on(state.Fail, "o"))
	for range 2 {
		c.expectList(store.ListQuery{Labels: labels("env", "prod")}, d)
		c.expectList(store.ListQuery{Labels: labels("env", "test")}, b, a)
		c.expectList(store.ListQuery{Labels: labels("env", "test"), OldestFirst: true}, a, b)
		c.expectList(store.ListQuery{Labels: labels("empty", "")})
		c.expectList(store.ListQuery{Labels: labels("team", "x")})
		c.expectList(store.ListQuery{Unfinished: true}, d, b, a)
		c.expectList(store.ListQuery{HasFailures: true}, d, a)
		c.expectList(store.ListQuery{HasFailures: true, OldestFirst: true}, a, d)
		c.expectList(store.ListQuery{Name: "deploy", OldestFirst: true}, a, b)
		c.reopen()
	}
	for _, w := range []*writer{a, b, d} {
		w.expect()
	}
	a.delete()
	c.task("2", "a").do(with(create("again"), func(op *state.Op) { op.Labels = labels("env", "new") }))
	for range 2 {
		c.expectList(store.ListQuery{Labels: labels("env", "test")}, b)
		c.expectList(store.ListQuery{Name: "deploy"}, b)
		c.expectList(store.ListQuery{HasFailures: true}, d)
		c.reopen()
	}
}

func labels(keysAndValues ...string) state.Labels {
	m := map[string]string{}
	for i := 0; i < len(keysAndValues); i += 2 {
		m[keysAndValues[i]] = keysAndValues[i+1]
	}
	return state.LabelsOf(m)
}

// gallery is a task for each thing a list can be asked for, in order.
type gallery struct {
	created, running, failing, suspended, leafRuns, revoked, finished, failed *writer
}

func newGallery(c *trial) (g gallery) {
	c.Helper()
	leaf := func(w *writer, ops ...state.OpKind) *writer {
		c.Helper()
		id := w.root() + ".n"
		w.do(declare(id, w.root(), state.ServiceActivity))
		for _, kind := range ops {
			w.do(on(kind, id))
		}
		return w
	}
	end := func(w *writer, kind state.OpKind) *writer {
		c.Helper()
		w.do(on(kind, w.root()))
		return w
	}
	g.created = c.task("2", "created")
	g.created.do(create("created"))
	g.running = leaf(c.started("2", "running"))
	g.failing = leaf(c.started("22", "failing"), state.Start, state.Fail)
	g.suspended = end(leaf(c.started("2", "suspended")), state.Suspend)
	g.leafRuns = end(leaf(c.started("3", "leaf runs"), state.Start), state.Revoke)
	g.revoked = end(c.started("3", "revoked"), state.Revoke)
	g.finished = end(leaf(c.started("2", "finished"), state.Start, state.Finish), state.Finish)
	g.failed = end(leaf(c.started("2", "failed"), state.Start, state.Fail), state.Fail)
	return g
}

func listSelects(c *trial) {
	g := newGallery(c)
	shows := func(states ...state.State) store.ListQuery { return store.ListQuery{Shown: states} }
	c.reopen()
	c.expectList(store.ListQuery{Business: "2"}, g.failed, g.finished, g.suspended, g.running, g.created)
	c.expectList(store.ListQuery{Business: "22"}, g.failing)
	c.expectList(store.ListQuery{Business: "3"}, g.revoked, g.leafRuns)
	c.expectList(store.ListQuery{Business: "4"})
	c.expectList(shows(state.Created), g.created)
	c.expectList(shows(state.Running), g.running)
	c.expectList(shows(state.Failed), g.failed, g.failing)
	c.expectList(shows(state.Revoked, state.Suspended), g.revoked, g.leafRuns, g.suspended)
	c.expectList(store.ListQuery{Unfinished: true}, g.leafRuns, g.suspended, g.failing, g.running, g.created)
	c.expectList(store.ListQuery{Unfinished: true, Business: "2"}, g.suspended, g.running, g.created)
	c.expectList(store.ListQuery{Unfinished: true, Shown: []state.State{state.Revoked, state.Failed}}, g.leafRuns, g.failing)
	c.expectList(store.ListQuery{Business: "2", Shown: []state.State{state.Failed}, Limit: 1}, g.failed)
	c.expectList(store.ListQuery{Business: "2", Shown: []state.State{state.Failed}, Unfinished: true})

	// A changed task moves from one selection to the other.
	g.leafRuns.do(on(state.Fail, "leaf runs.n"))
	g.failing.do(on(state.Skip, "failing.n"))
	g.running.do(on(state.Finish, "running"))
	c.reopen()
	c.expectList(store.ListQuery{Unfinished: true}, g.suspended, g.failing, g.created)
	c.expectList(shows(state.Running), g.failing)
	c.expectList(shows(state.Finished), g.finished, g.running)
	c.expectList(store.ListQuery{Business: "3", Unfinished: true})
}

func listTimes(c *trial) {
	at := func(sec int64, nsec int) state.Instant { return state.UnixInstant(sec, nsec) }
	recorded := func(task string, now state.Instant) *writer {
		w := c.task("2", task)
		w.do(with(create(task), func(op *state.Op) { op.Now, op.At = now, at(5_000, 0) }))
		return w
	}
	ancient, epoch := recorded("ancient", at(-62135596800, 0)), recorded("epoch", at(0, 0))
	late, early := recorded("late", at(1_000, 2)), recorded("early", at(1_000, 1))
	last := recorded("last", at(253402300799, 999_999_999))
	c.reopen()
	c.expectList(store.ListQuery{}, last, early, late, epoch, ancient)
	c.expectList(store.ListQuery{Recorded: store.Span{Since: at(-62135596800, 0)}}, last, early, late, epoch, ancient)
	c.expectList(store.ListQuery{Recorded: store.Span{Since: at(0, 0)}}, last, early, late, epoch)
	c.expectList(store.ListQuery{Recorded: store.Span{Since: at(0, 1)}}, last, early, late)
	c.expectList(store.ListQuery{Recorded: store.Span{Since: at(1_000, 2)}}, last, late)
	c.expectList(store.ListQuery{Recorded: store.Span{Until: at(0, 0)}}, ancient)
	c.expectList(store.ListQuery{Recorded: store.Span{Until: at(-62135596800, 0)}})
	c.expectList(store.ListQuery{Recorded: store.Span{Until: at(1_000, 2)}}, early, epoch, ancient)
	c.expectList(store.ListQuery{Recorded: store.Span{Since: at(1_000, 1), Until: at(1_000, 2)}, Business: "2"}, early)
	c.expectList(store.ListQuery{Recorded: store.Span{Since: at(1_000, 1), Until: at(1_000, 1)}})
	c.expectList(store.ListQuery{Recorded: store.Span{Since: at(2_000, 0), Until: at(6_000, 0)}})

	// The creation was given the time 5,000, so nothing starts before.
	late.do(with(on(state.Start, "late"), func(op *state.Op) { op.At = at(7_000, 0) }))
	epoch.do(
		with(on(state.Start, "epoch"), func(op *state.Op) { op.At = at(8_000, 5) }),
		with(on(state.Finish, "epoch"), func(op *state.Op) { op.At = at(9_000, 0) }),
	)
	for range 2 {
		c.expectList(store.ListQuery{Started: store.Span{Since: at(7_000, 0)}}, late, epoch)
		c.expectList(store.ListQuery{Started: store.Span{Since: at(7_000, 1)}}, epoch)
		c.expectList(store.ListQuery{Started: store.Span{Until: at(8_000, 5)}}, late)
		c.expectList(store.ListQuery{Started: store.Span{Until: at(8_000, 6)}, Recorded: store.Span{Until: at(1, 0)}}, epoch)
		c.expectList(store.ListQuery{Finished: store.Span{Since: at(0, 0)}}, epoch)
		c.expectList(store.ListQuery{Finished: store.Span{Until: at(9_000, 0)}})
		c.reopen()
	}
}

// crowd is n tasks of two businesses, in order, every third one started and
// labeled, and of those that are named even half have failures.
func crowd(c *trial, n int) (tasks []*writer) {
	c.Helper()
	var drafts []*draft
	for i := range n {
		w := c.task(fmt.Sprint("b", i%2), fmt.Sprint("t", i))
		root := w.key().Task
		ops := []state.Op{create(root)}
		if i%2 == 0 {
			ops[0].Name = "even"
		}
		if i%3 == 0 {
			ops[0].Labels = labels("third", "")
			ops = append(ops, on(state.Start, root))
		}
		if i%12 == 6 { // one leaf failed, another one runs
			ops = append(
				ops, declare("x"+root, root, state.EndEvent), on(state.Start, "x"+root),
				declare("y"+root, root, state.EndEvent), on(state.Start, "y"+root), on(state.Fail, "y"+root),
			)
		}
		tasks = append(tasks, w)
		drafts = append(drafts, w.draft(ops...))
	}
	c.commit(drafts...)
	return tasks
}

// newest returns the tasks for which keep is true, newest first.
func newest(tasks []*writer, keep func(w *writer) bool) (list []*writer) {
	for i := range tasks {
		if w := tasks[len(tasks)-1-i]; keep(w) {
			list = append(list, w)
		}
	}
	return list
}

func listPages(c *trial) {
	tasks := crowd(c, 40)
	for _, w := range tasks[20:30] {
		w.delete()
	}
	tasks = append(tasks[:20:20], tasks[30:]...)
	c.reopen()
	queries := []store.ListQuery{
		{},
		{Business: "b1"},
		{Unfinished: true},
		{Shown: []state.State{state.Running}},
		{Business: "b0", Shown: []state.State{state.Created}},
		{Recorded: store.Span{Since: tasks[3].header.Recorded, Until: tasks[25].header.Recorded}},
		{HasFailures: true},
		{Name: "even"},
		{Labels: labels("third", "")},
		{Labels: labels("third", ""), Name: "even", Unfinished: true},
	}
	for i := range 2 * len(queries) {
		q := queries[i/2]
		q.OldestFirst = i%2 == 1
		want := newest(tasks, func(w *writer) bool { return q.Matches(&w.header) })
		if q.OldestFirst {
			slices.Reverse(want)
		}
		for _, limit := range []int{-1, 0, 1, 2, 7, 29, 30, 31, 1_000, math.MaxInt} {
			q.Limit = limit
			c.expectList(q, want...)
		}
	}
}
