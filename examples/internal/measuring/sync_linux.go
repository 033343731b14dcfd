package measuring

import (
	"os"
	"syscall"
)

// SyncData makes what was written durable, without the times of the file.
func SyncData(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
