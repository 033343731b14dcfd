package main

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pipestatus/pipestatus/state"
)

// view draws a tree as lines of text, a node each.
type view struct {
	tree    *state.Tree
	now     time.Time
	columns int
	colour  bool
}

// viewLine is a line of the view. settled says that nothing happens there.
type viewLine struct {
	text    string
	settled bool
}

var stateColour = map[state.State]string{
	state.Created: "2", state.Running: "34", state.Failed: "31",
	state.Suspended: "33", state.Revoked: "35", state.Finished: "32",
}

func (v *view) lines() (lines []viewLine) {
	v.add(&lines, 0, "", "")
	return lines
}

// add adds the line of node i, whose name stands after the guide lines here,
// and those of its children, after the guide lines below.
func (v *view) add(lines *[]viewLine, i int, here, below string) {
	shown := v.tree.Shown(i)
	text := fmt.Sprintf("%-9s ", shown) + here + v.describe(i)
	text = cut(printable(text), v.columns-1)
	if name := shown.String(); v.colour && strings.HasPrefix(text, name) {
		text = "\x1b[" + stateColour[shown] + "m" + name + "\x1b[0m" + text[len(name):]
	}
	*lines = append(*lines, viewLine{text, shown == state.Finished})
	for c := v.tree.FirstChild(i); c >= 0; {
		next := v.tree.NextSibling(c)
		if next >= 0 {
			v.add(lines, c, below+"├─ ", below+"│  ")
		} else {
			v.add(lines, c, below+"└─ ", below+"   ")
		}
		c = next
	}
}

// describe is a node's name and what is out of the ordinary about it.
func (v *view) describe(i int) string {
	n := v.tree.Node(i)
	parts := []string{n.Name}
	if n.Name == "" {
		parts[0] = strings.ReplaceAll(n.Kind.String(), "_", " ")
	}
	if n.Started.IsSet() && (n.Kind == state.ServiceActivity || n.Kind.Container()) {
		end := v.now
		if n.Finished.IsSet() {
			end = n.Finished.Time()
		}
		parts = append(parts, fmt.Sprintf("%.1fs", max(0, end.Sub(n.Started.Time()).Seconds())))
	}
	if n.Loop > 1 {
		parts = append(parts, fmt.Sprintf("pass %d", n.Loop))
	}
	if n.Retry() > 0 {
		parts = append(parts, fmt.Sprintf("retry %d", n.Retry()))
	}
	switch {
	case n.Skipped:
		parts = append(parts, "skipped")
	case n.ErrorIgnored:
		parts = append(parts, "error ignored")
	case n.RetryAt.IsSet():
		parts = append(parts, fmt.Sprintf("again in %.1fs", max(0, n.RetryAt.Time().Sub(v.now).Seconds())))
	}
	if n.Error != "" {
		parts = append(parts, firstLine(n.Error))
	}
	return strings.Join(parts, "  ")
}

// fitted leaves out settled lines, the earliest first and never the root's,
// until the rest fits, and says how many.
func fitted(lines []viewLine, rows int) []viewLine {
	excess := len(lines) - rows
	if excess <= 0 {
		return lines
	}
	excess++ // for the line that says so
	kept, left := lines[:1:1], 0
	for _, l := range lines[1:] {
		if l.settled && left < excess {
			left++
			continue
		}
		kept = append(kept, l)
	}
	text := fmt.Sprintf("          … %d finished", left)
	if room := max(rows, 2); len(kept)+1 > room {
		text += fmt.Sprintf(", %d more", len(kept)+1-room)
		kept = kept[:room-1]
	}
	return append(kept, viewLine{text: text})
}

// ansi are the sequences that colour the output of many programs.
var ansi = regexp.MustCompile("\x1b\\[[0-9;]*m")

// printable is text as a terminal may get it: on one line, and without
// characters that would move the cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsPrint(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return utf8.RuneError
	}, ansi.ReplaceAllString(s, ""))
}

// cut is text cut to a number of columns; wide characters count as two.
func cut(s string, columns int) string {
	used := 0
	for i, r := range s {
		width := 1
		if r >= 0x1100 && (r <= 0x115f || r >= 0x2e80 && r <= 0xd7a3 || r >= 0xf900 && r <= 0xff60 || r >= 0x1f300) {
			width = 2
		}
		if used += width; used > columns {
			return s[:i]
		}
	}
	return s
}

// firstLine is the first line of an error text, and the last if there are more.
func firstLine(s string) string {
	first, rest, more := strings.Cut(strings.TrimSpace(s), "\n")
	if !more {
		return first
	}
	last := rest[strings.LastIndexByte(rest, '\n')+1:]
	return first + ": " + strings.TrimSpace(last)
}
