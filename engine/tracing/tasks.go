package tracing

import (
	"container/list"
	"context"
	"errors"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// errDeleted says that the earlier transitions of a task no longer exist.
var errDeleted = errors.New("deleted")

// tasksKept bounds the trees in memory. Other trees are rebuilt from their
// transitions.
const tasksKept = 256

// tasks are trees after the last transition that was followed.
type tasks struct {
	reader store.Reader
	trees  map[state.Key]*list.Element
	recent *list.List // of *state.Tree, the one used last in front
}

func newTasks(r store.Reader) *tasks {
	return &tasks{reader: r, trees: make(map[state.Key]*list.Element), recent: list.New()}
}

// after is the tree after a transition, nil for a delete.
func (t *tasks) after(ctx context.Context, tr *state.Transition) (*state.Tree, error) {
	known := t.trees[tr.Task]
	if tr.Op == state.Delete {
		if known != nil {
			t.forget(known)
		}
		return nil, nil
	}
	tree, err := (*state.Tree)(nil), error(nil)
	switch {
	case tr.Op == state.Create:
		tree, err = state.NewTree(tr.Task).Replay(tr)
	case known != nil:
		tree, err = known.Value.(*state.Tree).Replay(tr)
	default:
		tree, err = t.replay(ctx, tr)
	}
	if err != nil {
		return nil, err
	}
	if known != nil {
		known.Value = tree
		t.recent.MoveToFront(known)
		return tree, nil
	}
	t.trees[tr.Task] = t.recent.PushFront(tree)
	if t.recent.Len() > tasksKept {
		t.forget(t.recent.Back())
	}
	return tree, nil
}

func (t *tasks) forget(e *list.Element) {
	delete(t.trees, e.Value.(*state.Tree).Key())
	t.recent.Remove(e)
}

// replay makes the tree of a task from all its transitions up to one.
func (t *tasks) replay(ctx context.Context, last *state.Transition) (*state.Tree, error) {
	tree, after := state.NewTree(last.Task), uint64(0)
	for after < last.Sequence {
		page, err := t.reader.Transitions(ctx, last.Task, after, 0)
		if errors.Is(err, state.ErrNotFound) || err == nil && len(page) == 0 {
			return nil, errDeleted
		}
		if err != nil {
			return nil, err
		}
		n := 0
		for n < len(page) && page[n].Sequence <= last.Sequence {
			n++
		}
		if n == 0 { // of another task that took the name since
			return nil, errDeleted
		}
		if tree, err = tree.Replay(page[:n]...); err != nil {
			return nil, err
		}
		after = page[n-1].Sequence
	}
	return tree, nil
}
