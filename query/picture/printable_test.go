package picture_test

import (
	"testing"

	"github.com/pipestatus/pipestatus/query/picture"
)

func TestPrintableTextStaysOnItsLine(t *testing.T) {
	for text, want := range map[string]string{
		"build":                       "build",
		"a\nb\tc":                     "a b c",
		"\x1b[31mred\x1b[0m":          "red",
		"up\x1b[2A and \x00":          "up and \ufffd",
		"turned \u202e round":         "turned \ufffd round",
		"\u2067isolated\u2069\u200f":  "\ufffdisolated\ufffd\ufffd",
		"one\u2028two\u2029three":     "one two three",
		"no\u200bthing\u3164\ufeff":   "no\ufffdthing\ufffd\ufffd",
		"\u009b2J\xff":                "\ufffd",
		"\u6f22\u5b57 and \U0001f680": "\u6f22\u5b57 and \U0001f680",
	} {
		if got := picture.Printable(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestColumnsMatchATerminal(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "build": 5, "\u6f22\u5b57": 4, "e\u0301": 1, "\U0001f680!": 3, "\uac00": 2, "\u00e9": 1,
	} {
		if got := picture.Columns(text); got != want {
			t.Errorf("%q: %d columns, want %d", text, got, want)
		}
	}
}
