package storetest

import (
	"fmt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var positionCases = []testCase{
	{
		"positions stay valid",
		"every position from a commit, a snapshot or the feed keeps its place after the same transition, even when the store is reopened",
		positionsStay,
	},
	{
		"positions after the last transition are refused",
		"Feed from a position after the last transition is ErrHistory",
		positionsBeyond,
	},
	{
		"positions of another store are refused",
		"Feed from a position of another store is ErrHistory for any sequence, and so is a position without a history",
		positionsElsewhere,
	},
	{
		"a restored backup refuses later positions",
		"a restored backup accepts positions from before it was made, and refuses later ones with ErrHistory, even when it has passed their sequence",
		positionsRestored,
	},
}

// another is a trial of the same case on another store.
func (c *trial) another(s store.Store) *trial {
	other := &trial{TB: c.TB, rule: c.rule, factory: c.factory, reopening: c.reopening, store: s, log: c.history()}
	other.ticks.Store(c.tick())
	c.Cleanup(func() { _ = other.store.Close() })
	return other
}

// steps commits n transitions to a task, each in a separate commit, and returns
// the positions after them.
func (w *writer) steps(n int) (positions []store.Position) {
	w.c.Helper()
	for i := range n {
		op := on(state.Suspend, w.root())
		if w.tree.State(0) == state.Suspended {
			op.Kind = state.Resume
		}
		r := w.c.commit(w.draft(op))[0]
		p := store.Position{}.With(r.History, r.First)
		if i%3 == 0 {
			p = w.c.load(w.ref()).Position
		}
		positions = append(positions, p)
	}
	return positions
}

// wantAfter checks the transitions after positions.
func (c *trial) wantAfter(positions ...store.Position) {
	c.Helper()
	for _, p := range positions {
		if d := diffTransitions(c.changes(p), c.after(p)); d != "" {
			c.broken("changes after %s: %s", p, d)
		}
	}
}

// wantUnknown checks that the store refuses positions.
func (c *trial) wantUnknown(positions ...store.Position) {
	c.Helper()
	for _, p := range positions {
		_, err := c.store.Feed(c.Context(), p, 0)
		c.want(fmt.Sprintf("changes after %s", p), err, store.ErrHistory)
	}
}

func positionsStay(c *trial) {
	w := c.started("2", "a")
	positions := []store.Position{{}, c.at(0), c.at(1)}
	for range 3 {
		positions = append(positions, w.steps(4)...)
		c.reopen()
		positions = append(positions, c.at(c.last()))
		c.wantAfter(positions...)
		at := positions[len(positions)-1]
		if parsed, err := store.ParsePosition(at.String()); err != nil || parsed != at {
			c.broken("position %s is read as %s: %v", at, parsed, err)
		}
	}
	w.delete()
	positions = append(positions, c.at(c.last()))
	c.reopen()
	c.wantAfter(positions...)
}

func positionsBeyond(c *trial) {
	w := c.started("2", "a")
	for range 2 {
		beyond := []store.Position{c.at(c.last() + 1), c.at(c.last() + 3), c.at(1 << 63)}
		c.wantUnknown(beyond...)
		c.reopen()
		c.wantUnknown(beyond...)
		w.steps(1)
	}
}

func positionsElsewhere(c *trial) {
	other := c.another(store.NewMemory())
	other.log = nil
	here, there := c.started("2", "a"), other.started("2", "a")
	elsewhere := append(there.steps(6), other.at(0), other.at(1), store.Position{Sequence: 1}, store.Position{Sequence: 1 << 63})
	c.wantUnknown(elsewhere...)
	here.steps(9)
	c.wantUnknown(elsewhere...)
	c.reopen()
	here.steps(1)
	c.wantUnknown(elsewhere...)
}

func positionsRestored(c *trial) {
	w := c.started("2", "a")
	c.reopen()
	if c.factory.Backup == nil {
		return
	}
	before := w.steps(5)
	restore := c.factory.Backup(c.TB, c.store)
	restored := *w
	restored.c = c.another(nil)
	later := w.steps(3)

	restored.c.store = restore(c.TB)
	restored.c.wantAfter(before...)
	restored.c.wantUnknown(later...)
	passed := restored.steps(7)
	restored.c.wantAfter(append(before, passed...)...)
	restored.c.wantUnknown(later...)
	restored.c.reopen()
	passed = append(passed, restored.steps(1)...)
	restored.c.wantAfter(append(before, passed...)...)
	restored.c.wantUnknown(later...)

	// The original continues with its own history.
	c.wantAfter(append(before, later...)...)
	c.wantUnknown(passed...)
	c.reopen()
	later = append(later, w.steps(9)...)
	c.wantAfter(append(before, later...)...)
	c.wantUnknown(passed...)
}
