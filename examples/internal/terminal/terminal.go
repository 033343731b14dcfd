// Package terminal prints texts of pipelines on terminals safely.
package terminal

import (
	"bytes"
	"fmt"
	"unicode/utf16"

	"github.com/pipestatus/pipestatus/query/picture"
)

// JSON is a JSON text with escapes for the characters that [picture.Printable] replaces. It
// has the same value and is safe to print on a terminal.
func JSON(text []byte) []byte {
	if !bytes.ContainsFunc(text, func(r rune) bool { return r >= 0x7f }) {
		return text
	}
	return []byte(picture.Visible(string(text), func(r rune) string {
		if r < ' ' { // between values
			return string(r)
		}
		var escaped []byte
		for _, half := range utf16.AppendRune(nil, r) {
			escaped = fmt.Appendf(escaped, `\u%04x`, half)
		}
		return string(escaped)
	}))
}
