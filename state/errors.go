package state

import (
	"cmp"
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
	Key   string // the node key that it named, instead or for a new node
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
	if e.Node != "" || e.Key != "" {
		b.WriteString(" node")
	}
	if e.Node != "" {
		b.WriteString(" " + brief(e.Node))
	}
	if e.Key != "" {
		b.WriteString(" with key " + brief(e.Key))
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

// Refused is why the operation at an index was refused, with err as the reason,
// the key of its task, and the own state of its node, 0 if that is not known.
func Refused(ops []Op, index int, task Key, st State, err error) *Error {
	op := &ops[index]
	e := &Error{Op: op.Kind, Task: task, Node: op.Node, Key: cmp.Or(op.NodeKey, op.Key), State: st, Index: index, Batch: len(ops) > 1, Err: err}
	if op.Kind == Begin && op.Key != "" && !op.NodeGiven {
		e.Node = "" // which was generated, for a node that may be there already
	}
	return e
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }
