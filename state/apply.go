package state

import (
	"fmt"
	"slices"
)

// Limits bound the size of a task. Zero fields stand for the defaults.
type Limits struct {
	Levels int // depth counting the root; 0: 100
	Nodes  int // nodes of a task, the root included; 0: 100,000
}

func (l Limits) withDefaults() Limits {
	if l.Levels == 0 {
		l.Levels = 100
	}
	if l.Nodes == 0 {
		l.Nodes = 100_000
	}
	return l
}

// Outcome is the answer to one operation of an Apply.
type Outcome struct {
	// Node is the ID of the node the operation was about; for an idempotent
	// Create that left it open, that of the existing root.
	Node string
	// Version is the node's current version after the operation.
	Version Version
	// Transition is what the operation did, nil for an idempotent repeat.
	Transition *Transition
}

// Apply applies operations in order, each seeing those before it, all or none.
// It returns the tree after them, at the same revision, and one outcome for
// each operation. A refusal is an [*Error] with the index of the operation
// that was refused; t is never changed.
//
// The checks come in this order: shape of all operations, unknown node, ID or
// task key in use, kind, version, own state, root or container, ancestors and
// children, retryable and skippable, limits (design, section 3).
func (t *Tree) Apply(limits Limits, ops ...Op) (*Tree, []Outcome, error) {
	limits = limits.withDefaults()
	refuse := func(i int, st State, err error) (*Tree, []Outcome, error) {
		op := &ops[i]
		return nil, nil, &Error{Op: op.Kind, Task: t.key, Node: op.Node, State: st, Index: i, Err: err}
	}
	for i := range ops {
		if err := ops[i].Validate(); err != nil {
			return refuse(i, 0, err)
		}
	}
	next := *t
	next.ownIndex()
	next.nodes = next.nodes.begin()
	outcomes := make([]Outcome, len(ops))
	for i := range ops {
		e := edit{tree: &next, op: &ops[i]}
		var st State
		var err error
		switch ops[i].Kind {
		case Create:
			st, err = e.create()
		case Declare:
			st, err = e.declare(limits)
		default:
			st, err = e.update()
		}
		if err != nil {
			return refuse(i, st, err)
		}
		outcomes[i] = e.outcome
	}
	next.nodes = next.nodes.end()
	return &next, outcomes, nil
}

// edit is one operation in progress on a tree that nobody else sees.
type edit struct {
	tree       *Tree
	op         *Op
	now        Instant
	transition *Transition
	outcome    Outcome
}

// create, declare and update return the own state to show in the refusal.

func (e *edit) create() (State, error) {
	t, op := e.tree, e.op
	if op.Task != t.key {
		return 0, fmt.Errorf("%w: task %s created in the tree of task %s", ErrInvalidArgument, op.Task, t.key)
	}
	name := ownName(op.Name, Pipeline)
	if t.Len() > 0 {
		root := t.nodes.get(0)
		if op.Idempotent && root.name == name && (!op.NodeGiven || root.id == op.Node) {
			e.repeat(0)
			return 0, nil
		}
		return 0, fmt.Errorf("%w: task %s", ErrExists, op.Task)
	}
	if op.Taken {
		return 0, fmt.Errorf("%w: task %s or node %q", ErrExists, op.Task, op.Node)
	}
	e.add(&node{id: op.Node, name: name, kind: Pipeline, parent: -1})
	return 0, nil
}

func (e *edit) declare(limits Limits) (State, error) {
	t, op := e.tree, e.op
	p, ok := t.Find(op.Parent)
	if !ok {
		return 0, fmt.Errorf("%w: parent %q", ErrNotFound, op.Parent)
	}
	parent, name := t.nodes.get(p), ownName(op.Name, op.NodeKind)
	if i, used := t.Find(op.Node); used || op.Taken {
		if used && op.Idempotent {
			n := t.nodes.get(i)
			if int(n.parent) == p && n.kind == op.NodeKind && n.name == name {
				e.repeat(i)
				return 0, nil
			}
		}
		return 0, fmt.Errorf("%w: node %q", ErrExists, op.Node)
	}
	if parent.family == nil {
		return parent.state, fmt.Errorf("%w: parent %q is a %s", ErrInvalidArgument, op.Parent, parent.kind)
	}
	if parent.state.Ended() {
		return parent.state, fmt.Errorf("%w: parent %q has ended", ErrInvalidTransition, op.Parent)
	}
	if err := t.checkAbove(p, notEndedAbove); err != nil {
		return parent.state, err
	}
	if t.Level(p) >= limits.Levels {
		return parent.state, fmt.Errorf("%w: more than %d levels", ErrInvalidArgument, limits.Levels)
	}
	if t.Len() >= limits.Nodes {
		return parent.state, fmt.Errorf("%w: more than %d nodes", ErrInvalidArgument, limits.Nodes)
	}
	n := &node{
		id: op.Node, name: name, kind: op.NodeKind, parent: int32(p), maxLoops: int32(op.MaxLoops),
		flags: flagIf(op.NoRetry, flagNoRetry) | flagIf(op.NoSkip, flagNoSkip),
	}
	e.add(n)
	return 0, nil
}

