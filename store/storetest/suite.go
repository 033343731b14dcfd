package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Factory makes the stores that the suite runs on.
type Factory struct {
	// New returns a new, empty store, whose changes feed keeps at least the
	// last 20,000 transitions. The suite closes it. It must not be nil.
	New func(t testing.TB) store.Store
	// Reopen opens the data of a closed store that New or Reopen returned. Nil for
	// stores that keep nothing.
	Reopen func(t testing.TB, closed store.Store) store.Store
	// Backup copies an open store and returns a function that opens the copy as
	// a separate store, which the suite closes. Nil for stores that cannot be
	// copied.
	Backup func(t testing.TB, s store.Store) (restore func(t testing.TB) store.Store)
	// Logs says that the store keeps its tasks in several logs, see
	// [store.LogOf], each business in one. The rules about sequences, order,
	// positions and IDs of nodes are then those of each log.
	Logs bool
}

// Run tests the stores of a factory against the contract. Each failure names the
// broken rule.
func Run(t *testing.T, f Factory) {
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			t.Run("open", func(t *testing.T) { c.try(t, f, false) })
			if f.Reopen != nil {
				t.Run("reopened", func(t *testing.T) { c.try(t, f, true) })
			}
		})
	}
}

func cases() []testCase {
	return slices.Concat(
		commitCases, refusalCases, deleteCases, loadCases, listCases, cursorCases,
		transitionCases, attemptCases, feedCases, positionCases,
		valueCases, dataCases, sizeCases, ownershipCases, lifeCases, concurrencyCases, raceCases,
	)
}

// testCase is one rule of the contract.
type testCase struct {
	name string
	rule string
	run  func(c *trial)
}

// try runs the case on one new store and then the store's own check.
func (tc testCase) try(t testing.TB, f Factory, reopening bool) {
	c := &trial{TB: t, rule: tc.rule, factory: f, reopening: reopening, store: f.New(t)}
	t.Cleanup(func() { _ = c.store.Close() })
	tc.run(c)
	if !c.closed {
		c.examine()
	}
	if err := c.store.Close(); err != nil {
		c.broken("close: %v", err)
	}
}

// trial is one case in progress on one store.
type trial struct {
	testing.TB
	rule      string
	factory   Factory
	store     store.Store
	reopening bool
	closed    bool // by the case itself

	ticks atomic.Int64 // of the clock and the generator of versions

	mu  sync.Mutex          // protects log
	log []*state.Transition // what was committed, in any order
}

// reopen is called between writing and reading in every case.
func (c *trial) reopen() {
	c.Helper()
	if !c.reopening {
		return
	}
	if err := c.store.Close(); err != nil {
		c.broken("close: %v", err)
	}
	c.store = c.factory.Reopen(c.TB, c.store)
}

// broken ends the case. It must not be called from other goroutines.
func (c *trial) broken(format string, args ...any) {
	c.Helper()
	c.report(format, args...)
	c.FailNow()
}

// report notes a failure and continues.
func (c *trial) report(format string, args ...any) {
	c.Helper()
	c.Errorf("%s\nrule: %s", fmt.Sprintf(format, args...), c.rule)
}

// want checks that an error is nil or, with a target, matches it.
func (c *trial) want(what string, err, target error) {
	c.Helper()
	switch {
	case target == nil && err != nil:
		c.broken("%s: unexpected error: %v", what, err)
	case !errors.Is(err, target):
		c.broken("%s: error %v, want one that matches %q", what, err, target)
	}
}

func (c *trial) examine() {
	c.Helper()
	err := c.check(func(p string) { c.report("check of the store afterwards: %s", p) })
	if err != nil {
		c.report("check of the store afterwards: %v", err)
	}
}

// check is the store's own check if it has one.
func (c *trial) check(problem func(string)) error {
	if s, ok := c.store.(store.Checker); ok {
		return s.Check(c.Context(), problem)
	}
	return store.Check(c.Context(), c.store, problem)
}

// business is the name of a business that is in the log of business "2", for rules
// that hold within a log.
func (c *trial) business(name string) string {
	if c.factory.Logs {
		return "2"
	}
	return name
}

// history lists the transitions committed so far, in order.
func (c *trial) history() []*state.Transition {
	c.mu.Lock()
	defer c.mu.Unlock()
	bySequence := func(a, b *state.Transition) int { return cmp.Compare(a.Sequence, b.Sequence) }
	return slices.SortedFunc(slices.Values(c.log), bySequence)
}

// last is the sequence of the newest transition that was committed.
func (c *trial) last() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := uint64(0)
	for _, tr := range c.log {
		last = max(last, tr.Sequence)
	}
	return last
}

// tick returns the next number; clocks and versions count on it.
func (c *trial) tick() int64 { return c.ticks.Add(1) }
