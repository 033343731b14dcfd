//go:build !windows

package files

import "syscall"

// NoRoom has the system's errors for a file that cannot become longer: the disk
// is full, its owner has used up a quota, or it has the greatest possible
// length.
var NoRoom = []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG}
