//go:build !linux

package journal

import "os"

// dataSync makes the written bytes durable.
func dataSync(f *os.File) error { return f.Sync() }
