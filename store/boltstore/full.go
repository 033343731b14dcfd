package boltstore

import (
	"errors"
	"fmt"

	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/files"
)

// isFull reports whether an error says that there was no room, by the store's
// bound or by the system. An error with an unknown outcome is not one of them.
func isFull(err error) bool {
	return !errors.Is(err, store.ErrFailed) && (errors.Is(err, bolterrors.ErrMaxSizeReached) || files.LacksRoom(err))
}

// full returns err, as a [store.ErrFull] that names the file if there was no
// room.
func full(path string, err error) error {
	if isFull(err) && !errors.Is(err, store.ErrFull) {
		return fmt.Errorf("%w: %s: %w", store.ErrFull, path, err)
	}
	return err
}
