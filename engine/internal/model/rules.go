package model

import (
	"maps"
	"slices"

	"github.com/pipestatus/pipestatus/state"
)

// from is the second column of the table in RULES.md, for all nodes.
var from = map[state.OpKind][]state.State{
	state.Start:   {state.Created},
	state.Finish:  {state.Running},
	state.Fail:    {state.Running},
	state.Retry:   {state.Failed},
	state.Skip:    {state.Failed, state.Created},
	state.Loop:    {state.Finished},
	state.Reset:   {state.Finished, state.Failed, state.Revoked},
	state.Reopen:  {state.Finished, state.Failed, state.Revoked},
	state.Suspend: {state.Created, state.Running},
	state.Resume:  {state.Suspended},
	state.Revoke:  {state.Created, state.Running, state.Suspended, state.Failed},
}

// apply applies one well-formed operation to t or refuses it with a code.
func (s *Store) apply(t *task, op state.Op) (Outcome, string) {
	switch op.Kind {
	case state.Create:
		return s.create(t, op)
	case state.Declare:
		return s.declare(t, op)
	case state.Label:
		return s.label(t, op)
	}
	n, code := s.named(t, op)
	if code != "" {
		return Outcome{}, code
	}
	origin, code := t.origin(n.parent, op)
	if code != "" {
		return Outcome{}, code
	}
	if !n.takes(op) {
		return Outcome{}, InvalidArgument
	}
	if op.Idempotent && t.repeats(n, op) {
		return Outcome{Node: n.id, Version: n.now().Version, Repeat: true}, ""
	}
	if !isAbout(op, n.now()) {
		return Outcome{}, VersionMismatch
	}
	if op.Kind.NewAttempt() && op.Kind != state.Reopen && n.had(op.NewVersion) {
		return Outcome{}, Exists
	}
	if code := t.refusal(n, op); code != "" {
		return Outcome{}, code
	}
	changed := t.operate(n, origin, op)
	return Outcome{Node: n.id, Version: n.now().Version, Changed: changed}, ""
}

// takes reports whether the operation may have its options on a node of this
// kind.
func (n *node) takes(op state.Op) bool {
	if op.RetryAt.IsSet() && !n.leaf() || (op.Abandon || op.Tolerate) && n.leaf() {
		return false
	}
	if op.Ignore && (op.RetryAt.IsSet() || op.Abandon) {
		return false
	}
	if op.Kind == state.Start && op.Input != nil && n.parent == "" {
		return false
	}
	return op.Loop == 0 || n.parent == ""
}

// had reports whether an attempt of the node has or had a version.
func (n *node) had(v state.Version) bool {
	return slices.ContainsFunc(n.attempts, func(a state.Attempt) bool { return a.Version == v })
}

// isAbout reports whether an operation is for an attempt: it names this
// attempt, by version or loop, or no attempt.
func isAbout(op state.Op, a *state.Attempt) bool {
	return (!op.Version.IsSet() || op.Version == a.Version) && (op.Loop == 0 || op.Loop == a.Loop)
}

func (s *Store) create(t *task, op state.Op) (Outcome, string) {
	if len(t.nodes) > 0 {
		root := t.nodes[0]
		sameID := root.id == op.Node || !op.NodeGiven
		if op.Idempotent && sameID && root.called() == called(state.CutName(op.Name), state.Pipeline) {
			return Outcome{Node: root.id, Repeat: true}, ""
		}
		return Outcome{}, Exists
	}
	if s.usedElsewhere(t, op.Node) {
		return Outcome{}, Exists
	}
	t.labels = maps.Collect(op.Labels.All())
	t.add(&node{id: op.Node, name: state.CutName(op.Name), kind: state.Pipeline}, op)
	return Outcome{Node: op.Node, Changed: []string{op.Node}}, ""
}

func (s *Store) declare(t *task, op state.Op) (Outcome, string) {
	parent, code := s.container(t, op)
	if code != "" {
		return Outcome{}, code
	}
	after, code := t.leading(parent, op)
	if code != "" {
		return Outcome{}, code
	}
	other := t.find(op.Node)
	if other == nil && !s.usedElsewhere(t, op.Node) {
		other = t.keyed(op.Key)
		if other == nil {
			return s.declareNew(t, parent, after, op)
		}
		if op.NodeGiven {
			return Outcome{}, Exists
		}
	}
	if op.Idempotent && other != nil && other.parent == parent.id && other.kind == op.NodeKind && other.key == op.Key &&
		other.called() == called(state.CutName(op.Name), op.NodeKind) {
		return Outcome{Node: other.id, Version: other.now().Version, Repeat: true}, ""
	}
	return Outcome{}, Exists
}

