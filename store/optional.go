package store

import (
	"context"
	"io"

	"github.com/pipestatus/pipestatus/state"
)

// Optional interfaces of stores beyond the contract. Use a type assertion:
//
//	if b, ok := s.(store.Backuper); ok { … }
//
// Like all methods of a store these may be called from many goroutines and
// return [ErrClosed] and [ErrFailed].

// Backuper is implemented by stores that can be copied while they are in use.
type Backuper interface {
	// Backup writes a complete copy of the store at one moment, with every
	// commit that returned before the call. The copy opens like the store
	// itself; after an error it is unusable. Writers continue during a backup.
	Backup(ctx context.Context, w io.Writer) error
}

// Compacter is implemented by stores that do not release unused room by themselves.
type Compacter interface {
	// Compact releases the room of deleted tasks. No answer changes. Writers
	// wait during the compaction. After an error other than [ErrFailed] the
	// store is unchanged.
	Compact(ctx context.Context) error
}

// Statter is implemented by stores that report figures for operators.
type Statter interface {
	// Stats is quick: it reads only the first and last entries of the feed.
	Stats(ctx context.Context) (Stats, error)
}

// Stats are figures about a store at one moment.
type Stats struct {
	// Bytes is the size of the store, Free the part of it that later commits can
	// use again.
	Bytes, Free int64
	// First and Last are the first and the last sequence in the feed; First is
	// Last+1 for an empty feed. Oldest is when the first of them was recorded,
	// unset for an empty feed.
	First, Last uint64
	Oldest      state.Instant
	// Pending is how many committed transitions have not been written to their
	// final place. All transitions up to Checkpoint have been.
	Pending    int
	Checkpoint uint64
}
