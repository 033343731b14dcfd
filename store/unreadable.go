package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/pipestatus/pipestatus/state"
)

// Unreadable is a task in a list whose header cannot be read. Its values are
// unknown, so it appears in every query.
type Unreadable struct {
	Number uint64    // of its first transition, see [Task]
	Key    state.Key // zero if it is not known
	Err    error     // why; it matches [ErrCorrupt] or [ErrIncompatible]
}

// UnreadableError says that an operation was done for all tasks except unreadable
// ones. It matches the error of the first of them.
type UnreadableError struct{ Tasks []Unreadable } // not empty

// Error gives the number of unreadable tasks and the reason for the first.
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

// PassedOver collects the unreadable tasks during an iteration over all tasks. The
// zero PassedOver is empty.
type PassedOver struct{ tasks []Unreadable }

// Add notes an error about a task, or the error that ends [Tasks], and reports
// whether it means an unreadable task.
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

// Err is nil without unreadable tasks, otherwise an [*UnreadableError].
func (p *PassedOver) Err() error {
	if len(p.tasks) == 0 {
		return nil
	}
	return &UnreadableError{p.tasks}
}

// With is Err if err is nil. Otherwise it is an error that matches err and mentions
// the unreadable tasks. It is no UnreadableError, because more is missing than tasks
// that cannot be read.
func (p *PassedOver) With(err error) error {
	unreadable := p.Err()
	if err != nil && unreadable != nil {
		return fmt.Errorf("%w\n%v", err, unreadable) //nolint:errorlint // more is missing than that says
	}
	return cmp.Or(err, unreadable)
}

// Tasks iterates over the tasks that a query selects, newest recorded first, page
// by page from its cursor on. For tasks that cannot be read see [Pages].
func Tasks(ctx context.Context, r Reader, q ListQuery) iter.Seq2[*Task, error] {
	return Pages(q.Cursor, func(cursor string) (ListPage, error) {
		q.Cursor = cursor
		return r.List(ctx, q)
	})
}

// Pages iterates over the tasks of all pages that list returns, beginning at a
// cursor. It ends after yielding an error. It leaves out tasks whose headers cannot
// be read: after all others, it then yields an [*UnreadableError]. If parts of the
// store could not be reached to the end, it yields an error that matches
// [ErrUnavailable] after all other tasks, and not an UnreadableError.
func Pages(cursor string, list func(cursor string) (ListPage, error)) iter.Seq2[*Task, error] {
	return func(yield func(*Task, error) bool) {
		var passed PassedOver
		var missing []error
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
			passed.tasks = append(passed.tasks, page.Unreadable...)
			missing = page.Missing
			if cursor = page.Cursor; cursor == "" {
				break
			}
		}
		if err := passed.With(errors.Join(missing...)); err != nil {
			yield(nil, err)
		}
	}
}
