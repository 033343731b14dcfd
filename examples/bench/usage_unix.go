//go:build unix

package main

import (
	"syscall"
	"time"
)

// cpuTime is the processor time of this process, in user and kernel mode.
func cpuTime() (d time.Duration, ok bool) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, false
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), true
}

// diskFaults is how often this process has waited for a page of a mapped file
// to be read from the disk.
func diskFaults() (n int64, ok bool) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, false
	}
	return int64(u.Majflt), true
}
