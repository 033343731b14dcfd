//go:build !unix || solaris || illumos || aix || android

package boltstore

import (
	"os"
	"time"
)

// lock leaves locking to bbolt where a lock does not belong to the open file.
func lock(*os.File, bool, time.Duration) error { return nil }

// tryLock cannot tell where a lock does not belong to the open file.
func tryLock(*os.File) bool { return false }

// unlock has nothing to do where closing a file ends its locks.
func unlock(*os.File) error { return nil }
