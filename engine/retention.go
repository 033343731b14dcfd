package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Retention says which tasks [Engine.Purge] removes. Only tasks that are not
// unfinished ever are; all conditions must hold. The zero Retention removes
// every one of them.
type Retention struct {
	Business string        // "" for all
	Shown    []state.State // what the task shows, empty for all
	// Before, if not zero, keeps tasks with a transition at or after it.
	Before time.Time
	// Keep is how many of the tasks that Business and Shown select, newest
	// recorded first, are kept whatever their age, unfinished ones included.
	Keep int
}

// Select iterates over the tasks that [Engine.Purge] would remove from what from
// reads, newest recorded first. An error is the last thing yielded.
func (r *Retention) Select(ctx context.Context, from store.Reader) iter.Seq2[*store.Task, error] {
	return func(yield func(*store.Task, error) bool) {
		q := store.ListQuery{Business: r.Business, Shown: r.Shown}
		before := state.InstantOf(r.Before)
		for seen := 0; ; {
			page, err := from.List(ctx, q)
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range page.Tasks {
				t := &page.Tasks[i]
				if seen++; seen <= r.Keep || t.Unfinished() || !r.Before.IsZero() && !before.After(t.Updated) {
					continue
				}
				if !yield(t, nil) {
					return
				}
			}
			if q.Cursor = page.Cursor; q.Cursor == "" {
				return
			}
		}
	}
}

// So many deletes wait for their commit at a time at most, and no more once
// their tasks have so many nodes: a commit of deletes takes as long as those
// need, and others wait for it.
const (
	purgeTasks = 64
	purgeNodes = 10_000
)

// Purge removes tasks with all their nodes, attempts and transitions, and
// returns how many. It goes in small steps between which other commits get
// their turn. A task that changes meanwhile is kept.
func (e *Engine) Purge(ctx context.Context, r Retention) (removed int, err error) {
	var pending []*Pending
	nodes := 0
	for t, err := range r.Select(ctx, e) {
		if err != nil {
			return removed, err
		}
		pending = append(pending, e.submitDelete(t.Key, t.Revision, ""))
		nodes += t.Nodes
		if len(pending) == purgeTasks || nodes >= purgeNodes {
			if err := countDeleted(ctx, pending, &removed); err != nil {
				return removed, err
			}
			pending, nodes = pending[:0], 0
		}
	}
	return removed, countDeleted(ctx, pending, &removed)
}

// countDeleted waits for deletes and adds those that happened to removed.
func countDeleted(ctx context.Context, pending []*Pending, removed *int) error {
	for _, p := range pending {
		switch _, err := p.Wait(ctx); {
		case err == nil:
			*removed++
		case errors.Is(err, store.ErrConflict) || errors.Is(err, state.ErrNotFound):
		default:
			return err
		}
	}
	return nil
}

// Delete removes a task with all its nodes, attempts and transitions, and
// frees its key and IDs. A task that is unfinished is refused with an error
// that matches [state.ErrInvalidTransition]; one that does not exist with
// [state.ErrNotFound]. Option: Actor.
func (e *Engine) Delete(ctx context.Context, business, task string, opts ...Option) error {
	if err := e.ready(ctx); err != nil {
		return err
	}
	key := state.Key{Business: business, Task: task}
	op := newOp(state.Op{Kind: state.Delete}, opts)
	refused := func(err error) error { return &state.Error{Op: state.Delete, Task: key, Err: err} }
	if err := checkDelete(key, &op); err != nil {
		return refused(err)
	}
	for try := 1; ; try++ {
		// From the store: what is in memory may lag behind another engine.
		snap, err := e.read(ctx, store.Ref{Key: key})
		switch {
		case errors.Is(err, state.ErrNotFound):
			return refused(err)
		case err != nil:
			return err
		case snap.Tree.Unfinished():
			return refused(fmt.Errorf("%w: the task is unfinished", state.ErrInvalidTransition))
		}
		p := e.submitDelete(key, snap.Tree.Revision(), op.op.Actor)
		if _, err = p.Wait(ctx); err == nil || !errors.Is(err, store.ErrConflict) || try == maxTries {
			return err
		}
	}
}

func checkDelete(key state.Key, op *Op) error {
	if op.op != (state.Op{Kind: state.Delete, Actor: op.op.Actor}) || op.err != nil {
		return fmt.Errorf("%w: delete takes no option but an actor", state.ErrInvalidArgument)
	}
	if op.op.Actor != "" {
		if err := state.CheckID("actor", op.op.Actor); err != nil {
			return err
		}
	}
	return key.Validate()
}

func (e *Engine) submitDelete(key state.Key, revision uint64, actor string) *Pending {
	now := state.InstantOf(e.opts.Now())
	p := &Pending{done: make(chan struct{})}
	p.gone = &deletion{key: key, revision: revision, transition: &state.Transition{
		Task: key, Op: state.Delete, At: now, Recorded: now, Actor: actor,
	}}
	if err := p.gone.transition.Validate(); err != nil {
		p.answer(&state.Error{Op: state.Delete, Task: key, Err: fmt.Errorf("%w: %w", state.ErrInvalidArgument, err)})
		return p
	}
	e.submit(p)
	return p
}

// gone turns "not found" into no error, for tasks deleted while they are read.
func gone(err error) error {
	if errors.Is(err, state.ErrNotFound) {
		return nil
	}
	return err
}
