package storetest

import (
	"strings"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// declaration is a spoiled change of task "a" that declares a node.
func declaration(index int, spoil func(c *state.Change)) func(a *writer) store.Write {
	return func(a *writer) store.Write {
		d := a.draft(declare("new", "a", state.ServiceActivity)).change
		c := &d.Transitions[0].Changes[0]
		if index >= 0 {
			c.Index = index
		}
		spoil(c)
		return d
	}
}

// following is a change of task "a" that carries out operations, the last of
// them spoiled.
func following(spoil func(c *state.Change), ops ...state.Op) func(a *writer) store.Write {
	return func(a *writer) store.Write {
		d := a.draft(ops...).change
		last := d.Transitions[len(d.Transitions)-1]
		spoil(&last.Changes[0])
		return d
	}
}

// nonSequiturs are changes of the task that notFollowing makes: root "a" with
// the node "n", which has FAILED once and been retried, and "sub".
var nonSequiturs = map[string]func(a *writer) store.Write{
	"a new node where one is":             declaration(1, func(*state.Change) {}),
	"a new node behind a gap":             declaration(9, func(*state.Change) {}),
	"a new node with a past":              declaration(-1, func(c *state.Change) { c.Loop = 2 }),
	"a new node that has started":         declaration(-1, func(c *state.Change) { c.Started = c.Updated }),
	"a new node that runs":                declaration(-1, func(c *state.Change) { c.State, c.Started = state.Running, c.Updated }),
	"a new node in itself":                declaration(-1, func(c *state.Change) { c.Declared.ParentIndex = c.Index }),
	"a new node in nothing":               declaration(-1, func(c *state.Change) { c.Declared.ParentIndex, c.Declared.Parent = -1, "" }),
	"a new node in a leaf":                declaration(-1, func(c *state.Change) { c.Declared.ParentIndex, c.Declared.Parent = 1, "n" }),
	"a new node in a node of another ID":  declaration(-1, func(c *state.Change) { c.Declared.Parent = "sub" }),
	"a new node of a name that is longer": declaration(-1, func(c *state.Change) { c.Declared.Name = strings.Repeat("x", state.MaxNameBytes+1) }),
	"a new node of a name not in UTF-8":   declaration(-1, func(c *state.Change) { c.Declared.Name = "\xff" }),
	"a new node of negative loops":        declaration(-1, func(c *state.Change) { c.Declared.MaxLoops = -1 }),
	"a new node of more loops than 2^31":  declaration(-1, func(c *state.Change) { c.Declared.MaxLoops = tooMany() }),
	"a new node of no declaration":        declaration(-1, func(c *state.Change) { c.Declared = nil }),
	"a node behind the last":              following(func(c *state.Change) { c.Index = 7 }, on(state.Start, "n")),
	"the ID of another node":              following(func(c *state.Change) { c.ID = "sub" }, on(state.Start, "n")),
	"the kind of another node":            following(func(c *state.Change) { c.Kind = state.EndEvent }, on(state.Start, "n")),
	"another state before":                following(func(c *state.Change) { c.From = state.Suspended }, on(state.Start, "n")),
	"another attempt than the current":    following(func(c *state.Change) { c.Version = c.Supersedes }, on(state.Suspend, "n")),
	"another number of attempts":          following(func(c *state.Change) { c.Retries = 7 }, on(state.Start, "n")),
	"another predecessor":                 following(func(c *state.Change) { c.Supersedes = c.Version }, on(state.Start, "n")),
	"another beginning":                   following(func(c *state.Change) { c.Began = state.Skip }, on(state.Start, "n")),
	"an attempt that the node never had": following(func(c *state.Change) {
		c.Superseded.Loop, c.Loop = 7, 7
	}, on(state.Start, "n"), on(state.Fail, "n"), on(state.Retry, "n")),
	"an attempt of other values": following(func(c *state.Change) {
		c.Superseded.Error = "another text"
	}, on(state.Start, "n"), on(state.Fail, "n"), on(state.Retry, "n")),
	"an attempt that jumps": following(func(c *state.Change) {
		c.Retries = 7
	}, on(state.Start, "n"), on(state.Fail, "n"), on(state.Retry, "n")),
	"no attempt that is superseded": following(func(c *state.Change) {
		c.Superseded = nil
	}, on(state.Start, "n"), on(state.Fail, "n"), on(state.Retry, "n")),
	"another state in the middle of a change": following(func(c *state.Change) {
		c.From = state.Created
	}, on(state.Start, "n"), on(state.Suspend, "n")),
	"another shown state": func(a *writer) store.Write {
		d := a.draft(on(state.Suspend, "a")).change
		d.Transitions[0].Shown = state.Finished
		return d
	},
}

func notFollowing(c *trial) {
	a, good := c.started("2", "a"), c.task("2", "good")
	a.do(declare("n", "a", state.ServiceActivity), on(state.Start, "n"))
	a.do(on(state.Fail, "n"), on(state.Retry, "n"), declare("sub", "a", state.Subprocess))
	for _, reopened := range []bool{false, true} {
		if reopened {
			c.reopen()
		}
		for name, make := range nonSequiturs {
			_, err := c.store.Commit(c.Context(), []store.Write{good.draft(create("good")).change, make(a)})
			c.want("commit of a change with "+name, err, state.ErrInvalidArgument)
		}
	}
	a.expect()
	c.expectAbsent(good.key(), "good", "new")
	a.do(on(state.Start, "n"), declare("new", "sub", state.ServiceActivity))
	c.reopen()
	a.expect()
	c.expectFeed()
}

// states are the documented ones.
var states = [...]state.State{state.Created, state.Running, state.Suspended, state.Failed, state.Finished, state.Revoked}

func misshown(c *trial) {
	a, b := c.started("2", "a"), c.started("2", "b")
	a.do(declare("n", "a", state.ServiceActivity), declare("o", "a", state.ServiceActivity))
	c.reopen()
	for _, op := range []state.Op{
		on(state.Start, "n"), on(state.Suspend, "n"), on(state.Start, "o"), on(state.Fail, "o"), on(state.Finish, "n"),
		on(state.Suspend, "a"), on(state.Skip, "o"), on(state.Resume, "a"), on(state.Finish, "a"),
	} {
		d := a.draft(op)
		tr := d.change.Transitions[0]
		shown := tr.Shown
		for _, tr.Shown = range states {
			if tr.Shown != shown {
				_, err := c.store.Commit(c.Context(), []store.Write{d.change})
				c.want("commit of a "+op.Kind.String()+" of a task that shows "+shown.String()+" as "+tr.Shown.String(), err, state.ErrInvalidArgument)
			}
		}
		tr.Shown = shown
		c.commit(d)
	}
	a.expect()

	b.do(declare("sub", "b", state.Subprocess), on(state.Start, "sub"))
	b.do(declare("m", "sub", state.ServiceActivity), on(state.Start, "m"), on(state.Fail, "m"))
	wrong := b.draft(on(state.Retry, "m"))
	wrong.change.Transitions[0].Shown = state.Failed
	_, err := c.tryCommit(c.Context(), wrong)
	c.reopen()
	if err != nil {
		c.want("commit of a retry after which the task still shows FAILED", err, state.ErrInvalidArgument)
		b.expect()
		return
	}
	b.expect()
	problems := 0
	if err := c.check(func(string) { problems++ }); err != nil || problems == 0 {
		c.report("check of a task that shows FAILED, while none of its nodes is: %d problems, %v", problems, err)
	}
	b.do(on(state.Start, "m"))
	b.expect()
	b.delete()
	c.expectFeed()
}
