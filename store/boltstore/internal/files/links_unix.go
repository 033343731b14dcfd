//go:build unix

package files

import (
	"io/fs"
	"syscall"
)

// links is the number of names of a file.
func links(info fs.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Nlink) //nolint:unconvert // its type differs from system to system
	}
	return 1
}
