package journal

import (
	"errors"
	"os"
	"syscall"
)

// dataSync makes what was written durable, without the times of the file.
func dataSync(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
