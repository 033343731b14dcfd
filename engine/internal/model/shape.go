package model

import (
	"math"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pipestatus/pipestatus/state"
)

// wellFormed checks the shape of an operation: the fields of the table in
// section 7, and the syntax of IDs and times in sections 2 and 3.
func wellFormed(op state.Op) bool {
	if op.Kind < state.Create || op.Kind > state.Revoke {
		return false
	}
	isCreate, isDeclare, isFail := op.Kind == state.Create, op.Kind == state.Declare, op.Kind == state.Fail
	begins := isDeclare || op.Kind == state.Retry || op.Kind == state.Skip || op.Kind == state.Loop

	ids := isID(op.Node) && (op.Actor == "" || isID(op.Actor))
	times := op.Now.IsSet() && isTime(op.Now) && isTime(op.At) && isTime(op.RetryAt)

	task := op.Task == state.Key{}
	if isCreate {
		task = isID(op.Task.Business) && isID(op.Task.Task)
	}
	declaration := op.Parent == "" && op.NodeKind == 0 && !op.NoRetry && !op.NoSkip && op.MaxLoops == 0
	if isDeclare {
		declaration = isID(op.Parent) && op.MaxLoops >= 0 && op.MaxLoops <= math.MaxInt32 &&
			op.NodeKind >= state.Subprocess && op.NodeKind <= state.ConvergeGateway
	}
	name := op.Name == ""
	if isCreate || isDeclare {
		name = len(op.Name) <= state.MaxNameBytes && utf8.ValidString(op.Name)
	}
	failure := isFail || op.Error == "" && !op.Ignore && !op.RetryAt.IsSet()
	versions := begins == op.NewVersion.IsSet() && (!op.Version.IsSet() || !isCreate && !isDeclare)
	return ids && times && task && declaration && name && failure && versions
}

// isID: 1 to 64 bytes of UTF-8 without control characters.
func isID(id string) bool {
	for _, r := range id {
		if unicode.IsControl(r) {
			return false
		}
	}
	return len(id) >= 1 && len(id) <= 64 && utf8.ValidString(id)
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
