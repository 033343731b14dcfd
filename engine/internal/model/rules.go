package model

import (
	"slices"

	"github.com/pipestatus/pipestatus/state"
)

// from is the second column of the table in section 3.
var from = map[state.OpKind][]state.State{
	state.Start:   {state.Created},
	state.Finish:  {state.Running},
	state.Fail:    {state.Running},
	state.Retry:   {state.Failed},
	state.Skip:    {state.Failed},
	state.Loop:    {state.Finished},
	state.Suspend: {state.Created, state.Running},
	state.Resume:  {state.Suspended},
	state.Revoke:  {state.Created, state.Running, state.Suspended, state.Failed},
}

// apply does one well-formed operation to t or refuses it with a code.
func (s *Store) apply(t *task, op state.Op) (Outcome, string) {
	switch op.Kind {
	case state.Create:
		return s.create(t, op)
	case state.Declare:
		return s.declare(t, op)
	}
	n := t.find(op.Node)
	if n == nil {
		return Outcome{}, s.unknown(t, op.Node)
	}
	if op.Kind == state.Fail && (op.Ignore || op.RetryAt.IsSet()) {
		if !n.leaf() || op.Ignore && op.RetryAt.IsSet() {
			return Outcome{}, InvalidArgument
		}
	}
	if op.Idempotent && repeats(n, op) {
		return Outcome{Node: n.id, Version: n.now().Version, Repeat: true}, ""
	}
	if op.Version.IsSet() && op.Version != n.now().Version {
		return Outcome{}, VersionMismatch
	}
	if code := t.refusal(n, op); code != "" {
		return Outcome{}, code
	}
	changed := t.operate(n, op)
	return Outcome{Node: n.id, Version: n.now().Version, Changed: changed}, ""
}

// unknown is the refusal of a node that t does not have.
func (s *Store) unknown(t *task, id string) string {
	if s.usedElsewhere(t, id) {
		return InvalidArgument // a batch is for one task
	}
	return NotFound
}

func (s *Store) create(t *task, op state.Op) (Outcome, string) {
	if len(t.nodes) > 0 {
		root := t.nodes[0]
		sameID := root.id == op.Node || !op.NodeGiven
		if op.Idempotent && sameID && root.called() == called(op.Name, state.Pipeline) {
			return Outcome{Node: root.id, Repeat: true}, ""
		}
		return Outcome{}, Exists
	}
	if s.usedElsewhere(t, op.Node) {
		return Outcome{}, Exists
	}
	t.add(&node{id: op.Node, name: op.Name, kind: state.Pipeline}, op)
	return Outcome{Node: op.Node, Changed: []string{op.Node}}, ""
}

func (s *Store) declare(t *task, op state.Op) (Outcome, string) {
	parent := t.find(op.Parent)
	if parent == nil {
		return Outcome{}, s.unknown(t, op.Parent)
	}
	if n := t.find(op.Node); n != nil {
		same := n.parent == op.Parent && n.kind == op.NodeKind && n.called() == called(op.Name, op.NodeKind)
		if op.Idempotent && same {
			return Outcome{Node: n.id, Version: n.now().Version, Repeat: true}, ""
		}
		return Outcome{}, Exists
	}
	if s.usedElsewhere(t, op.Node) {
		return Outcome{}, Exists
	}
	if parent.leaf() {
		return Outcome{}, InvalidArgument
	}
	if ended(parent) || slices.ContainsFunc(t.above(parent), ended) {
		return Outcome{}, InvalidTransition
	}
	levels := len(t.above(parent)) + 2 // the parent and the new node
	if levels > s.levels || len(t.nodes)+1 > s.nodes {
		return Outcome{}, InvalidArgument
	}
	t.add(&node{
		id: op.Node, parent: op.Parent, name: op.Name, kind: op.NodeKind,
		noRetry: op.NoRetry, noSkip: op.NoSkip, maxLoops: op.MaxLoops,
	}, op)
	return Outcome{Node: op.Node, Version: op.NewVersion, Changed: []string{op.Node}}, ""
}

func (t *task) add(n *node, op state.Op) {
	n.last = given(op)
	n.attempts = []attempt{{
		Attempt: state.Attempt{Version: op.NewVersion, State: state.Created, Loop: 1},
		began:   op.Kind,
	}}
	t.nodes = append(t.nodes, n)
}

// given is the time an operation asks for: the one it carries or the clock's.
func given(op state.Op) state.Instant {
	if op.At.IsSet() {
		return op.At
	}
	return op.Now
}

// repeats reports whether n already is where the operation leads, at the
// version it was based on.
func repeats(n *node, op state.Op) bool {
	now := n.now()
	if op.Kind == state.Retry || op.Kind == state.Skip || op.Kind == state.Loop {
		if !op.Version.IsSet() || len(n.attempts) < 2 {
			return false
		}
		before := n.attempts[len(n.attempts)-2]
		return before.Version == op.Version && now.began == op.Kind
	}
	if op.Version.IsSet() && op.Version != now.Version {
		return false
	}
	switch op.Kind {
	case state.Start:
		return now.State == state.Running
	case state.Finish:
		return now.State == state.Finished && !now.ErrorIgnored
	case state.Fail:
		if op.Ignore {
			return now.State == state.Finished && now.ErrorIgnored
		}
		return now.State == state.Failed
	case state.Suspend:
		return now.State == state.Suspended
	case state.Resume:
		if now.Started.IsSet() {
			return now.State == state.Running
		}
		return now.State == state.Created
	default:
		return op.Kind == state.Revoke && now.State == state.Revoked
	}
}

