package model

import (
	"errors"
	"maps"
	"slices"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Node is a node of a snapshot with all its visible properties and its children
// in order of creation: plain values, for cmp.Diff.
type Node struct {
	ID, Name        string // Name as shown
	Kind            state.Kind
	NoRetry, NoSkip bool
	MaxLoops        int
	Key             string
	After           []string // IDs, in order of creation
	Labels          string   // in the root: the labels of the task, see [labelText]
	state.Progress
	Shown       state.State // by the default convention
	FailedFirst state.State // by the other convention
	Counts      state.Counts
	Children    []Node
}

// Header has the properties of a task in a list.
type Header struct {
	Key                                  state.Key
	Root, Name                           string // Name as shown
	Number, Revision                     uint64
	Shown, State                         state.State
	Counts                               state.Counts
	Nodes, Pending                       int
	Recorded, Updated, Started, Finished state.Instant
	Unfinished, Settled, HasFailures     bool
	Labels                               string // see [labelText]
}

// Tree returns the snapshot of a task, nil if there is no such task.
func (s *Store) Tree(key state.Key) *Node {
	t := s.tasks[key]
	if t == nil {
		return nil
	}
	n := t.snapshot(t.nodes[0])
	n.Labels = labelText(t.labels)
	return &n
}

// Revision is the sequence of a task's last transition, 0 if there is no such
// task.
func (s *Store) Revision(key state.Key) uint64 {
	if t := s.tasks[key]; t != nil {
		return t.revision
	}
	return 0
}

// History returns the superseded attempts of a node, oldest first; none for an
// unknown node.
func (s *Store) History(id string) (past []state.Attempt) {
	for _, t := range s.tasks {
		if n := t.find(id); n != nil {
			past = append(past, n.attempts[:len(n.attempts)-1]...)
		}
	}
	return past
}

// Header returns the header of a task; ok is false if there is no such task.
func (s *Store) Header(key state.Key) (h Header, ok bool) {
	t := s.tasks[key]
	if t == nil {
		return Header{}, false
	}
	root := t.nodes[0]
	h = Header{
		Key: key, Root: root.id, Name: root.called(), Number: t.number, Revision: t.revision,
		Shown: t.shown(root, false), State: root.now().State, Counts: t.counts(root), Nodes: len(t.nodes),
		Recorded: t.recorded, Updated: t.updated, Started: root.now().Started, Finished: root.now().Finished,
	}
	h.Pending, h.Labels = t.pending(), labelText(t.labels)
	runs := h.Counts[state.Running] > 0
	h.Unfinished = !ended(root) || runs
	waits := ended(root) || h.State == state.Created || h.Shown == state.Failed || h.Shown == state.Suspended
	h.Settled = !runs && h.Pending == 0 && waits
	h.HasFailures = h.State == state.Failed || h.Counts[state.Failed] > 0
	return h, true
}

// pending is the number of leaves that wait for their automatic retry.
func (t *task) pending() (pending int) {
	for _, n := range t.nodes {
		if n.awaitsRetry() {
			pending++
		}
	}
	return pending
}

func (t *task) snapshot(n *node) Node {
	now := n.now()
	s := Node{
		ID: n.id, Name: n.called(), Kind: n.kind, NoRetry: n.noRetry, NoSkip: n.noSkip, MaxLoops: n.maxLoops,
		Key: n.key, Progress: state.Progress{Attempt: *now, Updated: n.last, Note: n.note},
		Shown: t.shown(n, false), FailedFirst: t.shown(n, true), Counts: t.counts(n),
	}
	if len(n.attempts) > 1 {
		s.Supersedes = n.attempts[len(n.attempts)-2].Version
	}
	for _, a := range n.after {
		s.After = append(s.After, a.id)
	}
	for _, c := range t.children(n) {
		s.Children = append(s.Children, t.snapshot(c))
	}
	return s
}

// counts is the number of leaves at and below a node, by state.
func (t *task) counts(n *node) (c state.Counts) {
	if n.leaf() {
		c[n.now().State]++
		return c
	}
	for _, b := range t.below(n) {
		if b.leaf() {
			c[b.now().State]++
		}
	}
	return c
}

// shown is the shown state according to RULES.md, by either convention.
func (t *task) shown(n *node, failedFirst bool) state.State {
	own := n.now().State
	if n.leaf() || own != state.Running && own != state.Suspended {
		return own
	}
	var childRuns, childFailed, childSuspended bool
	for _, c := range t.children(n) {
		switch shown := t.shown(c, failedFirst); {
		case c.awaitsRetry() && !failedFirst: // counts as running, see runs
		case shown == state.Running:
			childRuns = true
		case shown == state.Failed:
			childFailed = true
		case shown == state.Suspended:
			childSuspended = true
		}
	}
	runs := childRuns || slices.ContainsFunc(t.below(n), func(b *node) bool {
		return b.leaf() && b.now().State == state.Running || b.awaitsRetry()
	})
	switch {
	case failedFirst && childFailed:
		return state.Failed
	case own == state.Suspended && childFailed && !runs:
		return state.Failed
	case own == state.Suspended:
		return state.Suspended
	case runs:
		return state.Running
	case childFailed:
		return state.Failed
	case childSuspended:
		return state.Suspended
	default:
		return state.Running
	}
}

// awaitsRetry reports whether n is a failed leaf with a pending automatic
// retry.
func (n *node) awaitsRetry() bool {
	return n.leaf() && n.now().State == state.Failed && n.now().RetryAt.IsSet()
}

// Of returns the snapshot of a real tree in the model's form, nil if the tree's
// task does not exist.
func Of(t *state.Tree) *Node {
	if t.Len() == 0 {
		return nil
	}
	failedFirst := t.ShownFailedFirst(nil)
	var of func(i int) Node
	of = func(i int) Node {
		n := t.Node(i)
		s := Node{
			ID: n.ID, Name: n.DisplayName(), Kind: n.Kind,
			NoRetry: n.NoRetry, NoSkip: n.NoSkip, MaxLoops: n.MaxLoops, Key: n.Key,
			Progress: n.Progress, Shown: t.Shown(i), FailedFirst: failedFirst[i], Counts: t.Counts(i),
		}
		for a := range n.After.All() {
			s.After = append(s.After, t.ID(a))
		}
		for c := range t.Children(i) {
			s.Children = append(s.Children, of(c))
		}
		return s
	}
	root := of(0)
	root.Labels = labelText(maps.Collect(t.Labels().All()))
	return &root
}

// HeaderOf returns a real header in the model's form.
func HeaderOf(t *store.Task) Header {
	return Header{
		Key: t.Key, Root: t.Root, Name: t.DisplayName(), Number: t.Number, Revision: t.Revision,
		Shown: t.Shown, State: t.State, Counts: t.Counts, Nodes: t.Nodes,
		Recorded: t.Recorded, Updated: t.Updated, Started: t.Started, Finished: t.Finished,
		Pending: t.Pending, Unfinished: t.Unfinished(), Settled: t.Settled(), HasFailures: t.HasFailures(),
		Labels: labelText(maps.Collect(t.Labels.All())),
	}
}

// EntryOf returns a real transition in the model's form.
func EntryOf(tr *state.Transition) Entry {
	e := Entry{
		Sequence: tr.Sequence, Task: tr.Task, Op: tr.Op, Node: tr.Node(),
		At: tr.At, Actor: tr.Actor, Shown: tr.Shown, Pending: tr.Pending,
	}
	if tr.Op == state.Create || tr.Op == state.Label {
		e.Labels = labelText(maps.Collect(tr.Labels.All()))
	}
	if d := tr.Data; d != nil {
		digest := d.Digest()
		e.Data = dataText(d.Size(), digest[:])
	}
	return e
}

// Code returns the protocol's code for a refusal, "" for nil, and "internal"
// for any other error.
func Code(err error) string {
	if err == nil {
		return ""
	}
	for _, c := range []struct {
		err  error
		code string
	}{
		{state.ErrNotFound, NotFound},
		{state.ErrExists, Exists},
		{state.ErrInvalidTransition, InvalidTransition},
		{state.ErrInvalidArgument, InvalidArgument},
		{state.ErrVersionMismatch, VersionMismatch},
		{state.ErrNotRetryable, NotRetryable},
		{state.ErrNotSkippable, NotSkippable},
		{state.ErrLoopLimit, LoopLimit},
	} {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return "internal"
}
