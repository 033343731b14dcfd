//go:build !unix

package terminal

import (
	"errors"
	"io"
	"syscall"
)

// errNoData is the error of Windows for a pipe that is being closed.
const errNoData = syscall.Errno(232)

// ReaderGone reports whether a write failed because the reader has closed the pipe.
func ReaderGone(err error) bool {
	return errors.Is(err, errNoData) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe)
}
