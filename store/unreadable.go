package store

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/pipestatus/pipestatus/state"
)

// Unreadable is a task that a list came upon whose header cannot be read.
// Nothing is known of it, so that it appears whatever a query selects.
type Unreadable struct {
	Number uint64    // of its first transition, see [Task]
	Key    state.Key // zero if it is not known
	Err    error     // why; it matches [ErrCorrupt] or [ErrIncompatible]
}

// UnreadableError says that something was done for all tasks but those that
// cannot be read. It matches what the first of them does.
type UnreadableError struct{ Tasks []Unreadable } // not empty

// Error says how many there are and why the first cannot be read.
func (e *UnreadableError) Error() string {
	first := &e.Tasks[0]
	name := fmt.Sprintf("task %d", first.Number)
	if first.Key != (state.Key{}) {
		name = "task " + first.Key.String()
	}
	if n := len(e.Tasks); n > 1 {
		return fmt.Sprintf("%d tasks cannot be read and were passed over, the first is %s: %v", n, name, first.Err)
	}
	return fmt.Sprintf("%s cannot be read and was passed over: %v", name, first.Err)
}

// Unwrap returns why the first task cannot be read.
func (e *UnreadableError) Unwrap() error { return e.Tasks[0].Err }

// PassedOver collects the tasks that somebody who goes through all of them cannot
// read. The zero PassedOver has none.
type PassedOver struct{ tasks []Unreadable }

// Add takes note of an error about a task, or of the one that ends [Tasks], and
// reports whether it is of the kind that is passed over.
func (p *PassedOver) Add(t *Task, err error) bool {
	var listed *UnreadableError
	switch {
	case errors.As(err, &listed):
		p.tasks = append(p.tasks, listed.Tasks...)
	case t != nil && (errors.Is(err, ErrCorrupt) || errors.Is(err, ErrIncompatible)):
		p.tasks = append(p.tasks, Unreadable{t.Number, t.Key, err})
	default:
		return false
	}
	return true
}

// Err is nil if there are none, else an [*UnreadableError].
func (p *PassedOver) Err() error {
	if len(p.tasks) == 0 {
		return nil
	}
	return &UnreadableError{p.tasks}
}

// Tasks iterates over the tasks that a query selects, newest recorded first, page
// by page from its cursor on. For tasks that cannot be read see [Pages].
func Tasks(ctx context.Context, r Reader, q ListQuery) iter.Seq2[*Task, error] {
	return Pages(q.Cursor, func(cursor string) (ListPage, error) {
		q.Cursor = cursor
		return r.List(ctx, q)
	})
}

// Pages iterates over the tasks of all pages that list returns, from a cursor on.
// An error is the last thing yielded. Tasks whose headers cannot be read are
// passed over: after all others have been yielded, the error is then an
// [*UnreadableError].
func Pages(cursor string, list func(cursor string) (ListPage, error)) iter.Seq2[*Task, error] {
	return func(yield func(*Task, error) bool) {
		var passed []Unreadable
		for {
			page, err := list(cursor)
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range page.Tasks {
				if !yield(&page.Tasks[i], nil) {
					return
				}
			}
			passed = append(passed, page.Unreadable...)
			if cursor = page.Cursor; cursor == "" {
				break
			}
		}
		if len(passed) > 0 {
			yield(nil, &UnreadableError{passed})
		}
	}
}
