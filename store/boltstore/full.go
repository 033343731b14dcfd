package boltstore

import (
	"errors"
	"fmt"

	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/files"
)

// isFull reports whether an error, of an outcome that is known, says that
// there was no room: by the store's bound or by the system.
func isFull(err error) bool {
	return !errors.Is(err, store.ErrFailed) && (errors.Is(err, bolterrors.ErrMaxSizeReached) || files.LacksRoom(err))
}

// full is err, as a [store.ErrFull] that names the file if there was no room.
func full(path string, err error) error {
	if isFull(err) && !errors.Is(err, store.ErrFull) {
		return fmt.Errorf("%w: %s: %w", store.ErrFull, path, err)
	}
	return err
}
