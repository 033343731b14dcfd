//go:build !windows

package files

import "syscall"

// NoRoom is what the system answers if a file cannot become longer: the disk is
// full, its owner has used up a quota, or it is as long as it may be.
var NoRoom = []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG}