// add finishes a node that Create or Declare began and puts it into the tree.
func (e *edit) add(n *node) {
	i := e.tree.Len()
	n.next, n.family = -1, newFamily(n.kind)
	e.now = e.op.time()
	n.setProgress(&Progress{
		Attempt: Attempt{Version: e.op.NewVersion, State: Created, Loop: 1},
		Updated: e.now, Began: e.op.Kind,
	})
	e.tree.put(i, n)
	e.tree.ids = e.tree.ids.grown(e.tree.nodes)
	d := e.tree.declaration(n)
	e.record(Change{ID: n.id, Index: i, Kind: n.kind, Declared: &d, Progress: n.progress()})
	e.finish(i)
}

func (e *edit) update() (State, error) {
	t, op := e.tree, e.op
	i, ok := t.Find(op.Node)
	if !ok {
		return 0, ErrNotFound
	}
	n := t.nodes.get(i)
	container := n.family != nil
	switch {
	case container && (op.Ignore || op.RetryAt.IsSet()):
		return n.state, fmt.Errorf("%w: a %s takes neither ignore nor retry-at", ErrInvalidArgument, n.kind)
	case op.Ignore && op.RetryAt.IsSet():
		return n.state, fmt.Errorf("%w: ignore and retry-at together", ErrInvalidArgument)
	}
	was := n.progress()
	if op.Idempotent && repeated(op, &was) {
		e.repeat(i)
		return 0, nil
	}
	if op.Version.IsSet() && op.Version != was.Version {
		return n.state, fmt.Errorf("%w: based on %s, current is %s", ErrVersionMismatch, op.Version, was.Version)
	}
	if err := t.check(&rules[op.Kind], i, n, op.Kind); err != nil {
		return n.state, err
	}
	e.now = later(op.time(), was.Updated)
	e.effect(i, was)
	e.finish(i)
	return 0, nil
}

// check holds the rule against node n at index i: own state, root or
// container, ancestors, children, flags, limits.
func (t *Tree) check(r *rule, i int, n *node, op OpKind) error {
	container := n.family != nil
	switch {
	case !r.from.has(n.state):
		return ErrInvalidTransition
	case r.notRoot && i == 0:
		return fmt.Errorf("%w: it is the root", ErrInvalidTransition)
	case r.leafOnly && container:
		return fmt.Errorf("%w: it is a %s", ErrInvalidTransition, n.kind)
	}
	if err := t.checkAbove(i, r.above); err != nil {
		return err
	}
	if container {
		for st, count := range n.family.own {
			if count > 0 && r.children.has(State(st)) {
				return fmt.Errorf("%w: a child is %s", ErrInvalidTransition, State(st))
			}
		}
	}
	switch {
	case op == Retry && n.flags&flagNoRetry != 0:
		return ErrNotRetryable
	case op == Skip && n.flags&flagNoSkip != 0:
		return ErrNotSkippable
	case op == Loop && n.maxLoops > 0 && n.loop >= n.maxLoops:
		return fmt.Errorf("%w: %d of %d", ErrLoopLimit, n.loop, n.maxLoops)
	}
	return nil
}

// checkAbove holds a guard against the ancestors of node i.
func (t *Tree) checkAbove(i int, g guard) error {
	n := t.nodes.get(i)
	container := n.family != nil
	for p := n.parent; p >= 0; {
		a := t.nodes.get(int(p))
		if !g.allows(a.state, container) {
			return fmt.Errorf("%w: node %q above is %s", ErrInvalidTransition, a.id, a.state)
		}
		p = a.parent
	}
	return nil
}

// repeated reports whether op was done before, going by the node's values.
func repeated(op *Op, n *Progress) bool {
	if op.Kind.NewAttempt() {
		return op.Version.IsSet() && n.Supersedes == op.Version && n.Began == op.Kind
	}
	if op.Version.IsSet() && op.Version != n.Version {
		return false
	}
	switch op.Kind {
	case Start:
		return n.State == Running
	case Finish:
		return n.State == Finished && !n.ErrorIgnored
	case Fail:
		return n.State == Failed && !op.Ignore || n.State == Finished && n.ErrorIgnored && op.Ignore
	case Suspend:
		return n.State == Suspended
	case Resume:
		return n.State == Running && n.Started.IsSet() || n.State == Created && !n.Started.IsSet()
	case Revoke:
		return n.State == Revoked
	}
	return false
}

