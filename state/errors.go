package state

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// The reasons for a refusal. Every refusal is an [*Error] that matches exactly
// one of these with errors.Is.
var (
	// ErrInvalidArgument says that the request itself is malformed or beyond a
	// limit.
	ErrInvalidArgument = errors.New("invalid argument")
	// ErrNotFound says that there is no such task or node.
	ErrNotFound = errors.New("not found")
	// ErrExists says that the task key, the node ID, the node's key or the
	// version of an attempt is in use.
	ErrExists = errors.New("already exists")
	// ErrVersionMismatch says that the attempt named by the operation is not
	// the current one, as with a late callback.
	ErrVersionMismatch = errors.New("version mismatch")
	// ErrInvalidTransition says that the node's own state, its place, its
	// ancestors or its children do not allow the operation.
	ErrInvalidTransition = errors.New("invalid transition")
	// ErrNotRetryable says that the node was declared not retryable.
	ErrNotRetryable = errors.New("not retryable")
	// ErrNotSkippable says that the node was declared not skippable.
	ErrNotSkippable = errors.New("not skippable")
	// ErrLoopLimit says that the node has reached its limit of loops.
	ErrLoopLimit = errors.New("loop limit reached")
)

// Error says which operation was refused, where and why. It matches its Err
// with errors.Is; fields that do not apply or are not known are zero.
type Error struct {
	Op OpKind // 0 if there was no operation
	// Task is the task of the node. It is not known if the operation named the
	// node by an ID that no node has.
	Task Key
	// Node is the ID of the operation's node, even if the operation named it by
	// task and key or as the root of its task. For a Create of an existing task
	// it is the ID of the root. For a new node it is the given ID, and not a
	// generated one.
	Node string
	Key  string // the node key that the operation named, instead or for a new node
	// State is the own state of the node. For a new node it is that of the
	// container.
	State State
	New   bool  // the operation would have made the node
	Index int   // position in the batch, 0 for a single operation
	Batch bool  // the operation came with others
	Err   error // one of the sentinels, or a conflict of the store's, perhaps wrapped with detail
}

// Error names operation, node, state and task, then the reason. It cuts long
// IDs.
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

// Refusal returns the refusal of the operation at an index, given the reason
// and its task before the operation. The tree of an unknown task has no nodes
// and the key that the operation gives.
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

// site has the properties of a node that a refusal names.
type site struct {
	node  string
	state State
	isNew bool
}

// where returns the site of an operation's node.
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

// newSite returns the site of a new node.
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

// halfway returns the refusal of a compound operation after its first step.
type halfway struct {
	was site // before them
	err error
}

func (h *halfway) Error() string { return h.err.Error() }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }
