package picture

import (
	"iter"
	"unicode"
	"unicode/utf8"
)

// Columns is how many columns of a terminal printable text takes.
func Columns(s string) (n int) {
	for _, columns := range Clusters(s) {
		n += columns
	}
	return n
}

// Fit is printable text in at most n columns, with … where it is cut, which is never
// within a character as people see it.
func Fit(s string, n int) string {
	if Columns(s) <= n {
		return s
	}
	if n < 1 {
		return ""
	}
	end := 0
	for c, columns := range Clusters(s) {
		if n -= columns; n < 1 {
			break
		}
		end += len(c)
	}
	return s[:end] + "…"
}

// Clusters iterates over the characters of printable text as people see them, with the
// columns of a terminal that each takes: letters with their marks, flags, and emoji of
// several parts are one each.
func Clusters(s string) iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		for rest := s; rest != ""; {
			length, columns := cluster(rest)
			if !yield(rest[:length], columns) {
				return
			}
			rest = rest[length:]
		}
	}
}

// cluster measures the first cluster of s.
func cluster(s string) (length, columns int) {
	before, length := utf8.DecodeRuneInString(s)
	columns = columnsOf(before)
	half := regional(before) // the first half of a flag
	for n := 1; n < clusterRunes && length < len(s) && s[length] >= utf8.RuneSelf; n++ {
		r, size := utf8.DecodeRuneInString(s[length:])
		switch {
		case r == emojiStyle: // the character before is shown as a picture
			columns = 2
		case half && regional(r):
			half, columns = false, 2
		case before == joiner, r == joiner, tag(r), unicode.In(r, unicode.Mn, unicode.Me), unicode.Is(skinColors, r), unicode.Is(endsOfSyllables, r):
		case unicode.Is(unicode.Mc, r), joinsLetters(before) && unicode.IsLetter(r):
			columns += columnsOf(r)
		default:
			return length, columns
		}
		before = r
		length += size
	}
	return length, columns
}

// columnsOf is how many columns a character takes that is not a mark.
func columnsOf(r rune) int {
	if r >= utf8.RuneSelf && unicode.Is(wide, r) {
		return 2
	}
	return 1
}

// clusterRunes is how many characters are taken for one at most, so that marks without
// end do not fit into a column.
const clusterRunes = 16

const emojiStyle = '\ufe0f'

// regional reports whether two such letters make a flag.
func regional(r rune) bool { return r >= 0x1f1e6 && r <= 0x1f1ff }

func tag(r rune) bool { return r >= 0xe0020 && r <= endOfTags }

// skinColors color the emoji before, endsOfSyllables complete the Korean syllable that
// the letter before begins.
var (
	skinColors      = &unicode.RangeTable{R32: []unicode.Range32{{Lo: 0x1f3fb, Hi: 0x1f3ff, Stride: 1}}}
	endsOfSyllables = &unicode.RangeTable{R16: []unicode.Range16{{Lo: 0x1160, Hi: 0x11ff, Stride: 1}, {Lo: 0xd7b0, Hi: 0xd7fb, Stride: 1}}}
)

// joinsLetters reports whether r joins the letters before and after it to one, in
// scripts of India.
func joinsLetters(r rune) bool {
	switch r {
	case 0x94d, 0x9cd, 0xacd, 0xb4d, 0xc4d, 0xd4d:
		return true
	}
	return false
}
