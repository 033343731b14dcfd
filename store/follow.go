package store

import (
	"fmt"

	"github.com/pipestatus/pipestatus/state"
)

// Follows checks that a write that [Write.Validate] accepts follows from the stored
// task: its transitions change existing nodes from their states and attempts,
// declare the next nodes in containers, and lead to a valid header. Otherwise the
// error matches [state.ErrInvalidArgument]. task is the header at the write's base,
// the zero Task for a create.
//
// The shown state and the number of pending retries are compared with the header
// alone, which decides them for tasks without subprocesses, and partly for others.
// If a writer records other values than the nodes of subprocesses have, lists show
// these until the next transition, trees are read correctly, and replaying the task,
// as [Check] does, fails with [state.ErrMalformed].
//
// trace returns the trace of a node that the header counts; its error is returned
// unchanged. A store calls Follows in Commit, so that no writer can make a task
// unreadable.
func (c *Write) Follows(task Task, trace func(index int) (state.Trace, error)) error {
	if c.Deletes() {
		return nil
	}
	f := follower{write: c, nodes: trace}
	if len(c.Transitions) > searchedInLine {
		f.changed = make(map[int]state.Trace)
	}
	for i, tr := range c.Transitions {
		if err := f.transition(i, &task); err != nil {
			return fmt.Errorf("task %s: %s: %w", c.Key(), tr.Op, err)
		}
	}
	return nil
}

// searchedInLine is the largest number of transitions of a write that are searched
// linearly for the last change of a node. More get an index.
const searchedInLine = 16

// follower compares the transitions of a write with the nodes they change.
type follower struct {
	write   *Write
	nodes   func(index int) (state.Trace, error) // at the write's base
	changed map[int]state.Trace                  // by the transitions before, nil if they are searched
}

func (f *follower) transition(i int, task *Task) error {
	tr := f.write.Transitions[i]
	for j := range tr.Changes {
		c := &tr.Changes[j]
		if err := f.change(i, c, task.Nodes); err != nil {
			return err
		}
		if f.changed != nil {
			f.changed[c.Index] = traceOf(c)
		}
	}
	task.Add(tr)
	if err := task.Validate(); err != nil {
		return fmt.Errorf("%w: %w", state.ErrInvalidArgument, err)
	}
	if shown := task.shownByLeaves(); shown != 0 && shown != tr.Shown {
		return fmt.Errorf("%w: the task shows %s, not %s", state.ErrInvalidArgument, shown, tr.Shown)
	}
	return nil
}

// change checks a change of a transition of a task with the given number of nodes.
func (f *follower) change(i int, c *state.Change, nodes int) error {
	if isNew := c.Declared != nil; c.Index > nodes || isNew != (c.Index == nodes) {
		return fmt.Errorf("%w: change of node %q at %d, the task has %d nodes", state.ErrInvalidArgument, c.ID, c.Index, nodes)
	}
	if c.CameFrom > 0 && c.CameFrom >= nodes {
		return fmt.Errorf("%w: node %q came from node %d, the task has %d nodes", state.ErrInvalidArgument, c.ID, c.CameFrom, nodes)
	}
	at := c.Index
	if c.Declared != nil {
		at = c.Declared.ParentIndex
	}
	if at < 0 {
		return nil
	}
	t, err := f.trace(i, at)
	switch {
	case err != nil:
		return err
	case c.Declared == nil:
		err = c.Follows(t)
	case !t.Holds(c.Declared.Parent):
		err = fmt.Errorf("node %q is declared in %q, which is no container at %d", c.ID, c.Declared.Parent, at)
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", state.ErrInvalidArgument, err)
	}
	return err
}

// trace returns the trace of a node before the transition at i.
func (f *follower) trace(i, index int) (state.Trace, error) {
	if f.changed != nil {
		if t, ok := f.changed[index]; ok {
			return t, nil
		}
		return f.nodes(index)
	}
	for i--; i >= 0; i-- {
		changes := f.write.Transitions[i].Changes
		for j := range changes {
			if changes[j].Index == index {
				return traceOf(&changes[j]), nil
			}
		}
	}
	return f.nodes(index)
}

func traceOf(c *state.Change) state.Trace { return state.TraceOf(c.ID, c.Kind, &c.Progress) }
