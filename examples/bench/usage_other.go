//go:build !unix

package main

import "time"

// cpuTime is not known on this system.
func cpuTime() (d time.Duration, ok bool) { return 0, false }

// diskFaults are not known on this system.
func diskFaults() (n int64, ok bool) { return 0, false }
