//go:build unix

package terminal

import (
	"errors"
	"syscall"
)

// ReaderGone reports whether a write failed because the reader has closed the pipe.
func ReaderGone(err error) bool { return errors.Is(err, syscall.EPIPE) }
