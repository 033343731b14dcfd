package store

import (
	"context"
	"io"

	"github.com/pipestatus/pipestatus/state"
)

// What some stores can do besides the contract. Ask with a type assertion:
//
//	if b, ok := s.(store.Backuper); ok { … }
//
// Like all methods of a store these may be called from many goroutines and
// return [ErrClosed] and [ErrFailed].

// Backuper is implemented by stores that can be copied while they are in use.
type Backuper interface {
	// Backup writes a complete copy of the store as it is at one moment, with
	// every commit that returned before the call. What it writes opens like
	// the store itself; after an error it is of no use. Writers go on
	// meanwhile.
	Backup(ctx context.Context, w io.Writer) error
}

// Compacter is implemented by stores that do not give room back by themselves.
type Compacter interface {
	// Compact gives back the room that deleted tasks took. No answer changes.
	// Writers wait meanwhile. After an error other than [ErrFailed] the store
	// is as it was.
	Compact(ctx context.Context) error
}

// Statter is implemented by stores that know figures about themselves which
// an operator needs.
type Statter interface {
	// Stats is quick: it reads no more than the ends of what is kept.
	Stats(ctx context.Context) (Stats, error)
}

// Stats are figures about a store at one moment.
type Stats struct {
	// Bytes is what the store takes, Free how much of that later commits can
	// use again.
	Bytes, Free int64
	// First and Last are the sequences of the transitions that the changes
	// feed keeps; First is Last+1 if there are none. Oldest is when the
	// oldest of them was recorded, unset if there are none.
	First, Last uint64
	Oldest      state.Instant
	// Pending is how many committed transitions are still to be written to
	// their place; all up to Checkpoint are.
	Pending    int
	Checkpoint uint64
}
