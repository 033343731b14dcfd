//go:build unix

package main

import (
	"syscall"
	"time"
)

// cpuTime is the processor time of this process, in user and kernel mode.
func cpuTime() (d time.Duration, ok bool) {
	u, ok := used()
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), ok
}

// diskFaults is how often this process has waited for a page of a mapped file
// to be read from the disk.
func diskFaults() (n int64, ok bool) {
	u, ok := used()
	return int64(u.Majflt), ok
}

func used() (u syscall.Rusage, ok bool) {
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u, err == nil
}
