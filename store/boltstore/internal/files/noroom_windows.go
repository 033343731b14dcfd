package files

import "syscall"

// NoRoom has the system's errors for a file that cannot become longer: the disk
// is full (two errors), its owner has used up a quota, or it has the greatest
// possible length.
var NoRoom = []syscall.Errno{
	0x70,  // ERROR_DISK_FULL
	0x27,  // ERROR_HANDLE_DISK_FULL
	0x50f, // ERROR_DISK_QUOTA_EXCEEDED
	0xdf,  // ERROR_FILE_TOO_LARGE
}
