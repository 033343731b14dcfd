package state

import "fmt"

// Limits bound the size of a task. Zero fields stand for the defaults.
type Limits struct {
	Levels int // depth counting the root; 0: 100
	Nodes  int // nodes of a task, the root included; 0: 100,000
	// DataBytes is the most bytes of an input or output, at most MaxDataBytes;
	// 0: DefaultDataBytes.
	DataBytes int
}

func (l Limits) withDefaults() Limits {
	if l.Levels == 0 {
		l.Levels = 100
	}
	if l.Nodes == 0 {
		l.Nodes = 100_000
	}
	if l.DataBytes == 0 {
		l.DataBytes = DefaultDataBytes
	}
	l.DataBytes = min(l.DataBytes, MaxDataBytes)
	return l
}

// Outcome is the answer to one operation of an Apply.
type Outcome struct {
	// Node is the ID of the operation's node. For an idempotent Create without a
	// given ID it is that of the existing root.
	Node string
	// Version is the node's current version after the operation.
	Version Version
	// Transition is the effect of the operation, nil for an idempotent repeat. For
	// a compound operation it is the last one.
	Transition *Transition
	// Steps are all transitions of a compound operation, nil if it did nothing
	// and for other operations.
	Steps []*Transition
}

// Apply applies all operations, in order, or refuses them all. Each operation sees
// the effects of earlier ones. It returns the tree after them, at the same revision,
// and one outcome for each operation. A refusal is an [*Error] with the index of the
// refused operation; t is never changed.
//
// RULES.md defines the effect of each operation and the order of the checks.
func (t *Tree) Apply(limits Limits, ops ...Op) (*Tree, []Outcome, error) {
	for i := range ops {
		err := ops[i].Validate()
		if err == nil {
			err = limits.CheckData(&ops[i])
		}
		if err != nil {
			return nil, nil, t.Refusal(ops, i, err)
		}
	}
	return t.ApplyValid(new(Room), limits, ops...)
}

// ApplyValid is [Tree.Apply] of operations that [Op.Validate] and
// [Limits.CheckData] have accepted. The transitions are in the room's memory
// until it is cleared, and the outcomes until its next ApplyValid.
func (t *Tree) ApplyValid(room *Room, limits Limits, ops ...Op) (*Tree, []Outcome, error) {
	limits = limits.withDefaults()
	next := *t
	next.ownIndex()
	next.nodes = next.nodes.begin()
	outcomes := room.results(len(ops))
	for i := range ops {
		do := next.do
		if ops[i].Kind.Compound() {
			do = next.compound
		}
		var err error
		if outcomes[i], err = do(room, limits, &ops[i], outcomes[:i]); err != nil {
			return nil, nil, next.Refusal(ops, i, err)
		}
	}
	next.nodes = next.nodes.end()
	return &next, outcomes, nil
}

// do applies one operation to a private tree, or changes nothing; before are the
// outcomes of earlier operations.
func (t *Tree) do(room *Room, limits Limits, op *Op, before []Outcome) (Outcome, error) {
	e := edit{tree: t, op: op, room: room}
	var err error
	switch op.Kind {
	case Create:
		err = e.create()
	case Declare:
		err = e.declare(limits)
	case Label:
		err = e.label()
	default:
		err = e.update(before)
	}
	return e.outcome, err
}

// edit is one operation in progress on a private tree.
type edit struct {
	tree       *Tree
	op         *Op
	room       *Room
	now        Instant
	made       *made
	transition *Transition // in made
	outcome    Outcome
}

func (e *edit) create() error {
	t, op := e.tree, e.op
	if op.Task != t.key {
		return fmt.Errorf("%w: task %s created in the tree of task %s", ErrInvalidArgument, op.Task, t.key)
	}
	name := ownName(CutName(op.Name), Pipeline)
	if t.Len() > 0 {
		return e.repeatOf(0, -1, fmt.Errorf("%w: task %s", ErrExists, op.Task))
	}
	if op.Taken {
		return fmt.Errorf("%w: task %s or node %q", ErrExists, op.Task, op.Node)
	}
	t.labels = op.Labels
	e.add(&node{id: op.Node, name: name, kind: Pipeline, parent: -1})
	e.transition.Labels = op.Labels
	return nil
}

func (e *edit) declare(limits Limits) error {
	t, op := e.tree, e.op
	p, err := t.parent(op)
	if err != nil {
		return err
	}
	parent, name := t.nodes.get(p), ownName(CutName(op.Name), op.NodeKind)
	after, err := t.edges(p, op.After)
	if err != nil {
		return err
	}
	if i, used := t.Find(op.Node); used || op.Taken {
		err := fmt.Errorf("%w: node %q", ErrExists, op.Node)
		if !used {
			return err
		}
		return e.repeatOf(i, p, err)
	}
	if i, used := t.FindKey(op.Key); used {
		return e.repeatOf(i, p, fmt.Errorf("%w: key %q is that of node %q", ErrExists, op.Key, t.ID(i)))
	}
	if parent.family == nil {
		return fmt.Errorf("%w: parent %q is a %s", ErrInvalidArgument, parent.id, parent.kind)
	}
	if parent.state.Ended() {
		return fmt.Errorf("%w: parent %q has ended", ErrInvalidTransition, parent.id)
	}
	if err := t.checkAbove(p, notEndedAbove); err != nil {
		return err
	}
	if t.Level(p) >= limits.Levels {
		return fmt.Errorf("%w: more than %d levels", ErrInvalidArgument, limits.Levels)
	}
	if t.Len() >= limits.Nodes {
		return fmt.Errorf("%w: more than %d nodes", ErrInvalidArgument, limits.Nodes)
	}
	n := &node{
		id: op.Node, name: name, kind: op.NodeKind, parent: int32(p), maxLoops: int32(op.MaxLoops),
		flags: flagIf(op.NoRetry, flagNoRetry) | flagIf(op.NoSkip, flagNoSkip),
	}
	if op.Key != "" || after != (Edges{}) {
		n.rare = &rare{place: &declared{op.Key, after}}
	}
	e.add(n)
	return nil
}

