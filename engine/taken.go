package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// explain puts a refusal right where only the whole store can tell: a batch
// must be about one task, and an ID in use may be in another one. Other
// businesses' tasks are not named.
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

// known is the task of operation i as the store has it, without nodes if nothing is
// known of it. It is for refusals of what was never applied.
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

// latest is a task's tree as the store has it, from memory if that is the same.
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

// mark sets Taken on the operations whose ID of a new node is in use in another
// task than key. Generated ones are looked up after a try that failed, which is
// how a generator that repeats itself is found out.
func (g *group) mark(ops []state.Op, key state.Key) error {
	for i := range ops {
		op := &ops[i]
		makes := op.Kind == state.Create || op.Kind == state.Declare || op.Kind == state.Begin
		if !op.NodeGiven && (!g.again || !makes) {
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

// elsewhere returns the task other than key that a committed node is in, nil if
// there is none. What is in memory does not count, since another engine may have
// deleted it; nor do nodes that this group declares: they rest on a commit that
// may fail, and the store's Commit tells of them.
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

// meant reports whether a request that names a node of w by an ID that was given
// in this group is about that node, and not about another task's that has the ID:
// then the request has to wait until that is settled, so that it keeps its place
// among the requests about the other task.
func (g *group) meant(w *work, ref store.Ref) (bool, error) {
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
