package main

import (
	"fmt"
	"os"
	"strings"
)

// writtenBytes is the number of bytes that this process has written to files, which
// only Linux reports. It is not write_bytes, the bytes written to disks: since Linux
// caches files in large folios, write_bytes counts up to a megabyte for each page
// written, although the disk gets only the page.
func writtenBytes() (n int64, ok bool) {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0, false
	}
	_, after, ok := strings.Cut(string(text), "wchar: ")
	if !ok {
		return 0, false
	}
	_, err = fmt.Sscan(after, &n)
	return n, err == nil
}