func (s *Store) declareNew(t *task, parent *node, after []*node, op state.Op) (Outcome, string) {
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
		id: op.Node, parent: parent.id, name: state.CutName(op.Name), kind: op.NodeKind,
		noRetry: op.NoRetry, noSkip: op.NoSkip, maxLoops: op.MaxLoops, key: op.Key, after: after,
	}, op)
	return Outcome{Node: op.Node, Version: op.NewVersion, Changed: []string{op.Node}}, ""
}

func (t *task) add(n *node, op state.Op) {
	n.last = given(op)
	if n.parent != "" {
		n.last = latest(n.last, t.find(n.parent).now().Started)
	}
	n.attempts = []state.Attempt{{Version: op.NewVersion, State: state.Created, Began: op.Kind, Loop: 1}}
	n.data = []payload{{input: op.Input.Bytes()}}
	t.nodes = append(t.nodes, n)
}

// given is the time that an operation asks for: its own or, without one, the
// clock's.
func given(op state.Op) state.Instant {
	if op.At.IsSet() {
		return op.At
	}
	return op.Now
}

// refusal makes the checks after the version, in the order of RULES.md; ""
// accepts the operation.
func (t *task) refusal(n *node, op state.Op) string {
	if !n.mayLeave(op) {
		return InvalidTransition
	}
	if op.Kind == state.Fail && n.now().State == state.Failed && op.Output != nil {
		return InvalidTransition // the attempt got its output when it failed
	}
	switch root := n.parent == ""; op.Kind {
	case state.Retry, state.Skip, state.Loop, state.Reset:
		if root {
			return InvalidTransition
		}
	case state.Reopen:
		if !root {
			return InvalidTransition
		}
	}
	if !t.placeAllows(n, op) {
		return InvalidTransition
	}
	failed := n.now().State == state.Failed
	switch {
	case (op.Kind == state.Retry || op.Kind == state.Reset && failed) && n.noRetry:
		return NotRetryable
	case op.Kind == state.Skip && failed && n.noSkip:
		return NotSkippable
	}
	limited := op.Kind == state.Loop || op.Kind == state.Reset && n.now().Started.IsSet()
	if limited && n.maxLoops > 0 && n.now().Loop >= n.maxLoops {
		return LoopLimit
	}
	return ""
}

// mayLeave reports whether the operation is allowed in the node's own state.
func (n *node) mayLeave(op state.Op) bool {
	now := n.now()
	if slices.Contains(from[op.Kind], now.State) {
		return true
	}
	if !n.leaf() {
		return false
	}
	reports := op.Kind == state.Finish || op.Kind == state.Fail
	if reports && now.State == state.Suspended && now.Started.IsSet() {
		return true
	}
	return op.Kind == state.Fail && !op.Ignore && n.awaitsRetry()
}

// waits reports whether a node waits to run again.
func (n *node) waits() bool {
	now := n.now()
	return now.State == state.Created && (now.Began == state.Retry || now.Began == state.Reset && !now.Along)
}

// placeAllows checks the nodes above and below: the guards in the table.
func (t *task) placeAllows(n *node, op state.Op) bool {
	above, children := t.above(n), t.children(n)
	runningAbove := !slices.ContainsFunc(above, func(a *node) bool { return a.now().State != state.Running })
	endedAbove := slices.ContainsFunc(above, ended)
	are := func(nodes []*node, states ...state.State) bool {
		return slices.ContainsFunc(nodes, func(c *node) bool { return slices.Contains(states, c.now().State) })
	}
	waiting := slices.ContainsFunc(children, (*node).waits)
	switch op.Kind {
	case state.Start, state.Loop:
		return runningAbove
	case state.Finish:
		if n.leaf() {
			return true
		}
		return !endedAbove && !are(children, state.Running, state.Suspended) && !waiting &&
			(op.Tolerate || !are(children, state.Failed))
	case state.Fail:
		if n.leaf() {
			return true
		}
		return (op.Abandon || !are(children, state.Running, state.Suspended)) && !(op.Ignore && waiting)
	case state.Skip:
		return !endedAbove && !are(children, state.Running, state.Suspended)
	case state.Reset:
		return !endedAbove && !are(t.below(n), state.Running, state.Suspended)
	case state.Retry, state.Suspend, state.Resume:
		return !endedAbove
	default:
		return op.Kind == state.Revoke || op.Kind == state.Reopen
	}
}

func ended(n *node) bool { return over(n.now().State) }

func over(s state.State) bool {
	return s == state.Finished || s == state.Failed || s == state.Revoked
}
