//go:build !windows

package boltstore

import "syscall"

// noRoom is what the system answers if a file cannot become longer: the disk is
// full, its owner has used up a quota, or it is as long as it may be.
var noRoom = []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG}
