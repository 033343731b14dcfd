package engine

import (
	"context"
	"errors"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// apply applies operations to a task. A tree has current attempts only. An
// idempotent operation, or a report, for an earlier attempt is therefore
// refused first; apply then looks in the history, which may show that the
// operation was done before. An operation with a given version of the new
// attempt needs the history before it is applied.
func (g *group) apply(w *work, ops []state.Op) (tree *state.Tree, outcomes []state.Outcome, err error) {
	for i := range ops {
		if !w.tree.WantsVersions(&ops[i]) {
			continue
		}
		defer forget(ops)
		named := state.Op{Version: ops[i].NewVersion}
		at, _ := w.tree.Target(&ops[i])
		past, err := g.history(w, &named, at)
		if err != nil {
			return nil, nil, err
		}
		ops[i].VersionTaken = past != nil
	}
	tree, outcomes, err = w.tree.ApplyValid(&g.room, g.engine.opts.Limits, ops...)
	for recalled := false; ; recalled = true {
		found, lookErr := g.recall(w, ops, err)
		if lookErr != nil {
			return nil, nil, lookErr
		}
		if !found {
			if recalled {
				forget(ops)
			}
			return tree, outcomes, err
		}
		tree, outcomes, err = w.tree.ApplyValid(&g.room, g.engine.opts.Limits, ops...)
	}
}

// forget clears the results from the history, because the operations may be
// applied again to another task.
func forget(ops []state.Op) {
	for i := range ops {
		ops[i].Past, ops[i].VersionTaken = nil, false
	}
}

// recall looks in a task's history for the attempt that a refused operation
// named, and reports whether it found it.
func (g *group) recall(w *work, ops []state.Op, err error) (bool, error) {
	if !errors.Is(err, state.ErrVersionMismatch) {
		return false, nil // before anything is made to look at the error
	}
	var refused *state.Error
	if !errors.As(err, &refused) {
		return false, nil
	}
	op := &ops[refused.Index]
	if !op.Idempotent && op.Kind != state.Report || op.Past != nil {
		return false, nil
	}
	i, known := w.tree.Target(op)
	if !known {
		return false, nil // the batch itself makes the node
	}
	op.Past, err = g.history(w, op, i)
	return op.Past != nil, err
}

// history looks for the attempt of node i that an operation names, first in the
// transitions of this group and then in the store. It returns nil if there is no
// such attempt.
func (g *group) history(w *work, op *state.Op, i int) (*state.Past, error) {
	past := op.Recall(w.tree.ID(i), w.transitions)
	if past != nil || i >= w.base.Len() {
		return past, nil
	}
	n := w.base.Node(i)
	return g.engine.past(op, &n)
}

// past looks in the store for the attempt of a node that an operation names,
// newest first. It returns nil if none matches. n is the node in the store.
func (e *Engine) past(op *state.Op, n *state.Node) (*state.Past, error) {
	next := n.Attempt
	for end := n.Number() - 1; end > 0; {
		skip := max(0, end-pastPage)
		page, err := store.Superseded(context.Background(), e.store, store.ByNode(n.ID), skip, end-skip)
		if err != nil {
			return nil, err
		}
		for i := len(page) - 1; i >= 0; i-- {
			if op.Names(&page[i]) {
				past := state.PastOf(&page[i], &next)
				return &past, nil
			}
			next = page[i]
		}
		end = skip
	}
	return nil, nil
}

// pastPage is the number of attempts that are read at a time.
const pastPage = 256
