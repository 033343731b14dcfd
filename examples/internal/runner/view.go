package runner

import (
	"fmt"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/examples/internal/terminal"
	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/state"
)

// view draws a tree as lines of text, a node each.
type view struct {
	tree    *state.Tree
	now     time.Time
	columns int
	colour  bool

	failedFirst []state.State // what each node shows, nil for the default convention
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
	if v.failedFirst != nil {
		shown = v.failedFirst[i]
	}
	text, remarks := fmt.Sprintf("%-9s %s", shown, here), terminal.Printable(v.remarks(i))
	// A long name must not push out what is happening.
	room := v.columns - 1 - terminal.Columns(text)
	text += terminal.Cut(terminal.Printable(v.name(i)), max(room-terminal.Columns(remarks), room/3)) + remarks
	text = terminal.Cut(text, v.columns-1)
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

func (v *view) name(i int) string {
	if n := v.tree.Node(i); n.Name != "" {
		return n.Name
	}
	return strings.ReplaceAll(v.tree.Kind(i).String(), "_", " ")
}

// remarks is how long a node takes and what is out of the ordinary about it.
func (v *view) remarks(i int) string {
	n := v.tree.Node(i)
	parts := []string{""}
	if n.Started.IsSet() && (n.Kind == state.ServiceActivity || n.Kind.Container()) {
		end := v.now
		if n.Finished.IsSet() {
			end = n.Finished.Time()
		}
		parts = append(parts, fmt.Sprintf("%.1fs", max(0, end.Sub(n.Started.Time()).Seconds())))
	}
	pending := n.RetryAt
	n.RetryAt = state.Instant{} // told by how long it is away
	if text := picture.Remarks(&n.Attempt, time.UTC); text != "" {
		parts = append(parts, text)
	}
	switch {
	case pending.IsSet() && pending.Time().After(v.now):
		parts = append(parts, fmt.Sprintf("retry in %.1fs", pending.Time().Sub(v.now).Seconds()))
	case pending.IsSet():
		parts = append(parts, "retry due")
	}
	if n.Error != "" {
		parts = append(parts, picture.Cause(n.Error))
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
