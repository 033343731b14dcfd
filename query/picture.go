package query

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/pipestatus/pipestatus/state"
)

// What the pictures share: text of pipelines made harmless, names and
// durations for people.

// look is how pictures show a state: a symbol, a colour sequence of terminals,
// and colours of a page, readable on light and on dark ones.
type look struct{ symbol, terminal, fill, line, text string }

var looks = [...]look{
	state.Created:   {"○", "\x1b[2m", "#eceff1", "#78909c", "#37474f"},
	state.Running:   {"●", "\x1b[34m", "#d6e9fd", "#1e78d0", "#0b3c6f"},
	state.Failed:    {"✖", "\x1b[31m", "#fddcdc", "#d33a3a", "#7a1414"},
	state.Suspended: {"‖", "\x1b[33m", "#fff0c9", "#c98a00", "#5f4300"},
	state.Revoked:   {"⊘", "\x1b[35m", "#ecdff5", "#8a4fb5", "#44205e"},
	state.Finished:  {"✔", "\x1b[32m", "#d9f2dd", "#2f9e44", "#14532d"},
}

// lookCount has room for every state with a look and one for all others.
const lookCount = state.State(len(looks) + 1)

// lookOf is the look of a state. One that nobody has drawn looks like CREATED,
// with another symbol: a new state makes no picture fail.
func lookOf(s state.State) look {
	if s == 0 || int(s) >= len(looks) {
		other := looks[state.Created]
		other.symbol = "?"
		return other
	}
	return looks[s]
}

// ansi are the sequences that colour the output of many programs.
var ansi = regexp.MustCompile("\x1b\\[[0-9;]*m")

// printable is s on one line, without colour sequences, and with U+FFFD for
// each character that would move a cursor, change the direction of what
// follows or not show at all.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsPrint(r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return unicode.ReplacementChar
	}, ansi.ReplaceAllString(s, ""))
}

// cut is s with at most n characters, the last of them … if some are missing.
func cut(s string, n int) string {
	count := 0
	for i := range s {
		if count++; count == n && len([]rune(s[i:])) > 1 {
			return s[:i] + "…"
		}
	}
	return s
}

// firstLine is the first line of an error text that says something.
func firstLine(s string) string {
	line, more, _ := strings.Cut(strings.TrimSpace(s), "\n")
	line = strings.TrimSpace(line)
	if more != "" {
		line += " …"
	}
	return line
}

// label is what a node is called for people: its name, its kind, or both where
// the name alone does not tell what it is.
func label(kind state.Kind, name string) string {
	words := strings.ReplaceAll(kind.String(), "_", " ")
	switch {
	case name == "" || name == kind.Class():
		return words
	case kind == state.ServiceActivity || kind == state.Pipeline:
		return printable(name)
	}
	return printable(name) + " (" + words + ")"
}

// span is the time from one moment to another in its two largest units, "0s" if
// the second is the earlier one.
func span(from, to state.Instant) string {
	a, aNano := from.Unix()
	b, bNano := to.Unix()
	sec, nano := b-a, bNano-aNano
	if nano < 0 {
		sec, nano = sec-1, nano+1e9
	}
	switch {
	case sec < 0 || sec == 0 && nano == 0:
		return "0s"
	case sec == 0:
		return max(time.Duration(nano).Round(time.Millisecond), time.Millisecond).String()
	case sec < 60:
		return fmt.Sprintf("%ds", sec)
	case sec < 3600:
		return fmt.Sprintf("%dm%02ds", sec/60, sec%60)
	case sec < 24*3600:
		return fmt.Sprintf("%dh%02dm", sec/3600, sec%3600/60)
	}
	return fmt.Sprintf("%dd%02dh", sec/(24*3600), sec%(24*3600)/3600)
}

// took is how long an attempt lasted or has lasted by now, "" if that means
// nothing.
func took(a *state.Attempt, now state.Instant) string {
	switch {
	case !a.Started.IsSet():
		return ""
	case a.Finished.IsSet():
		return span(a.Started, a.Finished)
	}
	return span(a.Started, now) + " so far"
}

// remarks is what is out of the ordinary about a node, the first line of its
// error last.
func (r *renderer) remarks(n *state.Node) string {
	var parts []string
	times := func(count int, what string) {
		switch {
		case count == 1:
			parts = append(parts, what+" once")
		case count > 1:
			parts = append(parts, fmt.Sprintf("%s %d times", what, count))
		}
	}
	times(n.Retries, "retried")
	times(n.Skips, "skipped")
	if n.Loop > 1 {
		parts = append(parts, fmt.Sprintf("loop %d", n.Loop))
	}
	if n.RetryAt.IsSet() {
		parts = append(parts, "retries by itself at "+string(r.face.append(nil, n.RetryAt)))
	}
	if n.ErrorIgnored {
		parts = append(parts, "error ignored")
	}
	text := strings.Join(parts, ", ")
	if n.Error != "" {
		text = strings.TrimPrefix(text+": "+printable(firstLine(n.Error)), ": ")
	}
	return text
}

// summary is counts of leaves as words, in the order of the states.
func summary(c state.Counts) string {
	var parts []string
	for st, n := range c {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state.State(st)))
		}
	}
	return strings.Join(parts, ", ")
}

// within iterates over node and those below it, in the order of creation.
func within(tree *state.Tree, node int, yield func(i int) bool) {
	in := make([]bool, tree.Len())
	for i := node; i < tree.Len(); i++ {
		if in[i] = i == node || i > 0 && in[tree.Parent(i)]; in[i] && !yield(i) {
			return
		}
	}
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

// columns is how many columns of a terminal printable text takes.
func columns(s string) (n int) {
	for _, r := range s {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me):
		case unicode.Is(wide, r):
			n += 2
		default:
			n++
		}
	}
	return n
}
