package runner

import (
	"fmt"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/state"
)

// view draws a tree as lines of text, a node each.
type view struct {
	tree    *state.Tree
	now     time.Time
	columns int
	color   bool

	failedFirst bool // the convention of shown states
	shown       func(i int) state.State
}

// viewLine is a line of the view. settled says that nothing happens there.
type viewLine struct {
	text    string
	settled bool
}

func (v *view) lines() (lines []viewLine) {
	v.shown = v.tree.ShownBy(v.failedFirst)
	v.add(&lines, 0, "", "")
	return lines
}

// add adds the line of node i, whose name stands after the guide lines here,
// and those of its children, after the guide lines below. An error that does not
// fit on the line of its node gets separate lines, unless the node has finished.
func (v *view) add(lines *[]viewLine, i int, here, below string) {
	shown := v.shown(i)
	settled := shown == state.Finished
	text, remarks, cause := fmt.Sprintf("%-9s %s", shown, here), picture.Printable(v.remarks(i)), picture.Cause(v.tree.Node(i).Error)
	room := v.columns - 1 - picture.Columns(text)
	name := picture.Printable(v.name(i))
	if cause != "" && (settled || picture.Columns(name+remarks+"  "+cause) <= room) {
		remarks, cause = remarks+"  "+cause, ""
	}
	// A long name must not push out what is happening.
	text += picture.Fit(name, max(room-picture.Columns(remarks), room/3)) + remarks
	text = picture.Fit(text, v.columns-1)
	if name := shown.String(); v.color && strings.HasPrefix(text, name) {
		text = picture.Paint(shown, name) + text[len(name):]
	}
	*lines = append(*lines, viewLine{text, settled})
	v.addCause(lines, shown, below, cause)
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

const (
	// causeLines is the most separate lines of an error.
	causeLines = 2
	// causeColumns is the least width of an error, if the terminal has it, at the cost
	// of the guide lines.
	causeColumns = 24
)

// addCause adds the lines of an error below the line of its node.
func (v *view) addCause(lines *[]viewLine, shown state.State, below, cause string) {
	before := strings.Repeat(" ", 10) + below + "   "
	if v.columns-1-picture.Columns(before) < causeColumns {
		before = "  "
	}
	room := max(v.columns-1-picture.Columns(before), 1)
	for n := 1; cause != ""; n++ {
		line, rest := cause, ""
		if n < causeLines {
			line, rest = split(cause, room)
		}
		line = picture.Fit(line, room)
		if v.color {
			line = picture.Paint(shown, line)
		}
		*lines = append(*lines, viewLine{text: before + line})
		cause = rest
	}
}

// split divides text after as many words as fit into some columns, in the middle
// of the first word if that does not fit.
func split(text string, columns int) (line, rest string) {
	if picture.Columns(text) <= columns {
		return text, ""
	}
	at, space, taken := 0, 0, 0
	for c, width := range picture.Clusters(text) {
		if taken += width; taken > columns {
			break
		}
		if at += len(c); c == " " {
			space = at
		}
	}
	if space > 0 {
		at = space
	}
	return strings.TrimRight(text[:at], " "), text[at:]
}

// summary says how far the task is, for the last line.
func (v *view) summary() string {
	counts := v.tree.Counts(0)
	parts := []string{fmt.Sprintf("%d of %d steps finished", counts[state.Finished], counts.Total())}
	for _, s := range []state.State{state.Failed, state.Running, state.Suspended, state.Revoked} {
		if counts[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[s], strings.ToLower(s.String())))
		}
	}
	return picture.Fit(strings.Join(parts, ", "), v.columns-1)
}

func (v *view) name(i int) string {
	if n := v.tree.Node(i); n.Name != "" {
		return n.Name
	}
	return strings.ReplaceAll(v.tree.Kind(i).String(), "_", " ")
}

// remarks is the duration of a node and unusual facts about it.
func (v *view) remarks(i int) string {
	n := v.tree.Node(i)
	parts := []string{""}
	if n.Started.IsSet() && (n.Kind == state.ServiceActivity || n.Kind.Container()) {
		took, _ := query.Took(v.tree, i, state.InstantOf(v.now))
		parts = append(parts, picture.Duration(took))
	}
	pending := n.RetryAt
	n.RetryAt = state.Instant{} // shown as the remaining time
	if text := picture.Remarks(&n.Attempt, time.UTC); text != "" {
		parts = append(parts, text)
	}
	switch {
	case pending.IsSet() && pending.Time().After(v.now):
		parts = append(parts, "retry in "+picture.Duration(pending.Since(state.InstantOf(v.now))))
	case pending.IsSet():
		parts = append(parts, "retry due")
	}
	return strings.Join(parts, "  ")
}

// fitted leaves out settled lines, the earliest first and never the root's,
// until the rest fits, and says how many.
func fitted(lines []viewLine, rows int) []viewLine {
	excess := len(lines) + 1 - max(rows, 2)
	if excess <= 1 {
		return lines
	}
	kept, left := []viewLine{lines[0], {}}, 0
	for _, l := range lines[1:] {
		if l.settled && left < excess {
			left++
			continue
		}
		kept = append(kept, l)
	}
	kept[1].text = fmt.Sprintf("          … %d finished", left)
	if more := excess - left; more > 0 {
		kept = kept[:len(kept)-more]
		kept[1].text += fmt.Sprintf(", %d more below", more)
	}
	return kept
}
