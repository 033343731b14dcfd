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

// Duration is a length of time for people, in full units: "250 ms", "3.2 s" from one
// second on, "14 s" from ten seconds on, "9m 00s", "2h 05m", "3d 4h". A shorter one
// than a millisecond is "1 ms", and zero or a negative one is "0 s". The page shows
// durations in the same way.
func Duration(d time.Duration) string {
	minutes, hours := int64(d/time.Minute), int64(d/time.Hour)
	switch {
	case d <= 0:
		return "0 s"
	case d < time.Second:
		return fmt.Sprintf("%d ms", max(d.Milliseconds(), 1))
	case d < 10*time.Second:
		tenths := d.Milliseconds() / 100
		return fmt.Sprintf("%d.%d s", tenths/10, tenths%10)
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm %02ds", minutes, d/time.Second%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh %02dm", hours, minutes%60)
	}
	return fmt.Sprintf("%dd %dh", hours/24, hours%24)
}

// took is how long a node ran or has been running, "" if it has not started. The
// clock of a waiting node does not run.
func (d *drawing) took(n *state.Node) string {
	took, runs := query.Took(d.tree, n.Index, d.now)
	switch {
	case !n.Started.IsSet():
		return ""
	case runs:
		return Duration(took) + " so far"
	}
	return Duration(took)
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
	if n.State == state.Suspended && d.shown(n.Index) != n.State {
		add("suspended")
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
