//go:build unix

package terminal

import (
	"errors"
	"syscall"
)

// ReaderGone reports whether a write failed because nobody reads any more.
func ReaderGone(err error) bool { return errors.Is(err, syscall.EPIPE) }
