//go:build !linux

package measuring

import "os"

// SyncData makes what was written durable: this system has no fdatasync.
func SyncData(f *os.File) error { return f.Sync() }
