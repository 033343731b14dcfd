package query

import (
	"strings"

	"github.com/pipestatus/pipestatus/state"
)

// Where names and remarks are cut: columns and characters.
const (
	textName    = 60
	textRemarks = 240
)

// TextOptions say how [Query.AppendText] draws. A nil *TextOptions and zero
// fields stand for the defaults.
type TextOptions struct {
	// Color paints the states with the colour sequences of terminals. Whether
	// there is a terminal that wants them is for the caller to find out.
	// Default: no.
	Color bool
}

// AppendText appends a node of a tree, by index, and all below it as a text
// tree for people: a line about the task, then a line for each node with its
// shown state, name or kind, duration, ID, retries, skips and loops, and the
// first line of its error. Columns are aligned by the width that text has on
// terminals; names of more than 60 columns are cut. Whatever names and errors contain, a node is one line and sends a
// terminal nothing to obey. The lines end in newlines; their wording may
// change.
func (q *Query) AppendText(dst []byte, tree *state.Tree, node int, o *TextOptions) []byte {
	r := q.renderer(tree, node)
	defer r.release()
	r.now = state.InstantOf(q.opts.Now())
	dst = append(r.title(dst), '\n')
	var rows []textRow
	r.draw(&rows, node, "", "")
	var widths [len(rows[0].cells) - 1]int
	for i := range rows {
		for c := range widths {
			widths[c] = max(widths[c], columns(rows[i].cells[c]))
		}
	}
	for i := range rows {
		dst = rows[i].append(dst, widths[:], o != nil && o.Color)
	}
	return dst
}

// title appends a line about the whole.
func (r *renderer) title(dst []byte) []byte {
	n := r.tree.Node(r.root)
	if r.root == 0 {
		dst = append(append(dst, "Task "...), printable(r.tree.Key().String())...)
	} else {
		dst = append(append(dst, "Node "...), printable(n.ID)...)
		dst = append(append(dst, " of task "...), printable(r.tree.Key().String())...)
	}
	if n.Started.IsSet() {
		dst = r.face.append(append(dst, ", started "...), n.Started)
	}
	if n.Finished.IsSet() {
		dst = r.face.append(append(dst, ", finished "...), n.Finished)
	}
	if text := summary(r.tree.Counts(r.root)); text != "" && n.Kind.Container() {
		dst = append(append(dst, ": "...), text...)
	}
	return dst
}

// textRow is a line of the tree.
type textRow struct {
	state state.State
	cells [5]string // state, name, duration, ID, remarks
}

// draw adds the row of node i, whose name stands after the guides here, and
// those of its children, after the guides below.
func (r *renderer) draw(rows *[]textRow, i int, here, below string) {
	n := r.tree.Node(i)
	shown := r.shown(i)
	*rows = append(*rows, textRow{shown, [5]string{
		lookOf(shown).symbol + " " + shown.String(), here + fit(label(n.Kind, n.Name), textName), took(&n.Attempt, r.now), printable(n.ID), cut(r.remarks(&n), textRemarks),
	}})
	for c := r.tree.FirstChild(i); c >= 0; {
		next := r.tree.NextSibling(c)
		if next >= 0 {
			r.draw(rows, c, below+"├─ ", below+"│  ")
		} else {
			r.draw(rows, c, below+"└─ ", below+"   ")
		}
		c = next
	}
}

// append appends the row, cells padded to widths, nothing after the last one
// that is not empty.
func (row *textRow) append(dst []byte, widths []int, color bool) []byte {
	last := len(row.cells) - 1
	for row.cells[last] == "" {
		last--
	}
	for i, cell := range row.cells[:last+1] {
		if i == 0 && color {
			dst = append(append(append(dst, lookOf(row.state).terminal...), cell...), "\x1b[0m"...)
		} else {
			dst = append(dst, cell...)
		}
		if i < last {
			dst = append(dst, strings.Repeat(" ", widths[i]-columns(cell)+2)...)
		}
	}
	return append(dst, '\n')
}
