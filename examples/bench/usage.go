package main

import (
	"fmt"
	"os"
	"strings"
)

// writtenBytes is what this process has written to files, which only Linux tells.
// The bytes that it has had written to disks, write_bytes, are not that: since
// Linux keeps what it has read of a file in large folios, each write of a page
// counts as one of up to a megabyte there, of which the disk gets only the page.
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
