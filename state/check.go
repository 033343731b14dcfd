package state

import "fmt"

// fits returns an error that matches [ErrInvalidArgument] if the operation has a
// field that does not apply to nodes of this kind.
func (op *Op) fits(n *node) error {
	container := n.family != nil
	switch {
	case container && op.RetryAt.IsSet():
		return fmt.Errorf("%w: a %s takes no retry-at", ErrInvalidArgument, n.kind)
	case !container && (op.Abandon || op.Tolerate):
		return fmt.Errorf("%w: a %s takes neither abandon nor tolerate", ErrInvalidArgument, n.kind)
	case op.Ignore && (op.RetryAt.IsSet() || op.Abandon):
		return fmt.Errorf("%w: ignore together with retry-at or abandon", ErrInvalidArgument)
	case op.Kind == Start && op.Input != nil && n.parent < 0:
		return errRootInput
	case op.Loop != 0 && n.parent >= 0:
		return fmt.Errorf("%w: only the root takes a loop", ErrInvalidArgument)
	}
	return nil
}

// check applies the rule to node n at index i: own state, root or container,
// ancestors, children, flags, limits.
func (t *Tree) check(r *rule, i int, n *node, op *Op) error {
	switch {
	case !r.from.has(n.state) && !(r.leafFrom.has(n.state) && n.mayLeave(op)):
		return ErrInvalidTransition
	case op.Kind == Fail && n.state == Failed && op.Output != nil:
		return fmt.Errorf("%w: an attempt gets its output when it fails, not later", ErrInvalidTransition)
	case r.place == notRoot && i == 0:
		return fmt.Errorf("%w: it is the root", ErrInvalidTransition)
	case r.place == onlyRoot && i > 0:
		return fmt.Errorf("%w: it is not the root", ErrInvalidTransition)
	}
	if err := t.checkAbove(i, r.above); err != nil {
		return err
	}
	if n.family != nil {
		if err := t.checkBelow(r, i, n.family, op); err != nil {
			return err
		}
	}
	switch {
	case (op.Kind == Retry || op.Kind == Reset && n.state == Failed) && n.flags&flagNoRetry != 0:
		return ErrNotRetryable
	case op.Kind == Skip && n.state == Failed && n.flags&flagNoSkip != 0:
		return ErrNotSkippable
	case n.maxLoops > 0 && n.loop >= n.maxLoops &&
		(op.Kind == Loop || op.Kind == Reset && n.nsec[started] >= 0):
		return fmt.Errorf("%w: %d of %d", ErrLoopLimit, n.loop, n.maxLoops)
	}
	return nil
}

// mayLeave reports whether a leaf that is not RUNNING can finish or fail: a
// SUSPENDED leaf can if its attempt has started, because its work may still report;
// a FAILED leaf can fail again if its automatic retry is pending, which is replaced.
func (n *node) mayLeave(op *Op) bool {
	switch {
	case n.family != nil:
		return false
	case n.state == Suspended:
		return n.nsec[started] >= 0
	}
	return n.state == Failed && n.pending() && !op.Ignore
}

// checkAbove applies a guard to the ancestors of node i.
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

// checkBelow applies a rule to the nodes below container i.
func (t *Tree) checkBelow(r *rule, i int, f *family, op *Op) error {
	forbidden := r.children
	if op.Tolerate {
		forbidden = forbidden.without(Failed)
	}
	if op.Abandon {
		forbidden = 0
	}
	for st, count := range f.own {
		if count > 0 && forbidden.has(State(st)) {
			return fmt.Errorf("%w: a child is %s", ErrInvalidTransition, State(st))
		}
	}
	if f.waiting > 0 && (op.Kind == Finish || op.Ignore) {
		return fmt.Errorf("%w: a child waits to run again", ErrInvalidTransition)
	}
	if r.below != 0 {
		return t.checkAllBelow(i, r.below)
	}
	return nil
}

// checkAllBelow refuses if any node below container i is in one of the states.
func (t *Tree) checkAllBelow(i int, forbidden set) error {
	for c := t.FirstChild(i); c >= 0; c = t.NextSibling(c) {
		n := t.nodes.get(c)
		if forbidden.has(n.state) {
			return fmt.Errorf("%w: node %q below is %s", ErrInvalidTransition, n.id, n.state)
		}
		if n.family == nil {
			continue
		}
		if err := t.checkAllBelow(c, forbidden); err != nil {
			return err
		}
	}
	return nil
}
