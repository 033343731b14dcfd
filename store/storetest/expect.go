package storetest

import (
	"cmp"
	"slices"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// load returns a tree that must exist.
func (c *trial) load(ref store.Ref) store.Snapshot {
	c.Helper()
	snap, err := c.store.Load(c.Context(), ref)
	c.want("load "+ref.String(), err, nil)
	return snap
}

// expectTree checks that the store has the same tree as the writer.
func (w *writer) expectTree() {
	w.c.Helper()
	if d := diffTrees(w.c.load(w.ref()).Tree, w.tree); d != "" {
		w.c.broken("load %s: %s", w.ref(), d)
	}
}

// expect checks everything that can be read of the task.
func (w *writer) expect() {
	w.c.Helper()
	w.expectTree()
	w.expectNodes()
	if d := diffTransitions(w.c.transitions(w.key(), 0), w.transitions); d != "" {
		w.c.broken("transitions of task %s: %s", w.key(), d)
	}
	listed := w.c.listed(w.key())
	if d := diffLists("headers", listed, []store.Task{w.header}); d != "" {
		w.c.broken("list of task %s: %s", w.key(), d)
	}
}

// expectNodes checks lookups by node, and the attempts of nodes. In a large task it
// checks a sample.
func (w *writer) expectNodes() {
	w.c.Helper()
	want := store.Location{Key: w.key(), Revision: w.revision()}
	refs := []store.Ref{w.ref()}
	for i := 0; i < w.tree.Len(); i += 1 + w.tree.Len()/150 {
		refs = append(refs, store.ByNode(w.tree.ID(i)))
	}
	for _, ref := range refs {
		got, err := w.c.store.Locate(w.c.Context(), ref)
		w.c.want("locate "+ref.String(), err, nil)
		if got != want {
			w.c.broken("locate %s: %+v, want %+v", ref, got, want)
		}
		if ref.Node == "" {
			continue
		}
		if d := diffAttempts(w.c.attempts(ref, 0), w.wantAttempts(ref.Node)); d != "" {
			w.c.broken("attempts of %s: %s", ref, d)
		}
	}
}

// expectAbsent checks that nothing can be read of a task and its nodes.
func (c *trial) expectAbsent(key state.Key, nodes ...string) {
	c.Helper()
	refs := []store.Ref{{Key: key}}
	for _, id := range nodes {
		refs = append(refs, store.ByNode(id))
		_, err := c.store.Attempts(c.Context(), store.ByNode(id), store.AttemptQuery{})
		c.want("attempts of node "+id, err, state.ErrNotFound)
	}
	for _, ref := range refs {
		_, err := c.store.Load(c.Context(), ref)
		c.want("load "+ref.String(), err, state.ErrNotFound)
		_, err = c.store.Locate(c.Context(), ref)
		c.want("locate "+ref.String(), err, state.ErrNotFound)
	}
	_, err := c.store.Transitions(c.Context(), key, 0, 0)
	c.want("transitions of task "+key.String(), err, state.ErrNotFound)
	if tasks := c.listed(key); len(tasks) > 0 {
		c.broken("list has task %s", key)
	}
}

// expectFeed checks that the feed has all committed transitions, from the first.
func (c *trial) expectFeed() {
	c.Helper()
	if d := diffTransitions(c.changes(store.Position{}), c.history()); d != "" {
		c.broken("changes: %s", d)
	}
}

// byLog checks that the transitions of each log ascend and returns all, log by log.
func (c *trial) byLog(trs []*state.Transition) []*state.Transition {
	c.Helper()
	var last [store.MaxLogs]uint64
	for _, tr := range trs {
		log := &last[store.LogOf(tr.Sequence)]
		if tr.Sequence <= *log {
			c.broken("changes: sequence %d after %d", tr.Sequence, *log)
		}
		*log = tr.Sequence
	}
	sorted := slices.Clone(trs)
	slices.SortFunc(sorted, func(a, b *state.Transition) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return sorted
}

// after returns the transitions that were committed after a position.
func (c *trial) after(at store.Position) []*state.Transition {
	return slices.DeleteFunc(c.history(), func(tr *state.Transition) bool { return at.Has(tr.Sequence) })
}

// wantPage checks that a page of the feed has so many of the transitions behind a
// position, those of each log without a gap.
func (c *trial) wantPage(feed *store.FeedPage, after store.Position, limit int) {
	c.Helper()
	want := c.after(after)
	if len(feed.Transitions) != min(limit, len(want)) {
		c.broken("changes after %s, limit %d: %d transitions, want %d", after, limit, len(feed.Transitions), min(limit, len(want)))
	}
	next := feed.After()
	want = slices.DeleteFunc(want, func(tr *state.Transition) bool { return !next.Has(tr.Sequence) })
	if d := diffTransitions(c.byLog(feed.Transitions), want); d != "" {
		c.broken("changes after %s, limit %d: %s", after, limit, d)
	}
}

// expectNothing checks that the store has no task.
func (c *trial) expectNothing() {
	c.Helper()
	c.expectFeed()
	if tasks := c.list(store.ListQuery{}); len(tasks) > 0 {
		c.broken("list has %d tasks, want none", len(tasks))
	}
}

// at is the position of a sequence in the store's present history.
func (c *trial) at(sequence uint64) store.Position {
	c.Helper()
	last, err := store.Last(c.Context(), c.store)
	c.want("last position", err, nil)
	return last.At(sequence)
}

// changes reads the feed after a position, to its end, and returns it log by log.
func (c *trial) changes(after store.Position) (all []*state.Transition) {
	c.Helper()
	for {
		feed, err := c.store.Feed(c.Context(), after, 0)
		c.want("changes", err, nil)
		if len(feed.Transitions) == 0 {
			return c.byLog(all)
		}
		all = append(all, feed.Transitions...)
		if next := feed.After(); after.Lag(next) == 0 {
			c.broken("a page after position %s ends at %s", after, next)
		}
		after = feed.After()
	}
}

// transitions reads a task's transitions after a sequence, to the last.
func (c *trial) transitions(key state.Key, after uint64) (all []*state.Transition) {
	c.Helper()
	for {
		trs, err := c.store.Transitions(c.Context(), key, after, 0)
		c.want("transitions of task "+key.String(), err, nil)
		if len(trs) == 0 {
			return all
		}
		all = append(all, trs...)
		after = c.forward(after, trs)
	}
}

// forward checks that paging makes progress.
func (c *trial) forward(after uint64, trs []*state.Transition) uint64 {
	c.Helper()
	next := trs[len(trs)-1].Sequence
	if next <= after {
		c.broken("a page after sequence %d ends with %d", after, next)
	}
	return next
}

// list reads all pages.
func (c *trial) list(q store.ListQuery) (all []store.Task) {
	c.Helper()
	for {
		page := c.page(q)
		all = append(all, page.Tasks...)
		if page.Cursor == "" {
			return all
		}
		q.Cursor = page.Cursor
	}
}

// page reads one page, which must not be too long or repeat the previous page.
func (c *trial) page(q store.ListQuery) store.ListPage {
	c.Helper()
	page, err := c.store.List(c.Context(), q)
	c.want("list", err, nil)
	limit := q.Limit
	if limit <= 0 {
		limit = store.DefaultLimit
	}
	if len(page.Tasks) > limit {
		c.broken("a page of %d tasks, the limit is %d", len(page.Tasks), limit)
	}
	if page.Cursor != "" && page.Cursor == q.Cursor {
		c.broken("a page has the cursor it was asked for with, %q", page.Cursor)
	}
	return page
}

// listed returns the headers of a task that lists show.
func (c *trial) listed(key state.Key) []store.Task {
	c.Helper()
	return slices.DeleteFunc(c.list(store.ListQuery{Business: key.Business}), func(t store.Task) bool { return t.Key != key })
}

// expectList checks the keys of a list, in order.
func (c *trial) expectList(q store.ListQuery, want ...*writer) {
	c.Helper()
	c.expectTasks(show(q), c.list(q), want...)
}

func (c *trial) expectTasks(what string, tasks []store.Task, want ...*writer) {
	c.Helper()
	var got, keys []state.Key
	for _, t := range tasks {
		got = append(got, t.Key)
	}
	for _, w := range want {
		keys = append(keys, w.key())
	}
	if c.factory.Logs { // which are merged by their clocks
		got, keys = byBusiness(got), byBusiness(keys)
	}
	if !slices.Equal(got, keys) {
		c.broken("list %s: %v, want %v", what, got, keys)
	}
}

func byBusiness(keys []state.Key) []state.Key {
	slices.SortStableFunc(keys, func(a, b state.Key) int { return cmp.Compare(a.Business, b.Business) })
	return keys
}
