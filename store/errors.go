package store

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/pipestatus/pipestatus/state"
)

// The errors of a store, in addition to [state.ErrNotFound], [state.ErrExists] and
// [state.ErrInvalidArgument].
var (
	// ErrConflict says that the task is at another revision than the change was
	// computed from. Load it and try again.
	ErrConflict = errors.New("conflict: the task has changed")
	// ErrTrimmed says that the requested changes are older than those that the feed
	// keeps.
	ErrTrimmed = errors.New("changes no longer kept")
	// ErrHistory says that this store never had the position, because it is another
	// store or an earlier backup was restored. A program that follows the store must
	// start again from the present content.
	ErrHistory = errors.New("position of another history")
	// ErrLocked says that another process has the file open.
	ErrLocked = errors.New("locked by another process")
	// ErrFull says that there is no room for the change. Nothing was committed, and
	// later commits may succeed.
	ErrFull = errors.New("store full")
	// ErrReplaced says that the file of an open store was removed, renamed or replaced
	// by another one. Nothing was committed, because the next open of the path would
	// not find it. Reading and backups still work.
	ErrReplaced = errors.New("store file removed or replaced")
	// ErrReadOnly says that the store was opened for reading only.
	ErrReadOnly = errors.New("store opened for reading only")
	// ErrFailed says that a commit failed in a way that leaves its outcome unknown.
	// The store refuses everything until it is reopened.
	ErrFailed = errors.New("store failed, outcome unknown, reopen")
	// ErrCorrupt says that the stored data is damaged. Nothing is repaired or reset.
	ErrCorrupt = errors.New("store corrupt")
	// ErrIncompatible says that the file is another program's or of a newer version.
	ErrIncompatible = errors.New("store incompatible")
	// ErrUnavailable says that the part of a store that a call needs, such as one of
	// several databases, cannot be reached. The other parts work. Try again later: the
	// part is used again when it is back. A write did not happen, unless the error
	// matches ErrFailed too.
	ErrUnavailable = errors.New("part of the store not available")
	// ErrClosed says that the store or engine was closed.
	ErrClosed = errors.New("closed")
)

// GapError says that a feed of several logs lacks the transitions after a
// position in one of them. It matches [ErrTrimmed] or [ErrHistory].
type GapError struct {
	// Resume is the position after the gap: before the oldest transition that
	// the log retains, and in the other logs the reader's position.
	Resume Position
	Err    error
}

// Error says what Err does.
func (e *GapError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *GapError) Unwrap() error { return e.Err }

// UnavailableError says that a feed of several logs has nothing more to give until
// the logs that cannot be reached are back. It matches [ErrUnavailable].
type UnavailableError struct {
	// Known is the last position that is known. In the logs that cannot be reached
	// it may be any earlier one, even their beginning.
	Known Position
	Err   error
}

// Error says what Err does.
func (e *UnavailableError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *UnavailableError) Unwrap() error { return e.Err }

// TooLargeError says that a write is larger than the store accepts in one
// commit. It matches [state.ErrInvalidArgument].
type TooLargeError struct {
	Bytes int // size of the write
	Limit int // the largest size that the store accepts
}

// Error gives the size of the write. It does not name the task, which the caller
// knows.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%v: the change takes %d bytes, the limit is %d", state.ErrInvalidArgument, e.Bytes, e.Limit)
}

// Unwrap returns [state.ErrInvalidArgument].
func (e *TooLargeError) Unwrap() error { return state.ErrInvalidArgument }

func invalid(reason string) error {
	return fmt.Errorf("%w: %s", state.ErrInvalidArgument, reason)
}

func quote(s string) string { return strconv.Quote(s) }
