package state

import "fmt"

// Interrupted is the error text of an attempt that was running when a Begin started
// another attempt of its node.
const Interrupted = "interrupted"

// beginsRoot reports whether the operation begins a root, which must exist, has
// no parent and is not declared.
func (op *Op) beginsRoot() bool { return op.Kind == Begin && op.NodeKind == Pipeline }

// validateRoot checks the fields of the begin of a root.
func (op *Op) validateRoot() error {
	if op.Parent != "" || op.ParentKey != "" || op.Key != "" || op.After != nil || op.From != "" ||
		op.Name != "" || op.NoRetry || op.NoSkip || op.MaxLoops != 0 {
		return fmt.Errorf("%w: a root is begun by its ID or task alone", ErrInvalidArgument)
	}
	return nil
}

// transitions returns all transitions of the operation, in order.
func (o *Outcome) transitions() []*Transition {
	switch {
	case o.Steps != nil:
		return o.Steps
	case o.Transition != nil:
		return []*Transition{o.Transition}
	}
	return nil
}

// compound applies a Begin or Report: it chooses the operations that lead the node
// to the wanted state, and applies them.
func (t *Tree) compound(room *Room, limits Limits, op *Op, before []Outcome) (Outcome, error) {
	i, err := t.target(op)
	known := err == nil
	if !known && (op.Kind == Report || op.beginsRoot()) {
		return Outcome{}, err
	}
	var was site
	var steps []OpKind
	node := op.Node
	if known {
		was = t.site(i)
		node = was.node
	}
	if op.Kind == Report {
		steps, err = t.report(i, op, before)
	} else {
		steps, err = t.begin(i, known && !op.Taken, op, before)
	}
	if err != nil {
		return Outcome{}, err
	}
	out := Outcome{Node: node}
	for j, kind := range steps {
		step := op.step(kind, node, t.key)
		if j == len(steps)-1 {
			step.Input, step.Output = op.Input, op.Output
		}
		o, err := t.do(room, limits, &step, nil)
		if err != nil {
			if !known {
				was = t.newSite(op)
			}
			return Outcome{}, &halfway{was, fmt.Errorf("%s: %w", kind, err)}
		}
		out.Transition, out.Steps = o.Transition, append(out.Steps, o.Transition)
	}
	if i, known = t.Find(node); known {
		out.Version = t.View(i).Version()
	}
	return out, nil
}

// step is one of the operations that a compound operation stands for, with the
// fields of the compound operation that apply to it.
func (op *Op) step(kind OpKind, node string, key Key) Op {
	s := Op{Kind: kind, Node: node, Actor: op.Actor, At: op.At, Now: op.Now}
	switch kind {
	case Declare:
		s.Task, s.Parent, s.ParentKey, s.Key, s.After = op.Task, op.Parent, op.ParentKey, op.Key, op.After
		s.NodeKind, s.Name = op.NodeKind, op.Name
		s.NoRetry, s.NoSkip, s.MaxLoops = op.NoRetry, op.NoSkip, op.MaxLoops
		s.Taken, s.NodeGiven = op.Taken, op.NodeGiven
	case Reopen:
		s.Node, s.Task = "", key
	case Start:
		s.From = op.From
		if op.Kind == Begin && op.VersionGiven {
			s.NewVersion, s.VersionGiven = op.NewVersion, true
		}
	case Loop:
		s.From = op.From
	case Fail:
		s.Error = op.Error
		if op.Kind == Begin {
			s.Error = Interrupted
		}
	case Revoke:
		s.Error = op.Error
	}
	if kind == Declare || kind == Retry || kind == Loop || kind == Reset {
		s.NewVersion = op.NewVersion
	}
	return s
}

// begin returns the operations that lead to a new running attempt: of node i, if it
// exists.
func (t *Tree) begin(i int, exists bool, op *Op, before []Outcome) ([]OpKind, error) {
	p, err := -1, error(nil)
	if !op.beginsRoot() {
		p, err = t.parent(op)
	}
	if err == nil && op.From != "" {
		_, err = t.sibling(p, op.From)
	}
	if err != nil || !exists {
		return []OpKind{Declare, Start}, err
	}
	n := t.nodes.get(i)
	if differs := t.differs(n, op, p); differs != "" {
		return nil, fmt.Errorf("%w: node %q: %s", ErrExists, n.id, differs)
	}
	return t.beginAgain(n, op, before)
}