// refusal checks what comes after the version, in the order of section 3; ""
// says that nothing is against the operation.
func (t *task) refusal(n *node, op state.Op) string {
	if !slices.Contains(from[op.Kind], n.now().State) {
		return InvalidTransition
	}
	root := n.parent == ""
	switch op.Kind {
	case state.Retry, state.Loop:
		if root {
			return InvalidTransition
		}
	case state.Skip:
		if !n.leaf() {
			return InvalidTransition
		}
	}
	if !t.placeAllows(n, op.Kind) {
		return InvalidTransition
	}
	switch {
	case op.Kind == state.Retry && n.noRetry:
		return NotRetryable
	case op.Kind == state.Skip && n.noSkip:
		return NotSkippable
	case op.Kind == state.Loop && n.maxLoops > 0 && n.now().Loop >= n.maxLoops:
		return LoopLimit
	}
	return ""
}

// placeAllows checks the nodes above and below: the guards of the table.
func (t *task) placeAllows(n *node, kind state.OpKind) bool {
	above, children := t.above(n), t.children(n)
	runningAbove := !slices.ContainsFunc(above, func(a *node) bool { return a.now().State != state.Running })
	endedAbove := slices.ContainsFunc(above, ended)
	childIn := func(states ...state.State) bool {
		return slices.ContainsFunc(children, func(c *node) bool { return slices.Contains(states, c.now().State) })
	}
	switch kind {
	case state.Start, state.Loop:
		return runningAbove
	case state.Finish:
		return n.leaf() || !endedAbove && !childIn(state.Running, state.Suspended, state.Failed)
	case state.Fail:
		return n.leaf() || !childIn(state.Running, state.Suspended)
	case state.Retry, state.Skip, state.Suspend, state.Resume:
		return !endedAbove
	default:
		return kind == state.Revoke
	}
}

func ended(n *node) bool {
	s := n.now().State
	return s == state.Finished || s == state.Failed || s == state.Revoked
}

// operate carries out what nothing is against, and returns the IDs of the
// nodes it changed.
func (t *task) operate(n *node, op state.Op) (changed []string) {
	at := latest(given(op), n.last)
	n.last = at
	a := *n.now() // the attempt goes on, unless it is appended below
	a.RetryAt = state.Instant{}
	switch op.Kind {
	case state.Start:
		a.State, a.Started = state.Running, at
	case state.Finish:
		a.State, a.Finished = state.Finished, at
	case state.Fail:
		a.State, a.Finished, a.Error = state.Failed, at, state.CutError(op.Error)
		a.RetryAt = op.RetryAt
		if op.Ignore {
			a.State, a.ErrorIgnored = state.Finished, true
		}
	case state.Retry:
		a.State, a.Error = state.Created, ""
		a.Started, a.Finished = state.Instant{}, state.Instant{}
		a.Retries++
	case state.Skip:
		a.State, a.Error, a.Skipped = state.Finished, "", true
		a.Started, a.Finished = at, at
		a.Skips++
	case state.Loop:
		a.State, a.Error, a.Skipped, a.ErrorIgnored = state.Running, "", false, false
		a.Started, a.Finished = at, state.Instant{}
		a.Loop++
	case state.Suspend:
		a.State = state.Suspended
	case state.Resume:
		a.State = state.Created
		if a.Started.IsSet() {
			a.State = state.Running
		}
	case state.Revoke:
		a.State, a.Finished = state.Revoked, at
	}
	switch op.Kind {
	case state.Retry, state.Skip, state.Loop:
		a.Version, a.began = op.NewVersion, op.Kind
		n.attempts = append(n.attempts, a)
	default:
		*n.now() = a
	}
	changed = []string{n.id}
	if op.Kind == state.Fail || op.Kind == state.Revoke {
		for _, b := range t.below(n) {
			if b.takenAlong(op.Kind, at) {
				changed = append(changed, b.id)
			}
		}
	}
	return changed
}

// takenAlong is what the fail or revoke of a container does to a node below
// it; it reports whether that is anything.
func (n *node) takenAlong(kind state.OpKind, at state.Instant) bool {
	now := n.now()
	if now.RetryAt.IsSet() {
		now.RetryAt = state.Instant{}
		return true
	}
	var revoked bool
	if n.leaf() {
		revoked = now.State == state.Suspended
	} else {
		revoked = now.State != state.Finished && now.State != state.Revoked
	}
	if kind != state.Revoke || !revoked {
		return false
	}
	n.last = latest(at, n.last)
	now.State, now.Finished = state.Revoked, n.last
	return true
}
