package store

import (
	"context"
	"errors"
)

// ErrFenced says that another process has taken the task over, because the
// lease of the one that asks had run out. What it still does to the task is void;
// reloading and trying again does not help.
var ErrFenced = errors.New("fenced: the task has been taken over")

// Leaser is implemented by stores that several processes write to, where a
// node that is RUNNING may be so because another process runs it. A store
// handle then holds a lease of every unfinished task that it created or took
// over, and keeps it until the task ends or the handle is closed or fails to
// renew it. A store that is no Leaser has the trivial form: it belongs to one
// process, and what is RUNNING since before it was opened is interrupted.
//
// A handle that lost a task's lease is refused further writes to the task:
// [ErrFenced] as the change's result. A handle that never held it may write,
// by revision like any other, which is what tools for operators do.
type Leaser interface {
	// Lapsed returns a page of unfinished tasks that no handle holds a live
	// lease of, newest recorded first. Cursor and limit are those of a
	// [ListQuery].
	Lapsed(ctx context.Context, cursor string, limit int) (ListPage, error)

	// TakeOver gives this handle the lease of a task if the task is at the
	// revision and nobody else holds a live lease of it, else it is
	// [ErrConflict]. Of several handles that ask one gets it. A handle that
	// holds the lease already keeps it. [state.ErrNotFound] if there is no
	// such task.
	TakeOver(ctx context.Context, at Location) error
}

// Notifier is implemented by stores that other processes write to.
type Notifier interface {
	// Changed returns a channel that is closed when somebody else may have
	// committed since the call. It is a hint: it may be closed for nothing,
	// and late, but not never; it is also closed when the store closes.
	Changed() <-chan struct{}
}
