package storetest

import (
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var ownershipCases = []testCase{
	{
		"a store keeps nothing of its caller's",
		"after Commit the caller may overwrite everything it passed, and the store shows what was committed",
		keepsNothing,
	},
	{
		"a commit does not modify its changes",
		"Commit does not modify the changes it is given, whether they apply or not",
		modifiesNothing,
	},
	{
		"returned values belong to the caller",
		"a caller may overwrite the slices a store returned, and the store shows what was committed",
		returnsCopies,
	},
}

func keepsNothing(c *trial) {
	w := c.task("2", "10")
	steps := [][]state.Op{
		{create("10"), on(state.Start, "10"), declare("n", "10", state.ServiceActivity), on(state.Start, "n"), on(state.Fail, "n")},
		{on(state.Retry, "n"), declare("m", "10", state.EndEvent)},
	}
	for _, ops := range steps {
		d := w.draft(ops...)
		changes := []store.Write{{Base: d.change.Base, Transitions: copyTransitions(d.change.Transitions)}}
		results, err := c.store.Commit(c.Context(), changes)
		c.want("commit", err, nil)
		c.wantResult("the change", results[0], nil)
		scribble(changes)
		d.accept(results[0].First)
		w.expect()
	}
	gone := c.started("2", "gone")
	d := gone.deletion()
	changes := []store.Write{{Base: d.change.Base, Transitions: copyTransitions(d.change.Transitions)}}
	results, err := c.store.Commit(c.Context(), changes)
	c.want("commit", err, nil)
	scribble(changes)
	d.accept(results[0].First)
	c.reopen()
	w.expect()
	c.expectAbsent(gone.key(), "gone")
	c.expectFeed()
}

// scribble overwrites everything that changes refer to.
func scribble(changes []store.Write) {
	for i := range changes {
		for j, tr := range changes[i].Transitions {
			for k := range tr.Changes {
				n := &tr.Changes[k]
				if n.Declared != nil {
					*n.Declared = state.Declaration{Parent: "scribble", ParentIndex: 99, Name: "scribble"}
				}
				if n.Superseded != nil {
					*n.Superseded = state.Attempt{Error: "scribble", Loop: 99}
				}
				*n = state.Change{ID: "scribble", Index: 99}
			}
			*tr = state.Transition{Sequence: 99, Actor: "scribble"}
			changes[i].Transitions[j] = nil
		}
		changes[i] = store.Write{Base: 99}
	}
}

func modifiesNothing(c *trial) {
	a, b := c.started("2", "a"), c.started("2", "b")
	stale := a.draft(on(state.Suspend, "a"))
	a.do(declare("n", "a", state.ServiceActivity), on(state.Start, "n"), on(state.Fail, "n"))
	c.reopen()
	drafts := []*draft{
		stale,
		b.draft(declare("m", "b", state.EndEvent), on(state.Start, "m")),
		c.task("2", "c").draft(create("n")),
	}
	drafts[1].change.Transitions[1].Sequence = 12
	check := func(changes []store.Write) {
		c.Helper()
		var before [][]*state.Transition
		for i := range changes {
			before = append(before, copyTransitions(changes[i].Transitions))
		}
		bases := []uint64{changes[0].Base, changes[1].Base}
		// Other cases check the error and the results.
		_, _ = c.store.Commit(c.Context(), changes)
		for i := range changes {
			if d := diffTransitions(changes[i].Transitions, before[i]); d != "" {
				c.broken("change %d of the commit: %s", i+1, d)
			}
		}
		if changes[0].Base != bases[0] || changes[1].Base != bases[1] {
			c.broken("the changes have bases %d and %d, want %v", changes[0].Base, changes[1].Base, bases)
		}
	}
	check([]store.Write{drafts[0].change, drafts[1].change, drafts[2].change})
	a.expectTree()
	check([]store.Write{a.draft(on(state.Retry, "n")).change, a.deletion().change}) // malformed
	check([]store.Write{a.draft(on(state.Retry, "n")).change, drafts[1].change})
}

func returnsCopies(c *trial) {
	w := c.task("2", "10")
	tour(w)
	other := c.started("2", "11")
	c.reopen()
	for range 2 {
		results := c.commit(w.draft(declare(w.nextID(), "10", state.EndEvent)))
		results[0] = store.Result{First: 99, Err: store.ErrConflict}

		page := c.page(store.ListQuery{})
		for i := range page.Tasks {
			page.Tasks[i] = store.Task{Root: "scribble"}
		}
		attempts := c.attempts(store.ByNode("10.b"), 0)
		for i := range attempts {
			attempts[i] = store.Attempt{Attempt: state.Attempt{Error: "scribble"}}
		}
		trs, err := c.store.Transitions(c.Context(), w.key(), 0, 0)
		c.want("transitions", err, nil)
		feed, err := c.store.Feed(c.Context(), store.Position{}, 0)
		c.want("changes", err, nil)
		clear(trs)
		clear(feed.Transitions)
		// Appending must not write into the store's slices.
		_ = append(trs[:1], nil)
		_ = append(feed.Transitions[:1], nil)
		_ = append(page.Tasks[:1], store.Task{})
		_ = append(attempts[:1], store.Attempt{})

		if d := diffLists("headers", c.list(store.ListQuery{}), []store.Task{other.header, w.header}); d != "" {
			c.broken("list: %s", d)
		}
		w.expect()
		other.expect()
		c.expectFeed()
	}
}
