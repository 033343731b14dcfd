//go:build unix && !solaris && !illumos && !aix && !android

package files

import (
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/pipestatus/pipestatus/store"
)

// lockRetry is how long lock waits between two attempts.
const lockRetry = 10 * time.Millisecond

// Lock takes the lock that bbolt takes of a file, shared or not, and answers
// [store.ErrLocked] if others keep it for longer than a timeout. bbolt then gets
// it at once, since the lock belongs to the open file.
func Lock(f *os.File, shared bool, timeout time.Duration) error {
	how := syscall.LOCK_EX
	if shared {
		how = syscall.LOCK_SH
	}
	for begun := time.Now(); ; time.Sleep(lockRetry) {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		if time.Since(begun) > timeout-lockRetry {
			return store.ErrLocked
		}
	}
}

// TryLock reports whether nobody has a file locked. It keeps the lock until the
// file is closed.
func TryLock(f *os.File) bool { return Lock(f, false, 0) == nil }

// Unlock gives up the lock of a file.
func Unlock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
