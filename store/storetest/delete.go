package storetest

import (
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var deleteCases = []testCase{
	{
		"a delete removes all of a task",
		"after a delete nothing can be read of the task, its nodes, attempts and transitions, and its neighbors are untouched",
		deleteRemoves,
	},
	{
		"a delete takes a sequence",
		"a delete takes one sequence and is in the changes feed, after the task's transitions, which stay there",
		deleteInFeed,
	},
	{
		"a delete frees the key and the IDs",
		"after a delete the task's key and node IDs can be used again, by a task with a new number and without data of the old one",
		deleteFrees,
	},
	{
		"a delete at a stale revision conflicts",
		"a delete applies only to the revision it was computed from: ErrConflict at any other",
		deleteStale,
	},
	{
		"a task created again is another task",
		"a change computed from a deleted task does not apply to one created under its key: ErrConflict",
		recreatedConflicts,
	},
}

// doomed is a task with every kind of value, between two neighbors.
func doomed(c *trial) (w *writer, neighbors []*writer) {
	c.Helper()
	neighbors = []*writer{c.started("2", "1"), c.started("2", "100")}
	w = c.task("2", "10")
	tour(w)
	for _, n := range neighbors {
		n.do(declare(n.root()+".n", n.root(), state.ServiceActivity))
	}
	return w, neighbors
}

func nodeIDs(t *state.Tree) (ids []string) {
	for i := range t.Len() {
		ids = append(ids, t.ID(i))
	}
	return ids
}

func deleteRemoves(c *trial) {
	w, neighbors := doomed(c)
	ids := nodeIDs(w.tree)
	c.reopen()
	w.expect()
	w.delete()
	c.expectAbsent(w.key(), ids...)
	c.reopen()
	c.expectAbsent(w.key(), ids...)
	for _, n := range neighbors {
		n.expect()
	}
	c.expectList(store.ListQuery{}, neighbors[1], neighbors[0])
}

func deleteInFeed(c *trial) {
	w, neighbors := doomed(c)
	before := c.last()
	c.reopen()
	if r := c.commit(w.deletion())[0]; r.First != before+1 {
		c.broken("the delete has sequence %d, want %d", r.First, before+1)
	}
	neighbors[0].do(on(state.Suspend, neighbors[0].root()))
	c.reopen()
	c.expectFeed()
	feed, err := c.store.Feed(c.Context(), c.at(before), 1)
	c.want("changes", err, nil)
	if len(feed.Transitions) != 1 || feed.Transitions[0].Op != state.Delete || feed.Transitions[0].Task != w.key() {
		c.broken("the change after sequence %d is not the delete of task %s", before, w.key())
	}
}

func deleteFrees(c *trial) {
	w, neighbors := doomed(c)
	ids := nodeIDs(w.tree)
	w.delete()
	deleted := c.last()
	c.reopen()

	// Use its key with one of its IDs as the root, and another of its IDs elsewhere.
	w.do(create(ids[1]), on(state.Start, ids[1]))
	neighbors[0].do(declare(ids[2], neighbors[0].root(), state.ServiceActivity))
	c.reopen()
	w.expect()
	neighbors[0].expect()
	if got := c.listed(w.key())[0].Number; got != deleted+1 {
		c.broken("the task created again has number %d, want its first sequence %d", got, deleted+1)
	}
	c.expectAbsent(state.Key{Business: "2", Task: "none"}, ids[0], ids[3])
	c.expectList(store.ListQuery{}, w, neighbors[1], neighbors[0])

	// Create the old task again, twice.
	neighbors[0].delete()
	for range 2 {
		w.delete()
		tour(w)
		c.reopen()
		w.expect()
	}
	c.expectFeed()
}

func deleteStale(c *trial) {
	w := c.started("2", "10")
	old := w.deletion()
	w.do(on(state.Suspend, "10"))
	ahead := w.deletion()
	ahead.change.Base++
	c.reopen()
	c.wantResult("a delete from an earlier revision", c.offer(old)[0], store.ErrConflict)
	c.wantResult("a delete from a later revision", c.offer(ahead)[0], store.ErrConflict)
	w.expect()
	gone := w.deletion()
	w.delete()
	c.wantResult("a delete of a deleted task", c.offer(gone)[0], store.ErrConflict)
	c.reopen()
	c.expectAbsent(w.key(), "10")
	c.expectFeed()
}

func recreatedConflicts(c *trial) {
	w := c.started("2", "10")
	old := *w // continues from the deleted task
	w.delete()
	c.reopen()
	c.wantResult("a change of a deleted task", c.offer(old.draft(on(state.Suspend, "10")))[0], store.ErrConflict)
	w.do(create("10"), on(state.Start, "10"))
	for _, d := range []*draft{old.draft(on(state.Suspend, "10")), old.deletion()} {
		c.wantResult("a change of the task before", c.offer(d)[0], store.ErrConflict)
	}
	c.reopen()
	w.expect()
	c.expectFeed()
}
