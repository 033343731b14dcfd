package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/pipestatus/pipestatus/state"
)

// Commit implements [Store]. Writes whose transitions do not fit the task
// they are for are malformed too: [state.ErrInvalidArgument].
func (m *Memory) Commit(ctx context.Context, writes []Write) ([]Result, error) {
	if err := ValidateWrites(writes); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usableLocked(ctx); err != nil {
		return nil, err
	}
	// Every check that can fail the whole commit comes before the first effect.
	// This is possible because each write is for another task.
	results := make([]Result, len(writes))
	trees := make([]*state.Tree, len(writes))
	for i := range writes {
		c := &writes[i]
		if results[i].Err = m.checkBase(c); results[i].Err != nil || c.Deletes() {
			continue
		}
		tree, err := m.replay(c)
		if err != nil {
			return nil, fmt.Errorf("%w: change %d: %w", state.ErrInvalidArgument, i, err)
		}
		trees[i] = tree
	}
	for i := range writes {
		if results[i].Err == nil {
			results[i] = m.apply(&writes[i], trees[i])
		}
	}
	return results, nil
}

// checkBase checks that the task is at the base of the write.
func (m *Memory) checkBase(c *Write) error {
	var revision uint64
	if t := m.tasks[c.Key()]; t != nil {
		revision = t.Revision
	}
	switch {
	case revision == c.Base:
		return nil
	case c.Base == 0:
		return fmt.Errorf("%w: task %s", state.ErrExists, c.Key())
	}
	return fmt.Errorf("%w: task %s is at revision %d, not %d", ErrConflict, c.Key(), revision, c.Base)
}

// replay returns the tree after the change, its revision still to be set. An
// error matches [state.ErrMalformed].
func (m *Memory) replay(c *Write) (*state.Tree, error) {
	tree := state.NewTree(c.Key())
	if t := m.tasks[c.Key()]; t != nil {
		tree = t.tree
	}
	return tree.Replay(c.Transitions...)
}

// apply makes a change that begins at its base, unless an ID is taken.
func (m *Memory) apply(c *Write, tree *state.Tree) Result {
	if id, taken := m.taken(c, tree); taken {
		return Result{Err: fmt.Errorf("%w: node %q", state.ErrExists, id)}
	}
	if m.past == nil {
		m.past = m.past.Begin(0)
	}
	first := m.past.At(uint64(len(m.feed)) + 1)
	result := Result{First: first.Sequence, History: first.History}
	if c.Deletes() {
		m.remove(m.tasks[c.Key()])
		m.feed = append(m.feed, copyTransition(c.Transitions[0], first.Sequence))
		return result
	}
	t := m.tasks[c.Key()]
	if t == nil {
		t = m.insert(c.Key())
	}
	for i, tr := range c.Transitions {
		tr = copyTransition(tr, first.Sequence+uint64(i))
		m.feed = append(m.feed, tr)
		t.record(tr)
		for j := range tr.Changes {
			if n := &tr.Changes[j]; n.Declared != nil {
				m.nodes[n.ID] = t
			}
		}
	}
	t.tree = tree.WithRevision(t.Revision)
	return result
}

// taken looks for a node that the change declares under an ID in use, possibly by
// the same change.
func (m *Memory) taken(c *Write, tree *state.Tree) (id string, taken bool) {
	for _, tr := range c.Transitions {
		for i := range tr.Changes {
			n := &tr.Changes[i]
			if n.Declared == nil {
				continue
			}
			if at, _ := tree.Find(n.ID); at != n.Index || m.nodes[n.ID] != nil {
				return n.ID, true
			}
		}
	}
	return "", false
}

// insert adds a task without a number, which is therefore the newest.
func (m *Memory) insert(key state.Key) *memoryTask {
	if m.tasks == nil {
		m.tasks, m.nodes = map[state.Key]*memoryTask{}, map[string]*memoryTask{}
	}
	t := &memoryTask{}
	m.tasks[key] = t
	m.order = append(m.order, t)
	return t
}

func (m *Memory) remove(t *memoryTask) {
	delete(m.tasks, t.Key)
	for i := range t.tree.Len() {
		delete(m.nodes, t.tree.ID(i))
	}
	i := m.rank(t.Number)
	m.order = slices.Delete(m.order, i, i+1)
}

// record adds the task's next transition, which it keeps.
func (t *memoryTask) record(tr *state.Transition) {
	t.Add(tr)
	t.transitions = append(t.transitions, tr)
	if tr.Data != nil {
		if t.data == nil {
			t.data = map[dataKey]*state.Data{}
		}
		c := &tr.Changes[0]
		t.data[dataKey{c.Index, c.Number(), tr.Output() != nil}] = tr.Data
		tr.Data = tr.Data.Named()
	}
	for i := range tr.Changes {
		if n := &tr.Changes[i]; n.Superseded != nil {
			if t.attempts == nil {
				t.attempts = map[string][]state.Attempt{}
			}
			t.attempts[n.ID] = append(t.attempts[n.ID], *n.Superseded)
		}
	}
}

// copyTransition is a copy that shares nothing with tr.
func copyTransition(tr *state.Transition, sequence uint64) *state.Transition {
	c := *tr
	c.Sequence, c.Data = sequence, copyData(tr.Data)
	c.Changes = slices.Clone(tr.Changes)
	for i := range c.Changes {
		n := &c.Changes[i]
		n.Declared, n.Superseded = copyOf(n.Declared), copyOf(n.Superseded)
	}
	return &c
}

func copyOf[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}
