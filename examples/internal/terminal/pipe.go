package terminal

import (
	"os"
	"os/signal"
	"syscall"
)

// OutliveReaders keeps the process alive when it writes to standard output or
// standard error after their reader has gone: the write returns an error that
// [ReaderGone] knows. Otherwise the system ends a process then, in the middle of
// whatever it does. Programs that the process starts are not affected.
func OutliveReaders() {
	// A signal that is caught, unlike one that is ignored, is not passed on to
	// programs that are started.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}