// effect gives node i its new values and takes along what is below it.
func (e *edit) effect(i int, was Progress) {
	op, p := e.op, was
	p.Updated, p.RetryAt = e.now, Instant{}
	switch op.Kind {
	case Start:
		p.State, p.Started = Running, e.now
	case Finish:
		p.State, p.Finished = Finished, e.now
	case Fail:
		p.State, p.Finished = Failed, e.now
		p.Error, p.RetryAt = CutError(op.Error), op.RetryAt
		if op.Ignore {
			p.State, p.ErrorIgnored = Finished, true
		}
	case Retry:
		p.State, p.Started, p.Finished, p.Error = Created, Instant{}, Instant{}, ""
		p.Retries++
	case Skip:
		p.State, p.Started, p.Finished, p.Error = Finished, e.now, e.now, ""
		p.Skips++
		p.Skipped = true
	case Loop:
		p.State, p.Started, p.Finished, p.Error = Running, e.now, Instant{}, ""
		p.Loop++
		p.Skipped, p.ErrorIgnored = false, false
	case Suspend:
		p.State = Suspended
	case Resume:
		p.State = Created
		if p.Started.IsSet() {
			p.State = Running
		}
	case Revoke:
		p.State, p.Finished = Revoked, e.now
	}
	var superseded *Attempt
	if op.Kind.NewAttempt() {
		before := was.Attempt // of its own, so that other operations' stays off the heap
		superseded = &before
		p.Version, p.Supersedes, p.Began = op.NewVersion, was.Version, op.Kind
	}
	e.change(i, &p, superseded)
	if f := e.tree.nodes.get(i).family; f != nil && (op.Kind == Revoke || op.Kind == Fail && f.pending > 0) {
		e.takeAlong(i)
		slices.SortFunc(e.transition.Changes[1:], func(a, b Change) int { return a.Index - b.Index })
	}
}

// takeAlong does to the nodes below i what the fail or revoke of a container
// does to them: pending automatic retries are cancelled; a revoke also takes
// every container that is not FINISHED or REVOKED and every suspended leaf.
func (e *edit) takeAlong(i int) {
	for c := e.tree.FirstChild(i); c >= 0; c = e.tree.NextSibling(c) {
		n := e.tree.nodes.get(c)
		container := n.family != nil
		revoke := e.op.Kind == Revoke &&
			(container && n.state != Finished && n.state != Revoked || !container && n.state == Suspended)
		if revoke || n.pending() {
			p := n.progress()
			p.RetryAt = Instant{}
			if revoke {
				p.Updated = later(e.now, p.Updated)
				p.State, p.Finished = Revoked, p.Updated
			}
			e.change(c, &p, nil)
		}
		if container {
			e.takeAlong(c)
		}
	}
}

// change puts new values of node i into the tree and the transition.
func (e *edit) change(i int, p *Progress, superseded *Attempt) {
	n := e.tree.nodes.get(i).copy()
	from := n.state
	n.setProgress(p)
	e.tree.put(i, n)
	e.record(Change{ID: n.id, Index: i, Kind: n.kind, From: from, Progress: *p, Superseded: superseded})
}

// record adds a change to the transition, which is made with its first one:
// most have no other.
func (e *edit) record(c Change) {
	if e.transition == nil {
		t := &struct {
			Transition
			first [1]Change
		}{}
		e.transition = &t.Transition
		e.transition.Changes = t.first[:0]
	}
	e.transition.Changes = append(e.transition.Changes, c)
}

// finish makes the outcome of an operation on node i that changed something.
func (e *edit) finish(i int) {
	e.repeat(i)
	tr := e.transition
	tr.Task, tr.Op, tr.Actor = e.tree.key, e.op.Kind, e.op.Actor
	tr.At, tr.Recorded = e.now, e.op.Now
	tr.Shown = e.tree.Shown(0)
	e.outcome.Transition = tr
}

// repeat makes the outcome of an operation on node i that changed nothing.
func (e *edit) repeat(i int) {
	n := e.tree.nodes.get(i)
	e.outcome = Outcome{Node: n.id, Version: n.progress().Version}
}

// time is the time given for the operation, or else the recording clock's.
func (op *Op) time() Instant {
	if op.At.IsSet() {
		return op.At
	}
	return op.Now
}

// ownName is a name as nodes keep it: "" for the class string of their kind.
func ownName(name string, k Kind) string {
	if name == k.Class() {
		return ""
	}
	return name
}
