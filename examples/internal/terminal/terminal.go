// Package terminal prints texts of pipelines on terminals safely.
package terminal

import (
	"bytes"
	"fmt"
	"iter"
	"unicode/utf16"

	"github.com/pipestatus/pipestatus/query/picture"
)

// Printable is text that is safe to print on a terminal, see [picture.Printable].
func Printable(s string) string { return picture.Printable(s) }

// JSON is a JSON text with escapes for the characters that [Printable] replaces. It
// has the same value and is safe to print on a terminal.
func JSON(text []byte) []byte {
	if !bytes.ContainsFunc(text, func(r rune) bool { return r >= 0x7f }) {
		return text
	}
	return []byte(picture.Visible(string(text), func(r rune) string {
		if r < ' ' { // between values
			return string(r)
		}
		escaped := ""
		for _, half := range utf16.AppendRune(nil, r) {
			escaped += fmt.Sprintf(`\u%04x`, half)
		}
		return escaped
	}))
}

// Clusters iterates over the characters of printable text, see [picture.Clusters].
func Clusters(s string) iter.Seq2[string, int] { return picture.Clusters(s) }

// Columns is the number of columns that printable text takes.
func Columns(s string) int { return picture.Columns(s) }

// Cut is printable text cut to a number of columns.
func Cut(s string, limit int) string { return picture.Fit(s, limit) }
