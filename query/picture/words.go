package picture

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
)

// look is the appearance of a state in pictures: a symbol, a color sequence of
// terminals, and colors of a page, readable on light and on dark backgrounds.
type look struct{ symbol, terminal, fill, line, text string }

var looks = [...]look{
	state.Created:   {"○", "\x1b[2m", "#eceff1", "#78909c", "#37474f"},
	state.Running:   {"▶", "\x1b[34m", "#d6e9fd", "#1e78d0", "#0b3c6f"},
	state.Failed:    {"✖", "\x1b[31m", "#fddcdc", "#d33a3a", "#7a1414"},
	state.Suspended: {"‖", "\x1b[33m", "#fff0c9", "#c98a00", "#5f4300"},
	state.Revoked:   {"⊘", "\x1b[35m", "#ecdff5", "#8a4fb5", "#44205e"},
	state.Finished:  {"✔", "\x1b[32m", "#d9f2dd", "#2f9e44", "#14532d"},
}

// lookCount has room for every state with a look and one for all others.
const lookCount = state.State(len(looks) + 1)

// lookOf is the look of a state. A state without a look looks like CREATED with
// another symbol, so that a new state makes no picture fail.
func lookOf(s state.State) look {
	if s == 0 || int(s) >= len(looks) {
		other := looks[state.Created]
		other.symbol = "?"
		return other
	}
	return looks[s]
}

// Paint is text in the color that terminals show a state in.
func Paint(s state.State, text string) string { return lookOf(s).terminal + text + "\x1b[0m" }

// sequences are the control sequences of terminals.
var sequences = regexp.MustCompile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)|[PX^_][^\x1b]*\x1b\\\\|[ -/]*[0-~])|\u009b[0-?]*[ -/]*[@-~]")

// Printable is text that a terminal or a picture can show safely: on one line,
// without control sequences, and with U+FFFD for each character that would move the
// cursor, change the text direction or be invisible.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case Shows(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return unicode.ReplacementChar
	}, sequences.ReplaceAllString(s, ""))
}

// Shows reports whether a character is visible and has no other effect.
func Shows(r rune) bool {
	return unicode.IsPrint(r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

// cut is s with at most n characters, the last of them … if s was longer.
func cut(s string, n int) string {
	count := 0
	for i := range s {
		if count++; count == n && len([]rune(s[i:])) > 1 {
			return s[:i] + "…"
		}
	}
	return s
}

// endings are lines that say only that a program failed.
var endings = regexp.MustCompile(`(?i)^\W*(exit(ed)?( with)?( status| code)|command (failed|terminated)|process exited|signal:)[^:]*$`)

// additions are lines that databases print below the line that says what went
// wrong.
var additions = regexp.MustCompile(`^((DETAIL|HINT|CONTEXT|QUERY|STATEMENT|LOCATION|LINE \d+):|(PL/pgSQL|SQL) (function|statement) )`)

// Cause is the line of an error text that says what went wrong, printable: the
// last one with a letter or digit in it, since programs print the cause below
// the trace. A line with only an exit status, or one in which a database adds to the
// line above (DETAIL, HINT, CONTEXT), counts if there is no other. "" if no line has
// a letter or digit.
func Cause(s string) (cause string) {
	for s != "" {
		cut := strings.LastIndexAny(s, "\r\n") + 1
		line := strings.TrimSpace(Printable(s[cut:]))
		s = s[:max(cut-1, 0)]
		if !strings.ContainsFunc(line, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) {
			continue
		}
		if !endings.MatchString(line) && !additions.MatchString(line) {
			return line
		}
		if cause == "" {
			cause = line
		}
	}
	return cause
}

// Plain is a whole error text for people: its lines, each printable, without
// those at the end that are empty.
func Plain(s string) string {
	lines := strings.Split(strings.TrimRight(s, " \r\n\t"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(Printable(strings.ReplaceAll(strings.TrimSuffix(line, "\r"), "\t", "    ")), " ")
	}
	return strings.Join(lines, "\n")
}

// Label is the display name of a node: its name, its kind, or both where the name
// alone does not reveal the kind. The name may be the class that the documented
// answer shows for nodes without a name. The text is printable.
func Label(kind state.Kind, name string) string {
	words := strings.ReplaceAll(kind.String(), "_", " ")
	switch {
	case name == "" || name == kind.Class():
		return words
	case kind == state.ServiceActivity || kind == state.Pipeline:
		return Printable(name)
	}
	return Printable(name) + " (" + words + ")"
}

// Elapsed is the time from one moment to another in its two largest units, "0s"
// if the second is earlier.
func Elapsed(from, to state.Instant) string {
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

// took is how long a node ran or has been running, "" if it has not started. The
// clock of a waiting node does not run.
func (d *drawing) took(n *state.Node) string {
	switch stands := query.Stands(d.tree, n.Index); {
	case !n.Started.IsSet():
		return ""
	case n.Finished.IsSet():
		return Elapsed(n.Started, n.Finished)
	case stands.IsSet():
		return Elapsed(n.Started, stands)
	}
	return Elapsed(n.Started, d.now) + " so far"
}

// Remarks describes unusual facts about an attempt, in words that the page uses
// too: retries and skips, the loop, the time of an automatic retry, and an ignored
// error. location is the time zone.
func Remarks(a *state.Attempt, location *time.Location) string {
	var parts []string
	times := func(count int, what string) {
		switch {
		case count == 1:
			parts = append(parts, what)
		case count > 1:
			parts = append(parts, fmt.Sprintf("%s %d×", what, count))
		}
	}
	times(a.Retries, "retried")
	times(a.Skips, "skipped")
	if a.Loop > 1 {
		parts = append(parts, fmt.Sprintf("loop %d", a.Loop))
	}
	if a.RetryAt.IsSet() {
		parts = append(parts, "retry at "+a.RetryAt.Time().In(location).Format(query.TimeLayout))
	}
	if a.ErrorIgnored {
		parts = append(parts, "error ignored")
	}
	return strings.Join(parts, ", ")
}

// id is the text for a node in the column of IDs.
func (d *drawing) id(i int) string {
	return query.New(nil, &query.Options{Keys: d.Keys}).NodeID(d.tree, i)
}

// remarks is Remarks, the step that led back to the node, its note, and the cause
// of the error.
func (d *drawing) remarks(n *state.Node) string {
	text := Remarks(&n.Attempt, d.Location)
	add := func(what string) { text = strings.TrimPrefix(text+", "+what, ", ") }
	if from := n.CameFrom; from > 0 && from >= n.Index {
		name := d.tree.Node(from).Name
		if name == "" {
			name = d.id(from)
		}
		add("back from " + Printable(name))
	}
	if n.Note != "" {
		add("waits: " + Printable(n.Note))
	}
	if n.Error != "" {
		text = strings.TrimPrefix(text+": "+Cause(n.Error), ": ")
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

// ColumnsOf is how many columns of a terminal a printable character takes.
func ColumnsOf(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case unicode.Is(wide, r):
		return 2
	}
	return 1
}

// Columns is how many columns of a terminal printable text takes.
func Columns(s string) (n int) {
	for _, r := range s {
		n += ColumnsOf(r)
	}
	return n
}

// Fit is printable text in at most n columns, with … where it is cut.
func Fit(s string, n int) string {
	if Columns(s) <= n {
		return s
	}
	n--
	for i, r := range s {
		if n -= ColumnsOf(r); n < 0 {
			return s[:i] + "…"
		}
	}
	return s
}
