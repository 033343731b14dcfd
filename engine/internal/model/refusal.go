package model

import (
	"errors"

	"github.com/pipestatus/pipestatus/state"
)

// Refusal is what a refusal has to say.
type Refusal struct {
	Code  string
	Index int          // of the operation in the batch
	Op    state.OpKind // 0 if there is no operation
	Task  state.Key    // of the node if there is one, or else what the operation says
	Node  string       // its ID, or the one that was given for it
	State state.State  // its own, or that of the container of a node to be made
	New   bool         // the node was to be made
	// Shape says that the operations are misshapen, whatever the store holds. What
	// is known of the node then depends on who asks, and the model does not say it.
	Shape bool
}

// refuse refuses an operation on a task as it is before it.
func (t *task) refuse(op state.Op, index int, code string) *Refusal {
	r := &Refusal{Code: code, Index: index, Op: op.Kind, Task: t.key, Node: op.Node}
	s := &Store{} // in which this is the only task
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
		r.Node = "" // one that was generated names nothing
	}
	if parent, _ := s.container(t, op); r.New && op.Kind != state.Create && parent != nil {
		r.State = parent.now().State
	}
	return r
}

// RefusalOf is a real refusal in the model's form; ok is false for any other error.
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
