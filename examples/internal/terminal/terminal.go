// Package terminal is what the examples need to print the texts of pipelines
// on terminals.
package terminal

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// ansi are the sequences that colour the output of many programs.
var ansi = regexp.MustCompile("\x1b\\[[0-9;]*m")

// Printable is text as a terminal may get it: on one line, without colours, and
// with U+FFFD for characters that would move the cursor, change the direction
// of what follows, hide what is there or not show at all.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case shows(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return unicode.ReplacementChar
	}, ansi.ReplaceAllString(s, ""))
}

// shows reports whether a character does nothing but show.
func shows(r rune) bool {
	return unicode.IsPrint(r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

// JSON is text, which is JSON, with escapes for the characters that [Printable]
// replaces: it says the same, and a terminal obeys nothing in it.
func JSON(text []byte) []byte {
	plain := bytes.IndexFunc(text, func(r rune) bool { return r >= 0x7f && !shows(r) })
	if plain < 0 {
		return text
	}
	escaped := bytes.Clone(text[:plain])
	for _, r := range string(text[plain:]) {
		if r < 0x7f || shows(r) {
			escaped = utf8.AppendRune(escaped, r)
			continue
		}
		for _, half := range utf16.AppendRune(nil, r) {
			escaped = fmt.Appendf(escaped, `\u%04x`, half)
		}
	}
	return escaped
}

// wide are characters that take two columns on a terminal, roughly: East Asian
// scripts and pictographs.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x1100, Hi: 0x115f, Stride: 1},
		{Lo: 0x2e80, Hi: 0xa4cf, Stride: 1},
		{Lo: 0xac00, Hi: 0xd7a3, Stride: 1},
		{Lo: 0xf900, Hi: 0xfaff, Stride: 1},
		{Lo: 0xfe30, Hi: 0xfe6f, Stride: 1},
		{Lo: 0xff00, Hi: 0xff60, Stride: 1},
		{Lo: 0xffe0, Hi: 0xffe6, Stride: 1},
	},
	R32: []unicode.Range32{
		{Lo: 0x1f300, Hi: 0x1faff, Stride: 1}, {Lo: 0x20000, Hi: 0x3fffd, Stride: 1},
	},
}

// Width is the number of columns that a printable character takes.
func Width(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case unicode.Is(wide, r):
		return 2
	}
	return 1
}

// Columns is the number of columns that printable text takes.
func Columns(s string) (n int) {
	for _, r := range s {
		n += Width(r)
	}
	return n
}

// Cut is printable text cut to a number of columns.
func Cut(s string, limit int) string {
	if Columns(s) <= limit {
		return s
	}
	used := 1 // for the mark
	for i, r := range s {
		if used += Width(r); used > limit {
			return s[:i] + "…"
		}
	}
	return s
}
