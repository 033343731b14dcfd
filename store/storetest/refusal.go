package storetest

import (
	"fmt"
	"strings"

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
		"a change that contradicts the stored task fails the commit",
		"a change whose account of its nodes' past differs from the store is ErrInvalidArgument, and nothing of its commit is kept",
		notFollowing,
	},
	{
		"a wrong shown state fails the commit",
		"a transition with a shown state that the task's leaves contradict is ErrInvalidArgument; if only subprocesses contradict it, the store refuses it too, or it affects only lists and the check reports it",
		misshown,
	},
	{
		"a commit changes a task once",
		"two changes of one task in a commit are ErrInvalidArgument, and nothing is kept",
		changedTwice,
	},
}

// malformations spoil a change of two transitions, which starts node "n" of task
// "a" and suspends it.
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
	"a time before the year 1": func(d *store.Write) {
		d.Transitions[0].At = state.UnixInstant(-62135596801, 0)
	},
	"a recording time after the year 9999": func(d *store.Write) {
		d.Transitions[1].Recorded = state.UnixInstant(253402300800, 0)
	},
	"a time of too many nanoseconds": func(d *store.Write) {
		d.Transitions[0].Recorded = state.UnixInstant(0, 1_000_000_000)
	},
	"a delete in the year 0": func(d *store.Write) {
		wild := state.UnixInstant(-62135596801, 0)
		d.Transitions = []*state.Transition{{Task: d.Key(), Op: state.Delete, At: wild, Recorded: moment(1)}}
	},
	"a delete recorded in the year 10000": func(d *store.Write) {
		wild := state.UnixInstant(253402300800, 0)
		d.Transitions = []*state.Transition{{Task: d.Key(), Op: state.Delete, At: moment(1), Recorded: wild}}
	},
	"a delete by an actor with a control character": func(d *store.Write) {
		d.Transitions = []*state.Transition{{Task: d.Key(), Op: state.Delete, At: moment(1), Recorded: moment(1), Actor: "a\n"}}
	},
	"a business ID that is empty": func(d *store.Write) { setTask(d, state.Key{Task: "a"}) },
	"a task ID that is too long": func(d *store.Write) {
		setTask(d, state.Key{Business: "2", Task: strings.Repeat("x", state.MaxIDBytes+1)})
	},
	"an actor that is too long":  func(d *store.Write) { d.Transitions[0].Actor = strings.Repeat("x", state.MaxActorBytes+1) },
	"an actor that is not UTF-8": func(d *store.Write) { d.Transitions[0].Actor = "\xff" },
	"an unknown shown state":     func(d *store.Write) { d.Transitions[1].Shown = 16 },
	"a node listed twice": func(d *store.Write) {
		tr := d.Transitions[0]
		tr.Changes = append(tr.Changes, tr.Changes[0], tr.Changes[0])
	},
	"a node that it declares among others": func(d *store.Write) {
		tr := d.Transitions[0]
		tr.Changes = append(tr.Changes, newNode(2))
	},
	"a node out of order": func(d *store.Write) {
		tr := d.Transitions[0]
		tr.Changes = append(tr.Changes, tr.Changes[0], tr.Changes[0])
		tr.Changes[0].Index, tr.Changes[1].Index, tr.Changes[2].Index = 1, 3, 2
	},
	"a negative index":             spoiled(func(c *state.Change) { c.Index = -1 }),
	"an index beyond 2^31":         spoiled(func(c *state.Change) { c.Index = tooMany() }),
	"a node of no kind":            spoiled(func(c *state.Change) { c.Kind = 0 }),
	"a node of an unknown kind":    spoiled(func(c *state.Change) { c.Kind = 15 }),
	"a second pipeline":            spoiled(func(c *state.Change) { c.Kind = state.Pipeline }),
	"a node of no ID":              spoiled(func(c *state.Change) { c.ID = "" }),
	"a node ID that is not UTF-8":  spoiled(func(c *state.Change) { c.ID = "\xff" }),
	"a node that was in no state":  spoiled(func(c *state.Change) { c.From = 0 }),
	"a node from an unknown state": spoiled(func(c *state.Change) { c.From = 9 }),
	"a node in no state":           spoiled(func(c *state.Change) { c.State = 0 }),
	"a node in an unknown state":   spoiled(func(c *state.Change) { c.State = 200 }),
	"no pass":                      spoiled(func(c *state.Change) { c.Loop = 0 }),
	"a negative count":             spoiled(func(c *state.Change) { c.Retries = -1 }),
	"more passes than 2^31":        spoiled(func(c *state.Change) { c.Loop = tooMany() }),
	"no version":                   spoiled(func(c *state.Change) { c.Version = state.Version{} }),
	"an attempt begun by nothing":  spoiled(func(c *state.Change) { c.Began = 0 }),
	"an attempt begun by a start":  spoiled(func(c *state.Change) { c.Began = state.Start }),
	"a predecessor of the first":   spoiled(func(c *state.Change) { c.Supersedes = c.Version }),
	"a superseded attempt of a start": spoiled(func(c *state.Change) {
		old := c.Attempt
		c.Superseded = &old
	}),
	"a declaration of an old node":    spoiled(func(c *state.Change) { c.Declared = newNode(1).Declared }),
	"no time of the last transition":  spoiled(func(c *state.Change) { c.Updated = state.Instant{} }),
	"a last transition in year 10000": spoiled(func(c *state.Change) { c.Updated = state.UnixInstant(1<<40, 0) }),
	"a start in year 10000":           spoiled(func(c *state.Change) { c.Started = state.UnixInstant(1<<40, 0) }),
	"a start that has not started":    spoiled(func(c *state.Change) { c.Started = state.Instant{} }),
	"a start that has finished":       spoiled(func(c *state.Change) { c.Finished = c.Started }),
	"a start that is skipped":         spoiled(func(c *state.Change) { c.Skipped = true }),
	"a start with an ignored error":   spoiled(func(c *state.Change) { c.ErrorIgnored = true }),
	"a start that awaits its retry":   spoiled(func(c *state.Change) { c.RetryAt = c.Started }),
	"an error text that is too long":  spoiled(func(c *state.Change) { c.Error = strings.Repeat("x", state.MaxErrorBytes+1) }),
	"an error text that is not UTF-8": spoiled(func(c *state.Change) { c.Error = "\xff" }),
}

// spoiled spoils the first node that the first transition changes.
func spoiled(spoil func(c *state.Change)) func(d *store.Write) {
	return func(d *store.Write) { spoil(&d.Transitions[0].Changes[0]) }
}

func setTask(d *store.Write, key state.Key) {
	for _, tr := range d.Transitions {
		tr.Task = key
	}
}

// newNode is the outcome of declaring the node at an index.
func newNode(index int) state.Change {
	return state.Change{
		ID: fmt.Sprint("new", index), Index: index, Kind: state.ServiceActivity,
		Declared: &state.Declaration{Parent: "a"},
		Progress: state.Progress{
			Attempt: state.Attempt{Version: state.VersionOf([16]byte{15: byte(index)}), State: state.Created, Began: state.Declare, Loop: 1},
			Updated: moment(1),
		},
	}
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
	c.expectAbsent(good.key(), "good")
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
	c.expectAbsent(b.key(), "b", "c", "good", "n")
	c.expectFeed()
}

// tooMany is 2^31, or a negative number where an int has no more bits.
func tooMany() int {
	n := int64(1) << 31
	return int(n)
}
