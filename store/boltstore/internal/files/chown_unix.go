//go:build unix

package files

import (
	"io/fs"
	"os"
	"syscall"
)

// Chown gives a file the owner and group of another one.
func Chown(f *os.File, as fs.FileInfo) error {
	want, ok := as.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return f.Chown(int(want.Uid), int(want.Gid))
}