// add completes a node that Create or Declare began and adds it to the tree.
func (e *edit) add(n *node) {
	i := e.tree.Len()
	n.next, n.family = -1, newFamily(n.kind)
	n.setTime(updated, Instant{})
	e.now = e.moment(n)
	n.setProgress(&Progress{
		Attempt: Attempt{Version: e.op.NewVersion, State: Created, Began: e.op.Kind, Loop: 1},
		Updated: e.now,
	})
	e.tree.put(i, n)
	e.tree.index(n)
	c := e.record()
	c.ID, c.Index, c.Kind, c.Declared = n.id, i, n.kind, &e.made.declared
	*c.Declared = e.tree.declaration(n)
	c.Progress = n.progress()
	e.finish(i)
}

// update applies an operation to an existing node. before are the outcomes of
// earlier operations in the same Apply.
func (e *edit) update(before []Outcome) error {
	t, op := e.tree, e.op
	i, err := t.target(op)
	if err != nil {
		return err
	}
	n := t.nodes.get(i)
	from, err := t.from(n, op)
	if err != nil {
		return err
	}
	if err := op.fits(n); err != nil {
		return err
	}
	was := n.progress()
	current := op.about(&was)
	if op.Idempotent && e.repeated(i, n, &was, current, before) {
		e.repeat(i)
		return nil
	}
	if !current {
		return op.mismatch(&was)
	}
	if op.Kind.NewAttempt() && op.NewVersion.IsSet() && (op.NewVersion == was.Version || t.hadVersion(n.id, op, &was, before)) {
		return fmt.Errorf("%w: attempt %s of the node", ErrExists, op.NewVersion)
	}
	if err := t.check(&rules[op.Kind], i, n, op); err != nil {
		return err
	}
	e.now = e.moment(n)
	e.effect(i, n, was, from)
	e.finish(i)
	return nil
}

// about reports whether the operation applies to the node's current attempt: it
// names that attempt, or no attempt.
func (op *Op) about(p *Progress) bool {
	return (!op.Version.IsSet() || op.Version == p.Version) && (op.Loop == 0 || op.Loop == p.Loop)
}

func (op *Op) mismatch(p *Progress) error {
	if op.Loop != 0 && op.Loop != p.Loop {
		return fmt.Errorf("%w: based on loop %d, current is %d", ErrVersionMismatch, op.Loop, p.Loop)
	}
	current := p.Version.String()
	if current == "" {
		current = "none, as of every root"
	}
	return fmt.Errorf("%w: based on %s, current is %s", ErrVersionMismatch, op.Version, current)
}

// moment is the effective time of an operation on a node: the given time, but not
// before the node's last transition or its container's start and, when a container
// ends, not before any transition below it. Nodes that run within an attempt of a
// container therefore lie within its times, even if the clock goes backwards.
func (e *edit) moment(n *node) Instant {
	now := later(e.op.time(), n.time(updated))
	if n.parent >= 0 {
		now = later(now, e.tree.nodes.get(int(n.parent)).time(started))
	}
	if k := e.op.Kind; n.family != nil && (k == Finish || k == Fail || k == Skip || k == Revoke) {
		now = later(now, n.family.latest())
	}
	return now
}

// change puts new values of node i into the tree and the transition.
func (e *edit) change(i int, p *Progress, superseded *Attempt) {
	n := e.tree.nodes.get(i).copy()
	from := n.state
	n.setProgress(p)
	e.tree.put(i, n)
	c := e.record()
	c.ID, c.Index, c.Kind, c.From, c.Superseded = n.id, i, n.kind, from, superseded
	c.Progress = *p
}

// record adds a change to the transition, which has room for one from the
// beginning: most transitions change a single node.
func (e *edit) record() *Change {
	if e.transition == nil {
		e.begin()
		e.transition.Changes = e.made.first[:0]
	}
	e.transition.Changes = append(e.transition.Changes, Change{})
	return &e.transition.Changes[len(e.transition.Changes)-1]
}

// begin makes the transition.
func (e *edit) begin() {
	e.made = e.room.transition()
	e.transition = &e.made.Transition
}

// finish makes the outcome of an operation on node i that changed something.
func (e *edit) finish(i int) {
	e.repeat(i)
	tr := e.transition
	tr.Task, tr.Op, tr.Actor = e.tree.key, e.op.Kind, e.op.Actor
	tr.At, tr.Recorded = e.now, e.op.Now
	e.data()
	root := e.tree.nodes.get(0)
	tr.Shown, tr.Pending = root.shown(), int(root.family.pending)
	e.outcome.Transition = tr
}

// repeat makes the outcome of an operation on node i that changed nothing.
func (e *edit) repeat(i int) {
	n := e.tree.nodes.get(i)
	e.outcome = Outcome{Node: n.id, Version: n.progress().Version}
}

// time is the time given for the operation or, without one, the recording
// clock's.
func (op *Op) time() Instant {
	if op.At.IsSet() {
		return op.At
	}
	return op.Now
}

// ownName is the stored form of a name: "" for the class string of the kind.
func ownName(name string, k Kind) string {
	if name == k.Class() {
		return ""
	}
	return name
}
