package state

import "slices"

// effect gives node n at index i its new values and changes the nodes below.
func (e *edit) effect(i int, n *node, was Progress, from int) {
	op, p := e.op, was
	p.Updated, p.RetryAt, p.Note = e.now, Instant{}, ""
	switch op.Kind {
	case Start:
		p.State, p.Started, p.CameFrom = Running, e.now, from
		if op.VersionGiven { // by a Begin
			p.Version = op.NewVersion
		}
	case Finish:
		p.State, p.Finished = Finished, e.now
	case Fail:
		e.fail(&p, i, n)
	case Retry:
		p.Retries++
		p.begin(Created)
	case Skip:
		p.Skips++
		p.begin(Finished)
		p.Started, p.Finished, p.Skipped = e.now, e.now, true
	case Loop:
		p.Loop++
		p.begin(Running)
		p.Started, p.CameFrom = e.now, from
	case Reset:
		p.Loop++
		p.begin(Created)
	case Reopen:
		p.Loop++
		p.begin(Running)
		if p.Started = was.Started; !p.Started.IsSet() {
			p.Started = e.now
		}
	case Suspend:
		p.State, p.Paused, p.Note = Suspended, true, CutError(op.Note)
	case Resume:
		p.State = Created
		if p.Started.IsSet() {
			p.State = Running
		}
	case Revoke:
		if p.Error = CutError(op.Error); p.Error == "" {
			p.Error = was.Error
		}
		p.revoke()
	}
	var superseded *Attempt
	if op.Kind.NewAttempt() {
		superseded = supersede(&p, &was, op.Kind, op.NewVersion)
	}
	e.change(i, &p, superseded)
	if along := op.takesAlong(n.family); along.any() {
		e.takeAlong(i, along, true)
		slices.SortFunc(e.transition.Changes[1:], func(a, b Change) int { return a.Index - b.Index })
	}
}

// fail applies a fail to the values of node n: it ends the attempt, or replaces the
// pending retry of a failed one.
func (e *edit) fail(p *Progress, i int, n *node) {
	op := e.op
	if p.State != Failed {
		p.Finished, p.Error = e.now, ""
	}
	if op.Error != "" {
		p.Error = CutError(op.Error)
	}
	p.State, p.RetryAt = Failed, e.retryAt(i, n)
	if op.Ignore {
		p.State, p.ErrorIgnored = Finished, true
	}
}

// retryAt is the automatic retry that a fail of node n announces: none if the
// node cannot be retried.
func (e *edit) retryAt(i int, n *node) Instant {
	if e.op.RetryAt.IsSet() && (n.flags&flagNoRetry != 0 || e.tree.checkAbove(i, notEndedAbove) != nil) {
		return Instant{}
	}
	return e.op.RetryAt
}

// begin clears the values of the previous attempt, except for its times.
func (p *Progress) begin(st State) {
	p.State, p.Started, p.Finished = st, Instant{}, Instant{}
	p.Error, p.RetryAt = "", Instant{}
	p.Skipped, p.ErrorIgnored, p.Paused, p.CameFrom = false, false, false, 0
}

// revoke ends the attempt. A failed attempt has ended already.
func (p *Progress) revoke() {
	if p.State != Failed {
		p.Finished = p.Updated
	}
	p.State = Revoked
}

// supersede makes the attempt in p a new one and returns a copy of the previous
// one. It is a separate function, so that other operations do not allocate.
func supersede(p, was *Progress, began OpKind, version Version) *Attempt {
	before := was.Attempt
	p.Version, p.Supersedes, p.Began, p.Along = version, was.Version, began, false
	return &before
}

// along is the effect of an operation on a container on the nodes below it.
type along struct {
	cancel   bool // pending automatic retries
	tolerate bool // failures of children
	revoke   bool // containers that have not ended well, and suspended leaves
	reset    bool // every node that is not CREATED
}

func (a along) any() bool { return a != along{} }

// takesAlong returns the effect of the operation below a node of this family,
// if any.
func (op *Op) takesAlong(f *family) (a along) {
	if f == nil {
		return along{}
	}
	switch op.Kind {
	case Finish:
		a.tolerate = op.Tolerate && f.own[Failed] > 0
	case Revoke:
		a.revoke = true
	case Fail:
		a.revoke = op.Abandon
	case Reset:
		a.reset = true
	case Skip:
	default:
		return along{}
	}
	a.cancel = f.pending > 0
	return a
}

// takeAlong changes the nodes below i. The first level is the children of the
// node that the operation named.
func (e *edit) takeAlong(i int, a along, first bool) {
	for c := e.tree.FirstChild(i); c >= 0; c = e.tree.NextSibling(c) {
		n := e.tree.nodes.get(c)
		e.takeOne(c, n, a, first)
		if n.family != nil && (a.cancel || a.revoke || a.reset) {
			e.takeAlong(c, a, false)
		}
	}
}

func (e *edit) takeOne(c int, n *node, a along, child bool) {
	container := n.family != nil
	revoke := a.revoke &&
		(container && n.state != Finished && n.state != Revoked || !container && n.state == Suspended)
	reset := a.reset && n.state != Created
	tolerate := a.tolerate && child && n.state == Failed
	if !revoke && !reset && !tolerate && !n.pending() {
		return
	}
	was := n.progress()
	p, superseded := was, (*Attempt)(nil)
	p.RetryAt = Instant{}
	if revoke || reset || tolerate {
		p.Updated = later(e.now, was.Updated)
	}
	switch {
	case revoke:
		p.revoke()
		p.Note = ""
	case tolerate:
		p.State, p.ErrorIgnored = Finished, true
	case reset:
		p.Loop++
		p.begin(Created)
		superseded = supersede(&p, &was, Reset, e.op.NewVersion.Below(c))
		p.Along = true
	}
	e.change(c, &p, superseded)
}
