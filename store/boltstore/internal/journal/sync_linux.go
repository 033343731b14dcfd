package journal

import (
	"errors"
	"os"
	"syscall"
)

// dataSync makes the written bytes durable, without the file's times.
func dataSync(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
