package model

import (
	"math"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pipestatus/pipestatus/state"
)

// wellFormed checks the shape of an operation: which fields it may have, and the
// syntax of IDs and times.
func wellFormed(op state.Op) bool {
	isBegin, isReport := op.Kind == state.Begin, op.Kind == state.Report
	if (op.Kind < state.Create || op.Kind > state.Reopen || op.Kind == state.Delete) && !isBegin && !isReport {
		return false
	}
	if isBegin && op.NodeKind == state.Pipeline {
		// A root is begun by its ID alone.
		if op.Parent != "" || op.Name != "" || op.NoRetry || op.NoSkip || op.MaxLoops != 0 || !op.NodeGiven || op.VersionGiven {
			return false
		}
		op.Parent, op.NodeKind = "root", state.Subprocess // as for others
	}
	if (isBegin || isReport) && op.Idempotent || op.VersionGiven && !isBegin || isReport != (op.State != 0) || op.State > state.Finished {
		return false
	}
	isCreate, isDeclare, isReopen := op.Kind == state.Create, op.Kind == state.Declare, op.Kind == state.Reopen
	isDeclare = isDeclare || isBegin
	isFail, isNew := op.Kind == state.Fail, isCreate || isDeclare
	named := isDeclare || isReport || op.Kind == state.Retry || op.Kind == state.Skip || op.Kind == state.Loop || op.Kind == state.Reset

	ids := isText(op.Node, 128) && !isReopen || op.Node == "" && isReopen
	ids = ids && (op.Actor == "" || isText(op.Actor, 255))
	times := op.Now.IsSet() && isTime(op.Now) && isTime(op.At) && isTime(op.RetryAt)

	task := op.Task == state.Key{}
	if isCreate || isReopen {
		task = isText(op.Task.Business, 128) && isText(op.Task.Task, 128)
	}
	declaration := op.Parent == "" && op.NodeKind == 0 && !op.NoRetry && !op.NoSkip && op.MaxLoops == 0
	if isDeclare {
		declaration = isText(op.Parent, 128) && op.MaxLoops >= 0 && op.MaxLoops <= math.MaxInt32 &&
			op.NodeKind >= state.Subprocess && op.NodeKind <= state.ConvergeGateway
	}
	name := op.Name == "" || isNew
	failure := isFail || !op.Ignore && !op.Abandon && !op.RetryAt.IsSet() && (op.Error == "" || op.Kind == state.Revoke ||
		isReport && (op.State == state.Failed || op.State == state.Revoked))
	tolerance := op.Kind == state.Finish || !op.Tolerate
	versions := named == op.NewVersion.IsSet() && (!op.Version.IsSet() || !isNew && !isReopen)
	loop := op.Loop == 0 || op.Loop > 0 && op.Loop <= math.MaxInt32 && !isNew
	return ids && times && task && declaration && name && failure && tolerance && versions && loop
}

// isText: so many bytes at most, and at least one, of UTF-8 without control
// characters.
func isText(id string, most int) bool {
	for _, r := range id {
		if unicode.IsControl(r) {
			return false
		}
	}
	return len(id) >= 1 && len(id) <= most && utf8.ValidString(id)
}

// isTime: unset, or within the years 1 to 9999.
func isTime(i state.Instant) bool {
	if !i.IsSet() {
		return true
	}
	sec, nsec := i.Unix()
	first := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	after := time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	return sec >= first && sec < after && nsec >= 0 && nsec < 1_000_000_000
}
