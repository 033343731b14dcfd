package model

import (
	"maps"
	"math"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pipestatus/pipestatus/state"
)

// wellFormed checks the shape of an operation: the fields that it may have, the
// syntax of IDs, keys, labels and times, and the size of its data.
func (s *Store) wellFormed(op state.Op) bool {
	isBegin, isReport := op.Kind == state.Begin, op.Kind == state.Report
	if (op.Kind < state.Create || op.Kind > state.Label || op.Kind == state.Delete) && !isBegin && !isReport {
		return false
	}
	if (isBegin || isReport) && op.Idempotent || isReport != (op.State != 0) || op.State > state.Finished {
		return false
	}
	times := op.Now.IsSet() && isTime(op.Now) && isTime(op.At) && isTime(op.RetryAt)
	actor := op.Actor == "" || isText(op.Actor, 255)
	return times && actor && hasPlace(op) && hasDeclaration(op) && hasOutcome(op) && hasAttempt(op) && hasLabels(op) && s.hasData(op)
}

func isRoot(op state.Op) bool { return op.Kind == state.Begin && op.NodeKind == state.Pipeline }

// declares reports whether an operation may make a node in a container.
func declares(op state.Op) bool {
	return op.Kind == state.Declare || op.Kind == state.Begin && !isRoot(op)
}

// hasPlace checks that an operation names its node by ID, or by task and key,
// or names its task.
func hasPlace(op state.Op) bool {
	task := isText(op.Task.Business, 128) && isText(op.Task.Task, 128)
	isNew := op.Kind == state.Create || declares(op)
	if isNew && !isText(op.Node, 128) {
		return false
	}
	switch {
	case declares(op):
		parent := op.Task == state.Key{} && op.ParentKey == "" && isText(op.Parent, 128)
		if op.Parent == "" {
			parent = task && (op.ParentKey == "" || isText(op.ParentKey, 255))
		}
		found := op.Kind == state.Declare || op.NodeGiven || op.Key != ""
		return parent && found && op.NodeKey == "" && (op.Key == "" || isText(op.Key, 255)) && len(op.After) <= 1000
	case op.Parent != "" || op.ParentKey != "" || op.Key != "" || op.After != nil:
		return false
	case op.Kind == state.Create:
		return task && op.NodeKey == ""
	case op.Kind == state.Reopen || op.Kind == state.Label:
		return task && op.NodeKey == "" && op.Node == ""
	case isRoot(op) && !op.NodeGiven:
		return task && op.NodeKey == ""
	case op.Node != "" || isRoot(op):
		return isText(op.Node, 128) && op.NodeKey == "" && op.Task == state.Key{}
	}
	return task && (op.NodeKey == "" || isText(op.NodeKey, 255))
}

// hasDeclaration checks that only new nodes have a kind and settings.
func hasDeclaration(op state.Op) bool {
	name := op.Name == "" || op.Kind == state.Create || declares(op)
	if declares(op) {
		return name && op.MaxLoops >= 0 && op.MaxLoops <= math.MaxInt32 &&
			op.NodeKind >= state.Subprocess && op.NodeKind <= state.ConvergeGateway
	}
	return name && (op.NodeKind == 0 || isRoot(op)) && !op.NoRetry && !op.NoSkip && op.MaxLoops == 0
}

// hasOutcome checks the end of an attempt, and the note of a suspended one.
func hasOutcome(op state.Op) bool {
	isFail := op.Kind == state.Fail
	text := op.Error == "" || isFail || op.Kind == state.Revoke ||
		op.Kind == state.Report && (op.State == state.Failed || op.State == state.Revoked)
	return text && (isFail || !op.Ignore && !op.Abandon && !op.RetryAt.IsSet()) &&
		(op.Kind == state.Finish || !op.Tolerate) && (op.Kind == state.Suspend || op.Note == "")
}

// hasAttempt checks the attempt that an operation is for, the one that it
// begins, and the node that led to it.
func hasAttempt(op state.Op) bool {
	isNew := op.Kind == state.Create || op.Kind == state.Declare || op.Kind == state.Begin
	ofTask := op.Kind == state.Reopen || op.Kind == state.Label
	again := op.Kind == state.Retry || op.Kind == state.Skip || op.Kind == state.Loop || op.Kind == state.Reset
	begins := again || op.Kind == state.Declare || op.Kind == state.Begin || op.Kind == state.Report
	version := begins == op.NewVersion.IsSet() && (!op.VersionGiven || again || op.Kind == state.Begin && !isRoot(op))
	based := !op.Version.IsSet() || !isNew && !ofTask
	loop := op.Loop == 0 || op.Loop > 0 && op.Loop <= math.MaxInt32 && !isNew && op.Kind != state.Label
	from := op.From == "" || op.Kind == state.Start || op.Kind == state.Loop || op.Kind == state.Begin && !isRoot(op)
	return version && based && loop && from
}

// hasLabels checks the labels: keys of 1 to 63 bytes, values of 0 to 255.
func hasLabels(op state.Op) bool {
	set := maps.Collect(op.Labels.All())
	switch op.Kind {
	case state.Label:
		if len(set) == 0 && len(op.Unlabel) == 0 {
			return false
		}
	case state.Create:
		if op.Unlabel != nil {
			return false
		}
	default:
		return len(set) == 0 && op.Unlabel == nil
	}
	for _, key := range op.Unlabel {
		if _, both := set[key]; both || !isText(key, 63) {
			return false
		}
	}
	for key, value := range set {
		if !isText(key, 63) || value != "" && !isText(value, 255) {
			return false
		}
	}
	return len(set) <= 32 && len(op.Unlabel) <= 32
}

// hasData checks that only the beginning of an attempt has an input, and only
// its end an output.
func (s *Store) hasData(op state.Op) bool {
	begins, ends := false, false
	switch op.Kind {
	case state.Create, state.Start, state.Loop:
		begins = true
	case state.Begin:
		begins = !isRoot(op)
	case state.Finish, state.Fail, state.Skip:
		ends = true
	case state.Report:
		ends = op.State == state.Finished || op.State == state.Failed
	}
	fits := func(d *state.Data, allowed bool) bool {
		return d == nil || allowed && d.Bytes() != nil && len(d.Bytes()) <= s.data
	}
	return fits(op.Input, begins) && fits(op.Output, ends)
}

// isText checks for 1 to most bytes of UTF-8 without control characters.
func isText(id string, most int) bool {
	for _, r := range id {
		if unicode.IsControl(r) {
			return false
		}
	}
	return len(id) >= 1 && len(id) <= most && utf8.ValidString(id)
}

// isTime checks that a time is unset or in the years 1 to 9999.
func isTime(i state.Instant) bool {
	if !i.IsSet() {
		return true
	}
	sec, nsec := i.Unix()
	first := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	after := time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	return sec >= first && sec < after && nsec >= 0 && nsec < 1_000_000_000
}
