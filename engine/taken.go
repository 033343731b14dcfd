package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// explain corrects a refusal whose reason only the store knows: the operations
// of a batch may be on different tasks, and an ID may be in use in another
// task. It names no task of another business.
func (g *group) explain(w *work, p *Pending, err error) error {
	var refused *state.Error
	if !errors.As(err, &refused) {
		return err
	}
	op := &p.ops[refused.Index]
	switch {
	case errors.Is(err, state.ErrNotFound):
		ref := refTo(op)
		if elsewhere, lookErr := g.elsewhere(ref, w.key); lookErr != nil {
			return lookErr
		} else if elsewhere != nil {
			refused.Err = fmt.Errorf("%w: a batch is for one task, and %s is in another one", state.ErrInvalidArgument, ref)
		}
	case errors.Is(err, state.ErrExists) && op.Taken:
		ref := store.ByNode(op.Node)
		elsewhere, lookErr := g.elsewhere(ref, w.key)
		if lookErr != nil {
			return lookErr
		}
		if elsewhere != nil && elsewhere.Business == w.key.Business {
			refused.Err = fmt.Errorf("%w: %s, in task %s", state.ErrExists, ref, elsewhere)
		}
	}
	return err
}

// known returns the task of operation i as the store has it, without nodes if
// the task is unknown. It is for refusals of operations that were never
// applied.
func (e *Engine) known(ctx context.Context, ops []state.Op, i int) *state.Tree {
	for _, op := range []*state.Op{&ops[i], &ops[0]} {
		ref := refTo(op)
		if ref.Node == "" && ref.Key.Validate() != nil || ref.Node != "" && state.CheckID("node ID", ref.Node) != nil {
			continue
		}
		if tree, err := e.latest(ctx, ref); err == nil {
			return tree
		}
	}
	return state.NewTree(ops[i].Task)
}

// latest returns a task's tree as the store has it, from memory if that is
// current.
func (e *Engine) latest(ctx context.Context, ref store.Ref) (*state.Tree, error) {
	at, err := e.store.Locate(ctx, ref)
	if err != nil {
		return nil, err
	}
	if tree := e.cache.get(ref); tree != nil && tree.Revision() == at.Revision {
		return tree, nil
	}
	snap, err := e.fetch(ctx, ref)
	return snap.Tree, err
}

// markTaken sets Taken on the operations whose new node has an ID that is in
// use in a task other than key. Generated IDs are looked up only after a failed
// try, which detects a generator that repeats itself.
func (g *group) markTaken(ops []state.Op, key state.Key) error {
	for i := range ops {
		op := &ops[i]
		makes := op.Kind == state.Create || op.Kind == state.Declare || op.Kind == state.Begin
		if !op.NodeGiven && (!g.retried || !makes) {
			continue
		}
		elsewhere, err := g.elsewhere(store.ByNode(op.Node), key)
		if err != nil {
			return err
		}
		op.Taken = elsewhere != nil
	}
	return nil
}

// elsewhere returns the key of the task, other than key, that has a committed
// node, or nil if no other task has it. It asks the store, since another engine may have
// deleted a task in memory. New nodes of this group do not count: their commit
// may fail, and the store's Commit reports IDs in use.
func (g *group) elsewhere(ref store.Ref, key state.Key) (*state.Key, error) {
	at, err := g.engine.store.Locate(context.Background(), ref)
	switch {
	case errors.Is(err, state.ErrNotFound), err == nil && at.Key == key:
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &at.Key, nil
}

// meansNodeOf reports whether a request that names a node by an ID means the
// node of w. If the ID was given in this group without a lookup, another task
// may have it too. The request then waits for the next group, so that it keeps
// its place among the requests for the other task.
func (g *group) meansNodeOf(w *work, ref store.Ref) (bool, error) {
	if _, guessed := g.guessed[ref.Node]; !guessed {
		return true, nil
	}
	elsewhere, err := g.elsewhere(ref, w.key)
	if err != nil || elsewhere != nil {
		return false, err
	}
	delete(g.guessed, ref.Node)
	return true, nil
}
