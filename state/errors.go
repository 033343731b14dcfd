package state

import (
	"errors"
	"fmt"
	"strings"
)

// What an operation can be refused with. Every refusal is an [*Error] that
// matches exactly one of these with errors.Is.
var (
	// ErrInvalidArgument: the request itself is malformed or beyond a limit.
	ErrInvalidArgument = errors.New("invalid argument")
	// ErrNotFound: there is no such task or node.
	ErrNotFound = errors.New("not found")
	// ErrExists: the task key or the node ID is taken.
	ErrExists = errors.New("already exists")
	// ErrVersionMismatch: the attempt the operation was based on is not the
	// current one, as with a late callback.
	ErrVersionMismatch = errors.New("version mismatch")
	// ErrInvalidTransition: the node's own state, its place, its ancestors or
	// its children do not allow the operation.
	ErrInvalidTransition = errors.New("invalid transition")
	// ErrNotRetryable: the node was declared not retryable.
	ErrNotRetryable = errors.New("not retryable")
	// ErrNotSkippable: the node was declared not skippable.
	ErrNotSkippable = errors.New("not skippable")
	// ErrLoopLimit: the node has looped as often as it may.
	ErrLoopLimit = errors.New("loop limit reached")
)

// Error says which operation was refused, where and why. It matches its Err
// with errors.Is; fields that do not apply are zero.
type Error struct {
	Op    OpKind
	Task  Key
	Node  string // the ID the operation named
	State State  // own state of the node (declare: of the parent), 0 if unknown
	Index int    // position in the batch, 0 for a single operation
	Batch bool   // the operation came with others
	Err   error  // one of the sentinels, perhaps wrapped with detail
}

// Error names operation, node, state and task, then the reason. Long IDs, which
// were refused for it, are cut.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Batch {
		fmt.Fprintf(&b, "operation %d of the batch: ", e.Index)
	}
	b.WriteString(e.Op.String())
	if e.Node != "" {
		b.WriteString(" node " + brief(e.Node))
	}
	switch {
	case e.State != 0 && e.Op == Declare:
		b.WriteString(" (its parent is " + e.State.String() + ")")
	case e.State != 0:
		b.WriteString(" (" + e.State.String() + ")")
	}
	if e.Task != (Key{}) {
		b.WriteString(" of task " + e.Task.String())
	}
	return b.String() + ": " + e.Err.Error()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }
