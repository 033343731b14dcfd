package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Retention says which tasks [Engine.Purge] removes; all conditions must hold.
// Tasks with work in progress are never removed. The zero Retention removes every
// task that has ended and has no leaf running.
type Retention struct {
	Business string        // "" for all
	Shown    []state.State // shown states of the task, empty for all
	// Before, if not zero, keeps tasks with a transition at or after it. A label
	// operation counts as a transition.
	Before time.Time
	// ByEnd makes Before compare the end of the task, regardless of later
	// transitions. For a task that has not ended, it compares the last
	// transition.
	ByEnd bool
	// Settled includes tasks that are unfinished but settled: tasks without work
	// in progress, because they were never started or wait for a person. See
	// [store.Task.Settled].
	Settled bool
	// Keep is the number of tasks that are kept regardless of their age: the newest
	// recorded ones of those that Business and Shown select, including unfinished
	// ones. It must not be negative.
	Keep int
}

// Purged counts the tasks that Business and Shown select, by outcome.
type Purged struct {
	Removed int
	// Newest were kept by [Retention.Keep], and Recent by [Retention.Before].
	Newest, Recent int
	// Unfinished were kept because of work in progress, and Settled, also
	// unfinished, because [Retention.Settled] was not set.
	Unfinished, Settled int
	// Changed were left out because they changed, or were deleted, during the
	// purge.
	Changed int
	// Unreadable were kept because the store cannot read their headers. Some of
	// them may not be selected by Business and Shown.
	Unreadable int
}

// PassedOver is the number of tasks that were not removed.
func (p *Purged) PassedOver() int {
	return p.Newest + p.Recent + p.Unfinished + p.Settled + p.Changed + p.Unreadable
}

// Select iterates over the tasks of from that [Engine.Purge] would remove, newest
// recorded first, and counts the others in passed, which may be nil. It ends after
// yielding an error. For an invalid Retention it yields only an error that matches
// [state.ErrInvalidArgument].
func (r *Retention) Select(ctx context.Context, from store.Reader, passed *Purged) iter.Seq2[*store.Task, error] {
	if passed == nil {
		passed = new(Purged)
	}
	return func(yield func(*store.Task, error) bool) {
		if r.Keep < 0 {
			yield(nil, fmt.Errorf("engine: %w: %d tasks to keep", state.ErrInvalidArgument, r.Keep))
			return
		}
		seen := 0
		for t, err := range store.Tasks(ctx, from, store.ListQuery{Business: r.Business, Shown: r.Shown}) {
			var unreadable *store.UnreadableError
			switch {
			case errors.As(err, &unreadable):
				passed.Unreadable += len(unreadable.Tasks)
				return
			case err != nil:
				yield(nil, err)
				return
			}
			seen++
			if kept := r.keeps(t, seen, passed); kept != nil {
				*kept++
			} else if !yield(t, nil) {
				return
			}
		}
	}
}

// keeps returns the count of passed that a kept task belongs to, nil if the
// task is not kept. The task is the seen-th of those selected.
func (r *Retention) keeps(t *store.Task, seen int, passed *Purged) *int {
	at := t.Updated
	if r.ByEnd && t.State.Ended() {
		at = t.Finished
	}
	switch {
	case seen <= r.Keep:
		return &passed.Newest
	case t.Unfinished() && !t.Settled():
		return &passed.Unfinished
	case !r.Before.IsZero() && !state.InstantOf(r.Before).After(at):
		return &passed.Recent
	case t.Unfinished() && !r.Settled:
		return &passed.Settled
	}
	return nil
}

// purgeTasks and purgeNodes bound the deletions, and the nodes of their tasks,
// in one commit: a commit of deletions takes time for each node, and other
// requests wait for it.
const (
	purgeTasks = 64
	purgeNodes = 10_000
)

