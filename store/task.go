package store

import (
	"fmt"
	"math"

	"github.com/pipestatus/pipestatus/state"
)

// Task is the header of a task, as lists show it. Stores maintain it with
// [Task.Add] and keep it separately from the nodes, so that a list reads no tree.
type Task struct {
	Key  state.Key
	Root string // ID of the root pipeline
	Name string // name of the root, "" for the kind's class string
	// Number is the sequence of the task's first transition: an internal ID that
	// is never used again, even if the key is.
	Number   uint64
	Revision uint64
	Shown    state.State  // by the default convention
	State    state.State  // own state of the root
	Counts   state.Counts // leaves by state
	Pending  int          // of these, failed ones that await their automatic retry
	Nodes    int          // all nodes, containers included
	Labels   state.Labels
	// Recorded is when the task was created by the recording clock, Updated
	// the latest effective time of any of its transitions, Started and
	// Finished the root's.
	Recorded, Updated, Started, Finished state.Instant
}

// Unfinished reports whether the task has not ended or some leaf is RUNNING.
func (t *Task) Unfinished() bool { return !t.State.Ended() || t.Counts[state.Running] > 0 }

// Settled reports whether the task has no work in progress, see [state.Tree.Settled].
func (t *Task) Settled() bool {
	return state.Settled(t.State, t.Shown, t.Counts[state.Running]+t.Pending)
}

// HasFailures reports whether the own state of the root or of a leaf is FAILED.
func (t *Task) HasFailures() bool { return t.State == state.Failed || t.Counts[state.Failed] > 0 }

// DisplayName is the name the snapshot shows for the root.
func (t *Task) DisplayName() string {
	if t.Name == "" {
		return state.Pipeline.Class()
	}
	return t.Name
}

// Add updates the header with the task's next transition.
func (t *Task) Add(tr *state.Transition) {
	if tr.Op == state.Create {
		t.Key, t.Number, t.Recorded = tr.Task, tr.Sequence, tr.Recorded
	}
	t.Revision, t.Shown, t.Pending = tr.Sequence, tr.Shown, tr.Pending
	if tr.At.After(t.Updated) {
		t.Updated = tr.At
	}
	if tr.Op == state.Create || tr.Op == state.Label {
		t.Labels = tr.Labels
	}
	for i := range tr.Changes {
		c := &tr.Changes[i]
		if c.Declared != nil {
			t.Nodes++
		}
		if !c.Kind.Container() {
			if c.From != 0 {
				t.Counts[c.From]--
			}
			t.Counts[c.State]++
		}
		if c.Index == 0 {
			t.State, t.Started, t.Finished = c.State, c.Started, c.Finished
			if c.Declared != nil {
				t.Root, t.Name = c.ID, c.Declared.Name
			}
		}
	}
}

// Validate returns an error that matches [state.ErrMalformed] for an invalid header,
// as far as this can be decided without the task's nodes. It ignores the numbers of
// transitions.
func (t *Task) Validate() error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%w: header of task %s: %s", state.ErrMalformed, t.Key, fmt.Sprintf(format, args...))
	}
	if err := t.Key.Validate(); err != nil {
		return wrong("%v", err)
	}
	if err := state.CheckID("root ID", t.Root); err != nil {
		return wrong("%v", err)
	}
	if t.Name != state.CutName(t.Name) {
		return wrong("a name that is too long or not UTF-8")
	}
	if err := t.Labels.Validate(); err != nil {
		return wrong("%v", err)
	}
	leaves := 0
	for _, n := range t.Counts {
		if leaves += n; n < 0 || n > t.Nodes || leaves >= t.Nodes {
			return wrong("leaves by state %v of %d nodes", t.Counts, t.Nodes)
		}
	}
	switch {
	case t.Nodes < 1 || t.Nodes > math.MaxInt32 || t.Counts[0] != 0 || t.Pending < 0 || t.Pending > t.Counts[state.Failed]:
		return wrong("leaves by state %v of %d nodes", t.Counts, t.Nodes)
	case !t.State.Valid() || !t.canShow():
		return wrong("a root that is %d and shows %d", t.State, t.Shown)
	case !t.Recorded.IsSet() || !t.Recorded.Valid() || !t.Updated.IsSet() || !t.Updated.Valid(),
		!t.Started.Valid() || !t.Finished.Valid():
		return wrong("a time that is missing or outside the years 1 to 9999")
	}
	return nil
}

// shownByLeaves is the shown state of the task if its root is RUNNING or SUSPENDED
// and all other nodes are leaves, and 0 otherwise: then it depends on subprocesses.
func (t *Task) shownByLeaves() state.State {
	runs := t.Counts[state.Running]+t.Pending > 0
	switch {
	case t.Counts.Total() != t.Nodes-1 || t.State != state.Running && t.State != state.Suspended:
		return 0
	case t.Counts[state.Failed] > 0 && !runs:
		return state.Failed
	case t.State == state.Suspended, t.Counts[state.Suspended] > 0 && !runs:
		return state.Suspended
	}
	return state.Running
}

// canShow reports whether a root in this own state can show a state: only a RUNNING
// or SUSPENDED root shows another state than its own.
func (t *Task) canShow() bool {
	runs := t.Counts[state.Running]+t.Pending > 0
	switch t.State {
	case state.Running:
		if runs {
			return t.Shown == state.Running
		}
		return t.Shown == state.Running || t.Shown == state.Failed || t.Shown == state.Suspended
	case state.Suspended:
		return t.Shown == state.Suspended || t.Shown == state.Failed && !runs
	}
	return t.Shown == t.State
}
