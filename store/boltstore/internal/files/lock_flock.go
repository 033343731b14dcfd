//go:build unix && !solaris && !illumos && !aix && !android

package files

import (
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/pipestatus/pipestatus/store"
)

// lockRetry is how long Lock waits between two attempts.
const lockRetry = 10 * time.Millisecond

// Lock acquires the lock that bbolt uses for a file, shared or not. It returns
// [store.ErrLocked] if another process keeps the lock for longer than the
// timeout. bbolt then gets the lock at once, since the lock belongs to the open
// file.
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

// TryLock locks a file until it is closed, and returns false if it is already
// locked.
func TryLock(f *os.File) bool { return Lock(f, false, 0) == nil }

// Unlock releases the lock of a file.
func Unlock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
