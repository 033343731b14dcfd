package model

import (
	"errors"

	"github.com/pipestatus/pipestatus/state"
)

// Refusal has the properties of a refusal.
type Refusal struct {
	Code  string
	Index int          // of the operation in the batch
	Op    state.OpKind // 0 if there is no operation
	Task  state.Key    // the task of the node if it exists, otherwise the one in the operation
	Node  string       // the ID of the node, or the one given for a new node
	State state.State  // the node's own state or, for a new node, that of its container
	New   bool         // the operation would make the node
	// Shape says that the operations are malformed, independent of the store.
	// Which node a caller then knows depends on the caller, and the model does
	// not say.
	Shape bool
}

// refuse returns the refusal of an operation on a task that it has not changed.
func (t *task) refuse(op state.Op, index int, code string) *Refusal {
	r := &Refusal{Code: code, Index: index, Op: op.Kind, Task: t.key, Node: op.Node}
	s := &Store{} // as if t were the only task
	n, _ := s.named(t, op)
	switch op.Kind {
	case state.Create:
		n = nil
		if len(t.nodes) > 0 && op.Task == t.key {
			n = t.nodes[0]
		}
	case state.Declare:
		n = nil
	}
	if n != nil {
		r.Node, r.State = n.id, n.now().State
		return r
	}
	r.New = op.Kind == state.Create || op.Kind == state.Declare || op.Kind == state.Begin && op.NodeKind != state.Pipeline
	if (r.New || op.Kind == state.Begin) && !op.NodeGiven {
		r.Node = "" // a generated ID names no node
	}
	if parent, _ := s.container(t, op); r.New && op.Kind != state.Create && parent != nil {
		r.State = parent.now().State
	}
	return r
}

// RefusalOf returns a real refusal in the model's form; ok is false for any
// other error.
func RefusalOf(err error) (r Refusal, ok bool) {
	var refused *state.Error
	if !errors.As(err, &refused) {
		return Refusal{}, false
	}
	return Refusal{
		Code: Code(err), Index: refused.Index, Op: refused.Op,
		Task: refused.Task, Node: refused.Node, State: refused.State, New: refused.New,
	}, true
}
