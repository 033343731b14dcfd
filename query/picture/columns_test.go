package picture_test

import (
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/query/picture"
)

// clusters are characters as people see them, with their columns. Their parts are
// separated by spaces in the comments.
var clusters = map[string]int{
	"a": 1, "\u00e9": 1, "e\u0301": 1, "a\u0300\u0323": 1,
	"\u6f22": 2, "\uff21": 2, "\uff71": 1, // a Han letter, a wide and a half-wide letter
	"\uac00": 2, "\u1112\u1161\u11ab": 2, // Korean syllables, composed and not
	"\u0915": 1, "\u0915\u094d\u0937": 2, "\u0e01\u0e49": 1, // Devanagari, Thai
	"\u2714": 1, "\u2714\ufe0f": 2, "1\ufe0f\u20e3": 2, "\u231a": 2, // signs as text and as pictures
	"\U0001f680": 2, "\U0001f44d\U0001f3fd": 2, // with a skin color
	"\U0001f1e8\U0001f1f3": 2, "\U0001f1e8": 1, // a flag, and half of one
	"\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f": 2, // the flag of England
	"\U0001f469\u200d\U0001f4bb": 2, // a woman, a computer
	"\U0001f468\U0001f3ff\u200d\u2764\ufe0f\u200d\U0001f48b\u200d\U0001f468\U0001f3fb": 2, // a kiss
}

func TestCharactersOfSeveralPartsAreMeasuredAsTerminalsShowThem(t *testing.T) {
	for text, want := range clusters {
		if got := picture.Printable(text); got != text {
			t.Errorf("%+q is printed as %+q", text, got)
		}
		if got := picture.Columns("x" + text + "x" + text); got != 2+2*want {
			t.Errorf("%+q: %d columns, want %d", text, got-2, 2*want)
		}
	}
}

func TestTextIsNeverCutWithinACharacter(t *testing.T) {
	for text, columns := range clusters {
		for n := range 2*columns + 3 {
			got, want := picture.Fit(text+text+"!", n), text+text+"!"
			switch {
			case n > 2*columns:
			case n > columns:
				want = text + "\u2026"
			case n > 0:
				want = "\u2026"
			default:
				want = ""
			}
			if text == "\U0001f1e8" {
				continue // two of them are a flag
			}
			if got != want {
				t.Errorf("%+q in %d columns is %+q, want %+q", text+text+"!", n, got, want)
			}
		}
	}
}

func TestJoinersAndTagsOutsideEmojiAreReplaced(t *testing.T) {
	for text, want := range map[string]string{
		"pay\u200dpal":                               "pay\ufffdpal",
		"\u200d\U0001f4bb":                           "\ufffd\U0001f4bb",
		"\U0001f469\u200d":                           "\U0001f469\ufffd",
		"\U0001f469\u200dx":                          "\U0001f469\ufffdx",
		"\U0001f3f4\U000e0067\U000e0062":             "\U0001f3f4\ufffd\ufffd",
		"a\U000e0067\U000e007f":                      "a\ufffd\ufffd",
		"\U0001f469\u200d\U0001f4bb\u200b\U0001f469": "\U0001f469\u200d\U0001f4bb\ufffd\U0001f469",
	} {
		if got := picture.Printable(text); got != want {
			t.Errorf("%+q is printed as %+q, want %+q", text, got, want)
		}
	}
}

func TestMarksWithoutEndDoNotFitIntoAColumn(t *testing.T) {
	text := "a" + strings.Repeat("\u0301", 1000)
	if got := picture.Fit(text, 5); len(got) > 5*40 {
		t.Errorf("%d bytes in 5 columns", len(got))
	}
}
