package engine

import (
	"context"
	"iter"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Interruption is a task with nodes that were RUNNING when the engine was
// opened and have not changed since.
type Interruption struct {
	Task state.Key
	// Nodes are those nodes in the order of creation, containers included.
	Nodes []state.Node
}

// Interrupted iterates over the tasks with nodes RUNNING since before this
// engine was opened: what the last process left behind, if it crashed. The
// runner decides for each node whether to finish, fail or retry it; recovery
// never changes a state by itself. An error is the last thing yielded.
func (e *Engine) Interrupted(ctx context.Context) iter.Seq2[Interruption, error] {
	return func(yield func(Interruption, error) bool) {
		q := store.ListQuery{Unfinished: true}
		for {
			page, err := e.List(ctx, q)
			if err != nil {
				yield(Interruption{}, err)
				return
			}
			for i := range page.Tasks {
				in, err := e.interrupted(ctx, &page.Tasks[i])
				if err != nil {
					yield(Interruption{}, err)
					return
				}
				if len(in.Nodes) > 0 && !yield(in, nil) {
					return
				}
			}
			if page.Cursor == "" {
				return
			}
			q.Cursor = page.Cursor
		}
	}
}

func (e *Engine) interrupted(ctx context.Context, t *store.Task) (Interruption, error) {
	in := Interruption{Task: t.Key}
	if t.Number > e.opened {
		return in, nil
	}
	snap, err := e.Load(ctx, store.Ref{Key: t.Key})
	if err != nil {
		return in, gone(err)
	}
	since := make(map[string]bool)
	for after := e.opened; snap.Tree.Revision() > after; {
		trs, err := e.Transitions(ctx, t.Key, after, 0)
		if err != nil {
			return in, gone(err)
		}
		if len(trs) == 0 {
			break
		}
		for _, tr := range trs {
			after = tr.Sequence
			for i := range tr.Changes {
				since[tr.Changes[i].ID] = true
			}
		}
	}
	for i := range snap.Tree.Len() {
		if snap.Tree.State(i) == state.Running && !since[snap.Tree.ID(i)] {
			in.Nodes = append(in.Nodes, snap.Tree.Node(i))
		}
	}
	return in, nil
}
