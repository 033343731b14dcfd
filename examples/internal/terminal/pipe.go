package terminal

import (
	"os"
	"os/signal"
	"syscall"
)

// OutliveReaders keeps the process alive when it writes to standard output or
// standard error after the reader has closed them: the write returns an error that
// [ReaderGone] recognizes. By default the system would end the process at that
// moment. Programs that the process starts are not affected.
func OutliveReaders() {
	// A signal that is caught, unlike one that is ignored, is not passed on to
	// programs that are started.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}
