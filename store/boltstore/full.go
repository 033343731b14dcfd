package boltstore

import (
	"errors"
	"fmt"
	"strings"

	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/pipestatus/pipestatus/store"
)

// isFull reports whether an error, of an outcome that is known, says that
// there was no room: by the store's bound or by the system.
func isFull(err error) bool {
	return !errors.Is(err, store.ErrFailed) && (errors.Is(err, bolterrors.ErrMaxSizeReached) || lacksRoom(err))
}

// lacksRoom reports whether an error is one of the system's for a file that
// cannot become longer. Of what it meets when it makes the file longer, bbolt
// keeps the text alone.
func lacksRoom(err error) bool {
	if err == nil {
		return false
	}
	text := err.Error()
	for _, errno := range noRoom {
		if errors.Is(err, errno) || strings.HasSuffix(text, ": "+errno.Error()) {
			return true
		}
	}
	return false
}

// full is err, as a [store.ErrFull] that names the file if there was no room.
func full(path string, err error) error {
	if isFull(err) && !errors.Is(err, store.ErrFull) {
		return fmt.Errorf("%w: %s: %w", store.ErrFull, path, err)
	}
	return err
}
