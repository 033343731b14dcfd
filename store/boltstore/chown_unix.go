//go:build unix

package boltstore

import (
	"io/fs"
	"os"
	"syscall"
)

// chown gives a file the owner and group that another one has.
func chown(f *os.File, as fs.FileInfo) error {
	want, ok := as.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return f.Chown(int(want.Uid), int(want.Gid))
}
