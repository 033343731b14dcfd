package storetest

import (
	"fmt"
	"math"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var transitionCases = []testCase{
	{
		"transitions come back as committed",
		"Transitions returns the committed transitions, field by field, with their sequences",
		transitionsEqual,
	},
	{
		"transitions come in pages",
		"Transitions returns those after a sequence, up to limit, fewer only at the end",
		transitionPages,
	},
}

var attemptCases = []testCase{
	{
		"attempts come back with the current one",
		"Attempts returns a node's superseded attempts as they were, oldest first, and the current one last",
		attemptsEqual,
	},
	{
		"attempts come in pages",
		"Attempts leaves out the first skip and returns up to limit, fewer only at the end",
		attemptPages,
	},
}

var feedCases = []testCase{
	{
		"changes come back as committed",
		"Feed returns the transitions of all tasks in the order of their sequences, field by field",
		changesEqual,
	},
	{
		"changes come in pages",
		"Feed returns those after a sequence, up to limit, fewer only at the end, with First and Last of the kept transitions",
		changePages,
	},
	{
		"no changes after the last",
		"Feed after the last position, or after End, returns no transitions, no error, and the same First and Last",
		changesBeyond,
	},
	{
		"a page without limit has a thousand entries",
		"a limit of 0 or less stands for DefaultLimit, for transitions, attempts and changes",
		defaultLimits,
	},
}

func transitionsEqual(c *trial) {
	a, b := c.task("2", "a"), c.task("2", "b")
	a.do(create("a"))
	tour(b)
	a.do(on(state.Start, "a"))
	check := func() {
		c.Helper()
		c.reopen()
		for _, w := range []*writer{a, b} {
			if d := diffTransitions(c.transitions(w.key(), 0), w.transitions); d != "" {
				c.broken("transitions of task %s: %s", w.key(), d)
			}
		}
	}
	check()
	b.do(on(state.Resume, "b"), on(state.Revoke, "b"))
	a.do(on(state.Revoke, "a"))
	check()
}

// limitsFor are limits to try for a list of n.
func limitsFor(n int) []int { return []int{1, 2, 7, n - 1, n, n + 1, math.MaxInt} }

func transitionPages(c *trial) {
	a, b := c.started("2", "a"), c.started("2", "b")
	for i := range 12 {
		a.do(declare(fmt.Sprint("a", i), "a", state.EndEvent), declare(fmt.Sprint("x", i), "a", state.EndEvent))
		b.do(declare(fmt.Sprint("b", i), "b", state.EndEvent))
		if i == 6 {
			c.reopen()
		}
	}
	c.reopen()
	want := a.transitions
	afters := []uint64{0, c.last(), c.last() + 1, math.MaxUint64}
	for _, tr := range want {
		afters = append(afters, tr.Sequence-1, tr.Sequence)
	}
	for _, after := range afters {
		rest := want
		for len(rest) > 0 && rest[0].Sequence <= after {
			rest = rest[1:]
		}
		for _, limit := range limitsFor(len(want)) {
			got, err := c.store.Transitions(c.Context(), a.key(), after, limit)
			c.want("transitions", err, nil)
			if d := diffTransitions(got, rest[:min(limit, len(rest))]); d != "" {
				c.broken("transitions after %d, limit %d: %s", after, limit, d)
			}
		}
	}
}

func attemptsEqual(c *trial) {
	a, b := c.task("2", "a"), c.task("2", "b")
	tour(a)
	tour(b)
	c.reopen()
	a.expectNodes()
	if got := len(a.attempts["a.b"]); got < 4 {
		c.Fatalf("the suite's tour leaves %d attempts of a node", got)
	}
	a.do(on(state.Resume, "a"), on(state.Loop, "a.b"))
	c.reopen()
	a.expectNodes()
	b.expectNodes()
}

// loops makes a node of a new task loop n times, so that it has n attempts.
func loops(c *trial, task string, n int) *writer {
	c.Helper()
	w := c.started("2", task)
	node := task + ".n"
	w.do(declare(node, task, state.ServiceActivity), on(state.Start, node))
	for n > 0 {
		var ops []state.Op
		for range min(n, 300) {
			ops = append(ops, on(state.Finish, node), on(state.Loop, node))
		}
		w.do(ops...)
		n -= min(n, 300)
	}
	return w
}

func attemptPages(c *trial) {
	w, other := loops(c, "a", 9), loops(c, "b", 2)
	c.reopen()
	w.do(on(state.Fail, "a.n"), on(state.Retry, "a.n"))
	for _, w := range []*writer{w, other} {
		node := w.root() + ".n"
		want := w.wantAttempts(node)
		for _, skip := range []int{0, 1, 2, len(want) - 1, len(want), len(want) + 1, math.MaxInt} {
			rest := want[min(skip, len(want)):]
			for _, limit := range limitsFor(len(want)) {
				got, err := c.store.Attempts(c.Context(), store.ByNode(node), store.AttemptQuery{Skip: skip, Limit: limit})
				c.want("attempts", err, nil)
				if d := diffAttempts(got, rest[:min(limit, len(rest))]); d != "" {
					c.broken("attempts of node %q, skip %d, limit %d: %s", node, skip, limit, d)
				}
			}
		}
	}
}

func changesEqual(c *trial) {
	c.expectFeed()
	a, b := c.started("2", "a"), c.task("3", "b")
	tour(b)
	c.commit(a.draft(on(state.Suspend, "a")), b.draft(on(state.Resume, "b")))
	c.reopen()
	c.expectFeed()
	b.delete()
	c.commit(a.draft(on(state.Resume, "a")), b.draft(create("b")))
	c.reopen()
	c.expectFeed()
}

func changePages(c *trial) {
	c.wantEnds(0)
	a, b := c.started("2", "a"), c.started("3", "b")
	for i := range 8 {
		c.commit(
			a.draft(declare(fmt.Sprint("a", i), "a", state.EndEvent), declare(fmt.Sprint("x", i), "a", state.EndEvent)),
			b.draft(declare(fmt.Sprint("b", i), "b", state.EndEvent)),
		)
		if i == 4 {
			c.reopen()
		}
	}
	b.delete()
	c.reopen()
	c.wantEnds(c.last())
	feed, err := c.store.Feed(c.Context(), store.Position{}, 0)
	c.want("changes", err, nil)
	positions := []store.Position{{}}
	for event := range feed.Events() {
		positions = append(positions, event.Position)
	}
	for _, after := range positions {
		for _, limit := range limitsFor(len(positions)) {
			feed, err := c.store.Feed(c.Context(), after, limit)
			c.want("changes", err, nil)
			c.wantPage(&feed, after, limit)
			c.wantEnd(&feed, after)
		}
	}
}

// wantEnds checks First and Last of a feed of which nothing was trimmed.
func (c *trial) wantEnds(last uint64) {
	c.Helper()
	for _, after := range []store.Position{store.End, c.at(last)} {
		feed, err := c.store.Feed(c.Context(), after, 0)
		c.want(fmt.Sprintf("changes after %s", after), err, nil)
		if len(feed.Transitions) > 0 || feed.Last.In(last) != last {
			c.broken("changes after %s: %d transitions, up to %s, want none, up to %d", after, len(feed.Transitions), feed.Last, last)
		}
		c.wantEnd(&feed, after)
	}
}

// wantEnd checks First and Last of a page.
func (c *trial) wantEnd(feed *store.FeedPage, after store.Position) {
	c.Helper()
	if feed.First != 1 || feed.Start() != (store.Position{}) || len(c.after(feed.Last)) > 0 {
		c.broken("changes after %s say they are from %d, %s, to %s", after, feed.First, feed.Start(), feed.Last)
	}
}

func changesBeyond(c *trial) {
	c.reopen()
	c.wantEnds(0)
	w := c.started("2", "a")
	c.reopen()
	c.wantEnds(c.last())
	w.delete()
	c.reopen()
	c.wantEnds(c.last())
}

func defaultLimits(c *trial) {
	w := loops(c, "a", store.DefaultLimit+1)
	c.reopen()
	for _, limit := range []int{0, -1, math.MinInt} {
		trs, err := c.store.Transitions(c.Context(), w.key(), 0, limit)
		c.want("transitions", err, nil)
		feed, err := c.store.Feed(c.Context(), store.Position{}, limit)
		c.want("changes", err, nil)
		attempts, err := c.store.Attempts(c.Context(), store.ByNode("a.n"), store.AttemptQuery{Limit: limit})
		c.want("attempts", err, nil)
		for what, n := range map[string]int{"transitions": len(trs), "changes": len(feed.Transitions), "attempts": len(attempts)} {
			if n != store.DefaultLimit {
				c.broken("%d %s for limit %d, want %d", n, what, limit, store.DefaultLimit)
			}
		}
	}
	if d := diffAttempts(c.attempts(store.ByNode("a.n"), store.DefaultLimit), w.wantAttempts("a.n")[store.DefaultLimit:]); d != "" {
		c.broken("attempts after the first page: %s", d)
	}
	c.expectFeed()
}

// attempts reads all attempts of a node, without the first skip, with their data.
func (c *trial) attempts(ref store.Ref, skip int) (all []store.Attempt) {
	c.Helper()
	for {
		page, err := c.store.Attempts(c.Context(), ref, store.AttemptQuery{Skip: skip + len(all), Data: true})
		c.want("attempts of "+ref.String(), err, nil)
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
	}
}
