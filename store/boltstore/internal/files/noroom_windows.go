package files

import "syscall"

// NoRoom is what the system answers if a file cannot become longer: the disk is
// full, by two names, its owner has used up a quota, or it is as long as it may
// be.
var NoRoom = []syscall.Errno{
	0x70,  // ERROR_DISK_FULL
	0x27,  // ERROR_HANDLE_DISK_FULL
	0x50f, // ERROR_DISK_QUOTA_EXCEEDED
	0xdf,  // ERROR_FILE_TOO_LARGE
}
