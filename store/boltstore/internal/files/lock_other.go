//go:build !unix || solaris || illumos || aix || android

package files

import (
	"os"
	"time"
)

// Lock leaves locking to bbolt where a lock does not belong to the open file.
func Lock(*os.File, bool, time.Duration) error { return nil }

// TryLock cannot tell where a lock does not belong to the open file.
func TryLock(*os.File) bool { return false }

// Unlock has nothing to do where closing a file ends its locks.
func Unlock(*os.File) error { return nil }
