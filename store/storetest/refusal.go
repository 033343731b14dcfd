package storetest

import (
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var refusalCases = []testCase{
	{
		"a malformed change fails the commit",
		"a malformed change is ErrInvalidArgument, and nothing of its commit is kept",
		malformed,
	},
	{
		"a commit changes a task once",
		"two changes of one task in a commit are ErrInvalidArgument, and nothing is kept",
		changedTwice,
	},
}

// malformations make something malformed of a change that starts node "n" of
// task "a" and suspends it, two transitions.
var malformations = map[string]func(d *store.Write){
	"no transitions": func(d *store.Write) { d.Transitions = nil },
	"two tasks":      func(d *store.Write) { d.Transitions[1].Task.Task = "b" },
	"no base":        func(d *store.Write) { d.Base = 0 },
	"a create at a revision": func(d *store.Write) {
		d.Transitions[0].Op = state.Create
	},
	"a create that is not first": func(d *store.Write) {
		d.Transitions[1].Op = state.Create
	},
	"a delete among others": func(d *store.Write) {
		d.Transitions[1] = &state.Transition{Task: d.Key(), Op: state.Delete, At: moment(1), Recorded: moment(1)}
	},
	"a delete with changes": func(d *store.Write) {
		d.Transitions = d.Transitions[:1]
		d.Transitions[0].Op = state.Delete
	},
	"a delete without a base": func(d *store.Write) {
		d.Base = 0
		d.Transitions = []*state.Transition{{Task: d.Key(), Op: state.Delete, At: moment(1), Recorded: moment(1)}}
	},
	"no outcome":        func(d *store.Write) { d.Transitions[1].Changes = nil },
	"no operation":      func(d *store.Write) { d.Transitions[0].Op = 0 },
	"unknown operation": func(d *store.Write) { d.Transitions[0].Op = 200 },
	"no shown state":    func(d *store.Write) { d.Transitions[1].Shown = 0 },
	"no time":           func(d *store.Write) { d.Transitions[0].At = state.Instant{} },
	"no recording time": func(d *store.Write) { d.Transitions[1].Recorded = state.Instant{} },
}

func malformed(c *trial) {
	a, good := c.started("2", "a"), c.task("2", "good")
	a.do(declare("n", "a", state.ServiceActivity))
	c.reopen()
	for name, spoil := range malformations {
		bad := a.draft(on(state.Start, "n"), on(state.Suspend, "n")).change
		spoil(&bad)
		_, err := c.store.Commit(c.Context(), []store.Write{good.draft(create("good")).change, bad})
		c.want("commit of a change with "+name, err, state.ErrInvalidArgument)
	}
	c.reopen()
	a.expect()
	c.expectGone(good.key(), "good")
	c.expectFeed()
}

func changedTwice(c *trial) {
	a, b := c.started("2", "a"), c.task("2", "b")
	c.reopen()
	one, two := a.draft(on(state.Suspend, "a")), a.draft(declare("n", "a", state.EndEvent))
	for name, pair := range map[string][2]*draft{
		"two updates": {one, two}, "an update and a delete": {one, a.deletion()},
		"two creates": {b.draft(create("b")), b.draft(create("c"))},
	} {
		changes := []store.Write{c.task("3", "good").draft(create("good")).change, pair[0].change, pair[1].change}
		_, err := c.store.Commit(c.Context(), changes)
		c.want("commit of "+name, err, state.ErrInvalidArgument)
	}
	c.reopen()
	a.expect()
	c.expectGone(b.key(), "b", "c", "good", "n")
	c.expectFeed()
}
