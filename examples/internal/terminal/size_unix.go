//go:build unix

package terminal

import (
	"os"
	"syscall"
	"unsafe"
)

// Size is the size of a terminal; ok is false if f is not a terminal.
func Size(f *os.File) (columns, rows int, ok bool) {
	var size struct{ rows, columns, x, y uint16 }
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
	if errno != 0 {
		return 0, 0, false
	}
	if size.columns == 0 || size.rows == 0 {
		return 80, 24, true
	}
	return int(size.columns), int(size.rows), true
}
