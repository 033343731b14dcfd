package model

import (
	"slices"

	"github.com/pipestatus/pipestatus/state"
)

// repeats reports whether the operation is a repeat according to RULES.md.
func (t *task) repeats(n *node, op state.Op) bool {
	named := op.Version.IsSet() || op.Loop != 0
	last := len(n.attempts) - 1
	for i := last; i >= 0; i-- {
		a := &n.attempts[i]
		if !isAbout(op, a) {
			continue
		}
		if i < last {
			next := n.attempts[i+1]
			if op.Kind.NewAttempt() {
				return next.Began == op.Kind && !next.Along
			}
			return happened(a, op)
		}
		switch {
		case op.Kind.NewAttempt():
			return false
		case t.isThere(n, op):
			return true
		case !named:
			return false
		case op.Kind == state.Start:
			return a.Started.IsSet()
		case a.Paused && (op.Kind == state.Suspend || op.Kind == state.Resume) && slices.ContainsFunc(t.above(n), ended):
			return true
		}
		if op.Kind == state.Fail && n.awaitsRetry() {
			return false // the pending retry is replaced
		}
		return over(a.State) && happened(a, op)
	}
	return false
}

// isThere reports whether n already has the state that the operation leads to.
func (t *task) isThere(n *node, op state.Op) bool {
	now := n.now()
	switch op.Kind {
	case state.Start:
		return now.State == state.Running
	case state.Finish:
		return now.State == state.Finished && !now.ErrorIgnored
	case state.Fail:
		if op.Ignore {
			return now.State == state.Finished && now.ErrorIgnored
		}
		return now.State == state.Failed && now.RetryAt == t.retryAt(n, op)
	case state.Suspend:
		return now.State == state.Suspended
	case state.Resume:
		if now.Started.IsSet() {
			return now.State == state.Running
		}
		return now.State == state.Created
	}
	return now.State == state.Revoked
}

// happened reports whether the operation was applied to an attempt that has
// ended or was superseded.
func happened(a *state.Attempt, op state.Op) bool {
	switch op.Kind {
	case state.Start:
		return a.Started.IsSet()
	case state.Finish:
		return a.State == state.Finished && !a.ErrorIgnored
	case state.Fail:
		if op.Ignore {
			return a.ErrorIgnored
		}
		return a.Error != "" || a.ErrorIgnored || a.State == state.Failed
	case state.Suspend, state.Resume:
		return true
	}
	return a.State == state.Revoked
}

// retryAt returns the retry that a fail of n announces.
func (t *task) retryAt(n *node, op state.Op) state.Instant {
	if n.noRetry || slices.ContainsFunc(t.above(n), ended) {
		return state.Instant{}
	}
	return op.RetryAt
}
