package model

import (
	"slices"

	"github.com/pipestatus/pipestatus/state"
)

// moment is the time of an operation on n.
func (t *task) moment(n *node, op state.Op) state.Instant {
	at := latest(given(op), n.last)
	if n.parent != "" {
		at = latest(at, t.find(n.parent).now().Started)
	}
	switch op.Kind {
	case state.Finish, state.Fail, state.Skip, state.Revoke:
		for _, b := range t.below(n) {
			at = latest(at, b.last)
		}
	}
	return at
}

// operate applies an accepted operation, and returns the IDs of the changed
// nodes.
func (t *task) operate(n, origin *node, op state.Op) (changed []string) {
	at := t.moment(n, op)
	n.last = at
	a := *n.now() // the same attempt, or the beginning of a new one
	a.RetryAt = state.Instant{}
	switch op.Kind {
	case state.Start:
		a.State, a.Started, a.CameFrom = state.Running, at, t.place(origin)
	case state.Finish:
		a.State, a.Finished = state.Finished, at
	case state.Fail:
		a.RetryAt = t.retryAt(n, op)
		if n.now().State != state.Failed {
			a.Finished = at
		}
		if op.Error != "" {
			a.Error = state.CutError(op.Error)
		}
		a.State = state.Failed
		if op.Ignore {
			a.State, a.ErrorIgnored = state.Finished, true
		}
	case state.Retry:
		a.State, a.Error, a.Paused, a.CameFrom = state.Created, "", false, 0
		a.Started, a.Finished = state.Instant{}, state.Instant{}
		a.Retries++
	case state.Skip:
		a.State, a.Error, a.Skipped, a.Paused, a.CameFrom = state.Finished, "", true, false, 0
		a.Started, a.Finished = at, at
		a.Skips++
	case state.Loop:
		a = again(a)
		a.State, a.Started, a.CameFrom = state.Running, at, t.place(origin)
	case state.Reset:
		a = again(a)
		a.State = state.Created
	case state.Reopen:
		start := a.Started
		a = again(a)
		if a.State, a.Started = state.Running, start; !start.IsSet() {
			a.Started = at
		}
	case state.Suspend:
		a.State, a.Paused = state.Suspended, true
	case state.Resume:
		a.State = state.Created
		if a.Started.IsSet() {
			a.State = state.Running
		}
	case state.Revoke:
		if a.State != state.Failed {
			a.Finished = at
		}
		if op.Error != "" {
			a.Error = state.CutError(op.Error)
		}
		a.State = state.Revoked
	}
	if op.Kind.NewAttempt() {
		a.Version, a.Began, a.Along = op.NewVersion, op.Kind, false
		n.attempts, n.data = append(n.attempts, a), append(n.data, payload{})
	} else {
		*n.now() = a
	}
	n.note = ""
	if op.Kind == state.Suspend {
		n.note = state.CutError(op.Note)
	}
	n.bring(op)
	changed = []string{n.id}
	for i, b := range t.nodes {
		if slices.Contains(t.above(b), n) && b.effectOfContainer(b.parent == n.id, i, op, at) {
			changed = append(changed, b.id)
		}
	}
	return changed
}

// again returns the attempt that a loop, reset or reopen begins after another,
// with everything cleared that all of them clear.
func again(a state.Attempt) state.Attempt {
	a.Loop++
	a.Error, a.Skipped, a.ErrorIgnored, a.Paused, a.CameFrom = "", false, false, false, 0
	a.Started, a.Finished = state.Instant{}, state.Instant{}
	return a
}

// effectOfContainer applies the effects of an operation on a container to the
// node at an index below it; it reports whether there were any.
func (n *node) effectOfContainer(child bool, index int, op state.Op, at state.Instant) bool {
	now := n.now()
	was := now.State
	revokes := op.Kind == state.Revoke || op.Kind == state.Fail && op.Abandon
	isRevoked := was == state.Suspended
	if !n.leaf() {
		isRevoked = was != state.Finished && was != state.Revoked
	}
	switch {
	case revokes && isRevoked:
		n.last = latest(at, n.last)
		if was != state.Failed {
			now.Finished = n.last
		}
		now.State, n.note = state.Revoked, ""
	case op.Kind == state.Reset && was != state.Created:
		n.last = latest(at, n.last)
		a := again(*now)
		a.State, a.Began, a.Along, a.Version = state.Created, state.Reset, true, op.NewVersion.Below(index)
		a.RetryAt = state.Instant{}
		n.attempts, n.data = append(n.attempts, a), append(n.data, payload{})
	case op.Tolerate && child && was == state.Failed:
		n.last = latest(at, n.last)
		now.State, now.ErrorIgnored, now.RetryAt = state.Finished, true, state.Instant{}
	case !n.awaitsRetry():
		return false
	default:
		switch op.Kind {
		case state.Finish, state.Fail, state.Skip, state.Reset, state.Revoke:
			now.RetryAt = state.Instant{}
		default:
			return false
		}
	}
	return true
}
