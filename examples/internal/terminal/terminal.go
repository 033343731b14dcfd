// Package terminal prints texts of pipelines on terminals safely.
package terminal

import (
	"bytes"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/pipestatus/pipestatus/query/picture"
)

// Printable is text that is safe to print on a terminal, see [picture.Printable].
func Printable(s string) string { return picture.Printable(s) }

// JSON is a JSON text with escapes for the characters that [Printable] replaces. It
// has the same value and is safe to print on a terminal.
func JSON(text []byte) []byte {
	plain := bytes.IndexFunc(text, func(r rune) bool { return r >= 0x7f && !picture.Shows(r) })
	if plain < 0 {
		return text
	}
	escaped := bytes.Clone(text[:plain])
	for _, r := range string(text[plain:]) {
		if r < 0x7f || picture.Shows(r) {
			escaped = utf8.AppendRune(escaped, r)
			continue
		}
		for _, half := range utf16.AppendRune(nil, r) {
			escaped = fmt.Appendf(escaped, `\u%04x`, half)
		}
	}
	return escaped
}

// Width is the number of columns that a printable character takes.
func Width(r rune) int { return picture.ColumnsOf(r) }

// Columns is the number of columns that printable text takes.
func Columns(s string) int { return picture.Columns(s) }

// Cut is printable text cut to a number of columns.
func Cut(s string, limit int) string { return picture.Fit(s, limit) }
