package picture

import (
	"regexp"
	"strings"
	"unicode"
)

// sequences are the control sequences of terminals.
var sequences = regexp.MustCompile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)|[PX^_][^\x1b]*\x1b\\\\|[ -/]*[0-~])|\u009b[0-?]*[ -/]*[@-~]")

// Printable is text that a terminal or a picture can show safely: on one line,
// without control sequences, and with U+FFFD for each character that would move the
// cursor, change the text direction or be invisible. Emoji that are joined from
// others stay.
func Printable(s string) string {
	return Visible(sequences.ReplaceAllString(s, ""), func(r rune) string {
		if unicode.IsSpace(r) {
			return " "
		}
		return string(unicode.ReplacementChar)
	})
}

// Visible is a text in which instead replaces each character that is invisible or has
// another effect, and U+FFFD each byte that is not UTF-8. The invisible characters that
// make one emoji of several stay.
func Visible(s string, instead func(r rune) string) string {
	var b strings.Builder
	show := func(s string) {
		for _, r := range s {
			if unicode.IsPrint(r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) {
				b.WriteRune(r)
			} else {
				b.WriteString(instead(r))
			}
		}
	}
	if strings.ContainsAny(s, string(joiner)+string(endOfTags)) {
		for at := joinedEmoji.FindStringIndex(s); at != nil; at = joinedEmoji.FindStringIndex(s) {
			show(s[:at[0]])
			b.WriteString(s[at[0]:at[1]])
			s = s[at[1]:]
		}
	}
	show(s)
	return b.String()
}

const (
	joiner    = '\u200d'     // between two emoji that are shown as one
	endOfTags = '\U000e007f' // after the tags that name the region of a flag
)

// joinedEmoji matches characters that invisible ones join to a single emoji.
var joinedEmoji = regexp.MustCompile(`(?:[\p{So}\x{2190}-\x{2bff}][\x{fe0f}\x{1f3fb}-\x{1f3ff}]?\x{200d})+[\p{So}\x{2190}-\x{2bff}]|` +
	`\x{1f3f4}[\x{e0030}-\x{e0039}\x{e0061}-\x{e007a}]{1,6}\x{e007f}`)
