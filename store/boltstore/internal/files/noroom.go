package files

import (
	"errors"
	"strings"
)

// LacksRoom reports whether an error is one of the system's for a file that
// cannot become longer. Of what it meets when it makes the file longer, bbolt
// keeps the text alone.
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
