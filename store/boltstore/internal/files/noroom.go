package files

import (
	"errors"
	"strings"
)

// LacksRoom reports whether an error is the system's for a file that cannot
// become longer. For errors while it enlarges a file, bbolt keeps only the
// text.
func LacksRoom(err error) bool {
	if err == nil {
		return false
	}
	text := err.Error()
	for _, errno := range NoRoom {
		if errors.Is(err, errno) || strings.HasSuffix(text, ": "+errno.Error()) {
			return true
		}
	}
	return false
}