// Purge removes tasks with all their nodes, attempts and transitions. It counts
// them and the tasks it kept, even if it returns an error. It works in small steps,
// between which other commits get their turn. A task that changes during the purge
// is kept. If a part of the store cannot be reached, Purge removes the tasks of the other
// parts before it returns an error that matches [store.ErrUnavailable].
func (e *Engine) Purge(ctx context.Context, r Retention) (done Purged, err error) {
	var pending []*Pending
	var failure error
	nodes := 0
	for t, err := range r.Select(ctx, e, &done) {
		if err != nil {
			failure = cmp.Or(failure, err)
			break
		}
		pending = append(pending, e.submitDelete(&deletion{key: t.Key, root: t.Root, revision: t.Revision}, ""))
		nodes += t.Nodes
		if len(pending) == purgeTasks || nodes >= purgeNodes {
			failure = cmp.Or(failure, countDeleted(ctx, pending, &done))
			if pending, nodes = pending[:0], 0; failure != nil && !errors.Is(failure, store.ErrUnavailable) {
				break
			}
		}
	}
	return done, cmp.Or(failure, countDeleted(ctx, pending, &done))
}

// countDeleted waits for deletes and counts them. It returns the first error.
func countDeleted(ctx context.Context, pending []*Pending, done *Purged) (failure error) {
	for _, p := range pending {
		switch _, err := p.Wait(ctx); {
		case err == nil:
			done.Removed++
		case errors.Is(err, store.ErrConflict) || errors.Is(err, state.ErrNotFound):
			done.Changed++
		case errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrIncompatible):
			done.Unreadable++
		default:
			failure = cmp.Or(failure, err)
		}
	}
	return failure
}

// Delete removes a task with all its nodes, attempts and transitions, and
// frees its key and IDs. For an unfinished task, the error matches
// [state.ErrInvalidTransition], unless the task is settled and Force is given; for
// an unknown task it matches [state.ErrNotFound]. Options: Actor, Force.
func (e *Engine) Delete(ctx context.Context, business, task string, opts ...Option) error {
	if err := e.ready(ctx); err != nil {
		return err
	}
	key := state.Key{Business: business, Task: task}
	op := newOp(state.Op{Kind: state.Delete}, opts)
	refused := func(tree *state.Tree, err error) error {
		return tree.Refusal([]state.Op{{Kind: state.Delete, Task: key}}, 0, err)
	}
	if err := checkDelete(key, &op); err != nil {
		return refused(e.known(ctx, []state.Op{{Kind: state.Delete, Task: key}}, 0), err)
	}
	for try := 1; ; try++ {
		// Read from the store: the memory may lag behind another engine.
		snap, err := e.read(ctx, store.Ref{Key: key})
		switch {
		case errors.Is(err, state.ErrNotFound):
			return refused(state.NewTree(key), err)
		case err != nil:
			return err
		case snap.Tree.Unfinished() && !snap.Tree.Settled():
			return refused(snap.Tree, fmt.Errorf("%w: the task has work in progress", state.ErrInvalidTransition))
		case snap.Tree.Unfinished() && !op.force:
			return refused(snap.Tree, fmt.Errorf("%w: the task is unfinished, although it has no work in progress", state.ErrInvalidTransition))
		}
		p := e.submitDelete(&deletion{key: key, root: snap.Tree.ID(0), revision: snap.Tree.Revision()}, op.op.Actor)
		if _, err = p.Wait(ctx); err == nil || !errors.Is(err, store.ErrConflict) || try == maxTries {
			return err
		}
	}
}

func checkDelete(key state.Key, op *Op) error {
	if !reflect.DeepEqual(op.op, state.Op{Kind: state.Delete, Actor: op.op.Actor}) || op.err != nil {
		return fmt.Errorf("%w: delete takes only the options actor and force", state.ErrInvalidArgument)
	}
	if err := state.CheckActor(op.op.Actor); err != nil {
		return err
	}
	return key.Validate()
}

func (e *Engine) submitDelete(d *deletion, actor string) *Pending {
	now := state.InstantOf(e.opts.Now())
	d.transition = &state.Transition{Task: d.key, Op: state.Delete, At: now, Recorded: now, Actor: actor}
	p := &Pending{done: make(chan struct{}), deletion: d}
	if err := state.CheckTime("current time", now); err != nil {
		p.answer(d.refusal(err))
		return p
	}
	e.submit(p)
	return p
}

// ignoreNotFound returns nil for "not found", because the task was deleted
// during a read.
func ignoreNotFound(err error) error {
	if errors.Is(err, state.ErrNotFound) {
		return nil
	}
	return err
}
