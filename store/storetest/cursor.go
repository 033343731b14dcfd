package storetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var cursorCases = []testCase{
	{
		"tasks created between pages do not appear",
		"a task created (for the first time or again) while pages are read does not appear on later pages, and all others appear once",
		createdBetweenPages,
	},
	{
		"tasks changed between pages appear once at most",
		"a task that changes while pages are read appears at most once, by its state when its page is read",
		changedBetweenPages,
	},
	{
		"a cursor outlives its task",
		"a cursor stays valid when tasks around it are deleted; deleted tasks do not appear, all others appear once",
		deletedBetweenPages,
	},
	{
		"foreign cursors are refused",
		"a cursor that no List returned is ErrInvalidArgument",
		foreignCursor,
	},
	{
		"an invalid query is refused",
		"a list of unknown states, or of an invalid business ID, is ErrInvalidArgument",
		senseless,
	},
	{
		"a cursor is valid for one order",
		"a cursor of a list of the other order is ErrInvalidArgument",
		otherOrder,
	},
	{
		"tasks created between pages come last if the oldest come first",
		"a task created while pages are read, oldest first, appears at the end",
		createdWhileOldestFirst,
	},
	{
		"a page without limit has a thousand tasks at most",
		"a List without a limit returns at most DefaultLimit tasks",
		listDefaultLimit,
	},
}

func everything(*writer) bool { return true }

// someTasks reads pages of up to three until it has at least n tasks and
// returns the query for the rest.
func (c *trial) someTasks(q store.ListQuery, n int) ([]store.Task, store.ListQuery) {
	c.Helper()
	var tasks []store.Task
	for len(tasks) < n {
		q.Limit = 3
		page := c.page(q)
		tasks = append(tasks, page.Tasks...)
		if q.Cursor = page.Cursor; q.Cursor == "" {
			c.broken("list ended after %d tasks, want at least %d", len(tasks), n)
		}
	}
	return tasks, q
}

func createdBetweenPages(c *trial) {
	tasks := crowd(c, 20)
	want := newest(tasks, everything)
	seen, q := c.someTasks(store.ListQuery{}, 5)
	for i := 0; q.Cursor != ""; i++ {
		c.started("b0", fmt.Sprint("late", i))
		if i == 0 { // the oldest, which is not listed yet, becomes the newest
			want[len(want)-1].delete()
			want[len(want)-1].do(create("again"))
			want = want[:len(want)-1]
		}
		c.reopen()
		page := c.page(q)
		seen = append(seen, page.Tasks...)
		q.Cursor = page.Cursor
	}
	c.expectTasks("of pages", seen, want...)
}

func changedBetweenPages(c *trial) {
	tasks := crowd(c, 18) // every third is started
	q := store.ListQuery{Shown: []state.State{state.Running}}
	want := newest(tasks, func(w *writer) bool { return w.header.Shown == state.Running })
	seen, q := c.someTasks(q, 2)
	n := len(seen)
	listed, ahead := want[:n], want[n:]
	// Of those listed one no longer matches; of those ahead one no longer
	// does, and one does now.
	listed[0].do(on(state.Suspend, listed[0].root()))
	ahead[0].do(on(state.Suspend, ahead[0].root()))
	tasks[1].do(on(state.Start, tasks[1].root()))
	c.reopen()
	seen = append(seen, c.list(q)...)
	want = append(listed[:n:n], ahead[1:len(ahead)-1]...)
	c.expectTasks("of RUNNING tasks", seen, append(want, tasks[1], tasks[0])...)
	if got := seen[len(seen)-2]; got != tasks[1].header {
		c.broken("listed %s, want %s", show(got), show(tasks[1].header))
	}
}

func deletedBetweenPages(c *trial) {
	tasks := crowd(c, 20)
	want := newest(tasks, everything)
	seen, q := c.someTasks(store.ListQuery{}, 5)
	n := len(seen)
	for _, w := range want[n-1 : n+3] { // the last one listed and what follows
		w.delete()
	}
	c.reopen()
	seen = append(seen, c.list(q)...)
	c.expectTasks("of pages", seen, append(want[:n:n], want[n+3:]...)...)
}

func foreignCursor(c *trial) {
	crowd(c, 5)
	c.reopen()
	for _, cursor := range []string{
		"no cursor", "-1", " ", "\x00", "\xff\xfe", "é", "2/t3", strings.Repeat("z", 300), strings.Repeat("9", 30),
	} {
		for _, q := range []store.ListQuery{{}, {Business: "b1"}, {Unfinished: true}, {OldestFirst: true}} {
			q.Cursor = cursor
			_, err := c.store.List(c.Context(), q)
			c.want(fmt.Sprintf("list with cursor %.40q", cursor), err, state.ErrInvalidArgument)
		}
	}
}

func senseless(c *trial) {
	crowd(c, 5)
	c.reopen()
	for what, q := range map[string]store.ListQuery{
		"an unknown state":         {Shown: []state.State{99}},
		"a known and no state":     {Shown: []state.State{state.Created, 0}},
		"a business not in UTF-8":  {Business: "\xff"},
		"a business that is long":  {Business: strings.Repeat("x", state.MaxIDBytes+1)},
		"a business and a control": {Business: "2\n"},
	} {
		_, err := c.store.List(c.Context(), q)
		c.want("list of "+what, err, state.ErrInvalidArgument)
	}
}

func otherOrder(c *trial) {
	crowd(c, 5)
	c.reopen()
	for _, q := range []store.ListQuery{{Limit: 2}, {Limit: 2, OldestFirst: true}} {
		q.Cursor = c.page(q).Cursor
		q.OldestFirst = !q.OldestFirst
		_, err := c.store.List(c.Context(), q)
		c.want("list with a cursor of the other order", err, state.ErrInvalidArgument)
	}
}

func createdWhileOldestFirst(c *trial) {
	tasks := crowd(c, 10)
	seen, q := c.someTasks(store.ListQuery{OldestFirst: true}, 5)
	tasks = append(tasks, c.started("b0", "late"))
	tasks[7].delete()
	c.reopen()
	seen = append(seen, c.list(q)...)
	c.expectTasks("of pages, oldest first", seen, slices.Delete(tasks, 7, 8)...)
}

func listDefaultLimit(c *trial) {
	tasks := crowd(c, store.DefaultLimit+5)
	c.reopen()
	c.expectList(store.ListQuery{}, newest(tasks, everything)...)
	c.expectList(store.ListQuery{Limit: store.DefaultLimit + 1}, newest(tasks, everything)...)
}
