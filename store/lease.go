package store

import (
	"context"
	"errors"
	"iter"
)

// ErrFenced says that another process has taken the task over, because the lease of
// the calling process had expired. Further writes to the task fail; reloading and
// trying again does not help.
var ErrFenced = errors.New("fenced: the task has been taken over")

// Leaser is implemented by stores that several processes write to, where another
// process may be executing a RUNNING node. A store handle then holds a lease of
// every unfinished task that it created or took over, and keeps it until the task
// ends, the handle is closed, or it fails to renew the lease. A store that is no
// Leaser belongs to one process: nodes that were RUNNING before it was opened are
// interrupted.
//
// Further writes of a handle that lost a task's lease fail: [ErrFenced] is the
// change's result. A handle that never held the lease may write by revision, as
// tools for operators do.
type Leaser interface {
	// Lapsed returns a page of unfinished tasks that no handle holds a live
	// lease of, newest recorded first. Cursor and limit are those of a
	// [ListQuery].
	Lapsed(ctx context.Context, cursor string, limit int) (ListPage, error)

	// TakeOver gives this handle the lease of a task if the task is at the
	// revision and no other handle holds a live lease of it; otherwise the
	// error is [ErrConflict]. Of several handles that call it, one gets the
	// lease. A handle that holds the lease already keeps it. For an unknown
	// task, the error is [state.ErrNotFound].
	TakeOver(ctx context.Context, at Location) error
}

// Watcher is implemented by readers that report changes as they are committed, such
// as an engine. The iterator yields every transition after a position, in order, and
// ends with an error.
type Watcher interface {
	Watch(ctx context.Context, after Position) iter.Seq2[Event, error]
}

// Notifier is implemented by stores that other processes write to.
type Notifier interface {
	// Changed returns a channel that is closed when another process may have
	// committed since the call. It is a hint: it may be closed without a
	// commit, or late, but after a commit it will be closed. It is also closed
	// when the store closes.
	Changed() <-chan struct{}
}