// beginAgain is begin of a node that exists.
func (t *Tree) beginAgain(n *node, op *Op, before []Outcome) ([]OpKind, error) {
	p := n.progress()
	if op.VersionGiven && (p.hasBegun(op.NewVersion) || t.hadVersion(n.id, op, &p, before)) {
		return nil, nil
	}
	steps := beginning(&p, n.parent < 0, n.family != nil)
	if op.Input != nil && (len(steps) == 0 || !steps[len(steps)-1].takesInput()) {
		return nil, fmt.Errorf("%w: an input, although no attempt begins", ErrInvalidArgument)
	}
	return steps, nil
}

// hasBegun reports whether the current attempt has that version and has started.
func (p *Progress) hasBegun(v Version) bool {
	return p.Version == v && (p.Started.IsSet() || p.State.Ended())
}

// beginning returns the operations that a Begin of a node with these values stands
// for.
func beginning(p *Progress, root, container bool) []OpKind {
	switch {
	case p.State == Running && container:
		return nil
	case p.State == Suspended && container:
		return running(p, root)
	case p.State == Running, p.State == Suspended && p.Started.IsSet():
		return []OpKind{Fail, Retry, Start}
	}
	return running(p, root)
}

// running returns the operations that lead a node with these values to RUNNING.
func running(p *Progress, root bool) []OpKind {
	switch {
	case p.State == Created:
		return []OpKind{Start}
	case p.State == Suspended && p.Started.IsSet():
		return []OpKind{Resume}
	case p.State == Suspended:
		return []OpKind{Resume, Start}
	case p.State == Running:
		return nil
	case root:
		return []OpKind{Reopen}
	case p.State == Failed:
		return []OpKind{Retry, Start}
	case p.State == Finished:
		return []OpKind{Loop}
	}
	return []OpKind{Reset, Start}
}

// report returns the operations that lead node i to the reported state.
func (t *Tree) report(i int, op *Op, before []Outcome) ([]OpKind, error) {
	n := t.nodes.get(i)
	if op.Loop != 0 && i != 0 {
		return nil, fmt.Errorf("%w: a loop count on a node that is not the root", ErrInvalidArgument)
	}
	p := n.progress()
	if !op.about(&p) {
		if (&edit{tree: t, op: op}).past(n, &p, before) != nil {
			return nil, nil
		}
		return nil, op.mismatch(&p)
	}
	steps, ok := reporting(&p, op.State, i == 0, n.family != nil)
	if op.Version.IsSet() || op.Loop != 0 {
		again := len(steps) > 0 && steps[0].NewAttempt()
		switch {
		case (again || !ok) && p.passed(op.State):
			return nil, nil
		case again:
			ok = false
		}
	}
	if !ok {
		return nil, fmt.Errorf("%w: it cannot become %s", ErrInvalidTransition, op.State)
	}
	return steps, nil
}

// reporting returns the operations that lead a node with these values to a state; ok
// is false if it is unreachable.
func reporting(p *Progress, to State, root, container bool) (steps []OpKind, ok bool) {
	started := p.State == Suspended && p.Started.IsSet()
	switch {
	case p.State == to:
		return nil, true
	case to == Running:
		return running(p, root), true
	case to == Created:
		return []OpKind{Resume}, p.State == Suspended && !started
	case to == Revoked:
		return []OpKind{Revoke}, p.State != Finished
	case to == Suspended && p.State == Created:
		return []OpKind{Suspend}, true
	}
	last := map[State]OpKind{Finished: Finish, Failed: Fail, Suspended: Suspend}[to]
	if started && !container && to != Suspended {
		return []OpKind{last}, true
	}
	return append(running(p, root), last), true
}

// passed reports whether the attempt has been in a state, or has ended in a state
// that implies it.
func (p *Progress) passed(st State) bool {
	switch st {
	case Created:
		return p.Started.IsSet() || p.State.Ended()
	case Running:
		return p.Started.IsSet()
	case Suspended:
		return p.State.Ended()
	case Failed:
		return p.State.Ended() && p.Attempt.did(&Op{Kind: Fail})
	}
	return p.State == st
}
