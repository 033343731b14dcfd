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
	// ErrExists: the task key, the node ID, the node's key or the version of an
	// attempt is taken.
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
// with errors.Is; fields that do not apply or are not known are zero.
type Error struct {
	Op OpKind // 0 if there was no operation
	// Task is the task of the node. It is not known if the operation named the
	// node by an ID that no node has.
	Task Key
	// Node is the ID of the node that the operation is about, also if it named
	// the node by task and key or as the root of its task. For a Create of a task
	// that exists it is that of the root. For a node to be made it is the ID that
	// was given, and not one that was generated.
	Node string
	Key  string // the node key that the operation named, instead or for a new node
	// State is the own state of the node. For a node to be made it is that of the
	// container.
	State State
	New   bool  // the operation was to make the node
	Index int   // position in the batch, 0 for a single operation
	Batch bool  // the operation came with others
	Err   error // one of the sentinels, or a conflict of the store's, perhaps wrapped with detail
}

// Error names operation, node, state and task, then the reason. Long IDs, which
// were refused for it, are cut.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Batch {
		fmt.Fprintf(&b, "operation %d of the batch", e.Index)
	}
	if e.Op != 0 {
		if e.Batch {
			b.WriteString(": ")
		}
		b.WriteString(e.Op.String())
	}
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
	case e.State != 0 && e.New:
		b.WriteString(" (its parent is " + e.State.String() + ")")
	case e.State != 0:
		b.WriteString(" (" + e.State.String() + ")")
	}
	if e.Task != (Key{}) {
		b.WriteString(" of task " + e.Task.String())
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	return b.String() + e.Err.Error()
}

// Refusal is why the operation at an index was refused, given the reason and its
// task as it was before the operation. The tree of a task that is not known has no
// nodes and the key that the operation gives.
func (t *Tree) Refusal(ops []Op, index int, err error) *Error {
	op := &ops[index]
	at := t.where(op)
	if undone, ok := err.(*halfway); ok { //nolint:errorlint // it is never wrapped
		at, err = undone.was, undone.err
	}
	return &Error{
		Op: op.Kind, Task: t.key, Node: at.node, Key: cmp.Or(op.NodeKey, op.Key), State: at.state, New: at.isNew,
		Index: index, Batch: len(ops) > 1, Err: err,
	}
}

// site is what a refusal tells of a node.
type site struct {
	node  string
	state State
	isNew bool
}

// where is the site of the node that an operation is about.
func (t *Tree) where(op *Op) site {
	i, err := t.target(op)
	switch {
	case op.Kind == Create && t.Len() > 0 && op.Task == t.key:
		return t.site(0)
	case err == nil && op.Kind != Declare:
		return t.site(i)
	case op.Kind == Create || op.Kind == Declare || op.Kind == Begin && !op.beginsRoot():
		return t.newSite(op)
	}
	if op.Kind == Begin && !op.NodeGiven {
		return site{} // the root of an unknown task
	}
	return site{node: op.Node}
}

func (t *Tree) site(i int) site { return site{node: t.ID(i), state: t.State(i)} }

// newSite is the site of a node to be made.
func (t *Tree) newSite(op *Op) site {
	at := site{isNew: true}
	if op.NodeGiven {
		at.node = op.Node
	}
	if op.Kind == Create {
		return at
	}
	if p, err := t.parent(op); err == nil {
		at.state = t.State(p)
	}
	return at
}

// halfway is why a compound operation was refused after the first of its steps.
type halfway struct {
	was site // before them
	err error
}

func (h *halfway) Error() string { return h.err.Error() }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }
