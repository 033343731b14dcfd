//go:build !linux

package main

import "os"

// syncData uses fsync where the system has no fdatasync.
func syncData(f *os.File) error { return f.Sync() }
