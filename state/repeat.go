package state

import "slices"

// Past is an attempt that is no longer current.
type Past struct {
	Attempt
	// By is the operation on the node that superseded the attempt; 0 if the
	// reset of a container above took the node along.
	By OpKind
}

// PastOf is the past of an attempt, given the one that followed it.
func PastOf(a, next *Attempt) Past {
	p := Past{Attempt: *a, By: next.Began}
	switch {
	case next.Along:
		p.By = 0
	case next.Began != 0:
	case next.Retries > a.Retries: // recorded by programs that did not keep Began
		p.By = Retry
	case next.Skips > a.Skips:
		p.By = Skip
	default:
		p.By = Loop
	}
	return p
}

// Recall looks in transitions, which must be in order, for the attempt of the
// node with the given ID that an operation names with Version or Loop. It
// returns nil if none of them superseded it, and the newest one if a version
// was used twice.
func (op *Op) Recall(node string, transitions []*Transition) *Past {
	for _, tr := range slices.Backward(transitions) {
		for i := range tr.Changes {
			c := &tr.Changes[i]
			if c.ID == node && c.Superseded != nil && op.Names(c.Superseded) {
				p := PastOf(c.Superseded, &c.Attempt)
				return &p
			}
		}
	}
	return nil
}

// Names reports whether the operation says, with Version or Loop, that it is
// based on the attempt.
func (op *Op) Names(a *Attempt) bool {
	return op.Version.IsSet() && op.Version == a.Version && op.Loop == 0 ||
		!op.Version.IsSet() && op.Loop != 0 && op.Loop == a.Loop
}

// repeated reports whether op was applied before; see RULES.md. was are the values
// of node n at index i, and current says that op applies to its current attempt.
func (e *edit) repeated(i int, n *node, was *Progress, current bool, before []Outcome) bool {
	op := e.op
	switch {
	case !current:
		past := e.past(n, was, before)
		return past != nil && past.did(op)
	case op.Kind.NewAttempt():
		return false
	case e.isThere(i, n, was):
		return true
	}
	if !op.Names(&was.Attempt) {
		return false
	}
	return was.did(op) ||
		was.Paused && (op.Kind == Suspend || op.Kind == Resume) && e.tree.checkAbove(i, notEndedAbove) != nil
}

// isThere reports whether the node is where the operation leads.
func (e *edit) isThere(i int, n *node, was *Progress) bool {
	switch op := e.op; op.Kind {
	case Start:
		return was.State == Running
	case Finish:
		return was.State == Finished && !was.ErrorIgnored
	case Fail:
		if op.Ignore {
			return was.State == Finished && was.ErrorIgnored
		}
		return was.State == Failed && was.RetryAt == e.retryAt(i, n)
	case Suspend:
		return was.State == Suspended
	case Resume:
		return was.State == Running && was.Started.IsSet() || was.State == Created && !was.Started.IsSet()
	case Revoke:
		return was.State == Revoked
	}
	return false
}

// did reports whether op was done to the current attempt, which op names,
// although the node is no longer where op leads.
func (p *Progress) did(op *Op) bool {
	switch {
	case op.Kind == Start:
		return p.Started.IsSet()
	case !p.State.Ended(), op.Kind == Fail && p.RetryAt.IsSet():
		return false // op can still be applied
	}
	return p.Attempt.did(op)
}

// did reports whether op was done to an attempt that is no longer current.
func (p *Past) did(op *Op) bool {
	if op.Kind.NewAttempt() {
		return p.By == op.Kind
	}
	return p.Attempt.did(op)
}

// did reports whether op was done to an attempt that has ended.
func (a *Attempt) did(op *Op) bool {
	switch op.Kind {
	case Start:
		return a.Started.IsSet()
	case Finish:
		return a.State == Finished && !a.ErrorIgnored
	case Fail:
		if op.Ignore {
			return a.ErrorIgnored
		}
		return a.State == Failed || a.ErrorIgnored || a.Error != ""
	case Suspend, Resume:
		return true
	case Revoke:
		return a.State == Revoked
	}
	return false
}

// past is the attempt that the operation names if it is no longer current, or nil if
// it is unknown.
func (e *edit) past(n *node, was *Progress, before []Outcome) *Past {
	op := e.op
	for _, o := range slices.Backward(before) {
		if p := op.Recall(n.id, o.transitions()); p != nil {
			return p
		}
	}
	// The tree knows the operation that superseded the previous attempt. Attempts
	// of the root are always superseded by a reopen.
	switch {
	case op.Kind == Reopen && op.Loop < was.Loop,
		op.Kind.NewAttempt() && op.Version.IsSet() && op.Version == was.Supersedes && was.Began == op.Kind && !was.Along:
		return &Past{By: op.Kind}
	}
	return op.Past
}
