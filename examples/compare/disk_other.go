//go:build !linux

package main

import "os"

// syncData does more than it has to where there is no fdatasync.
func syncData(f *os.File) error { return f.Sync() }
