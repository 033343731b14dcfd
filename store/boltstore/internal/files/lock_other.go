//go:build !unix || solaris || illumos || aix || android

package files

import (
	"os"
	"time"
)

// Lock does nothing where a lock does not belong to the open file; bbolt locks
// the file.
func Lock(*os.File, bool, time.Duration) error { return nil }

// TryLock returns false where a lock does not belong to the open file.
func TryLock(*os.File) bool { return false }

// Unlock does nothing where closing a file releases its locks.
func Unlock(*os.File) error { return nil }
