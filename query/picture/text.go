package picture

import (
	"strings"

	"github.com/pipestatus/pipestatus/state"
)

// Maximum columns of names and remarks.
const (
	textName    = 60
	textRemarks = 240
)

// AppendText appends a node of a tree, by index, and all below it as a text
// tree for people: a line about the task, then a line for each node with its
// shown state, name or kind, duration, ID or key, retries, skips and loops, the
// step that led back to it, its note, and the cause of its error. Columns are
// aligned by the width of text on terminals; names of more than 60 columns are cut,
// and with the lines before them to two fifths of [Options.Columns]. Every node is exactly one line without control sequences from names or
// errors. The lines end in newlines; their wording may change.
func AppendText(dst []byte, tree *state.Tree, node int, o *Options) []byte {
	d := newDrawing(tree, node, o)
	dst = append(d.title(dst), '\n')
	var rows []textRow
	d.draw(&rows, node, "", "")
	var widths [len(rows[0].cells) - 1]int
	for i := range rows {
		for c := range widths {
			widths[c] = max(widths[c], Columns(rows[i].cells[c]))
		}
	}
	room := d.Options.Columns
	for _, width := range widths {
		if width > 0 {
			room -= width + 2
		}
	}
	for i := range rows {
		if last := &rows[i].cells[len(widths)]; d.Options.Columns > 0 {
			*last = Fit(*last, max(room, 10))
		}
		dst = rows[i].append(dst, widths[:], d.Color)
	}
	return dst
}

// title appends a line about the whole.
func (d *drawing) title(dst []byte) []byte {
	n, key := d.tree.Node(d.root), d.tree.Key()
	task := Printable(key.Business + "/" + key.Task)
	if d.root == 0 {
		dst = append(append(dst, "Task "...), task...)
	} else {
		dst = append(append(dst, "Node "...), Printable(n.ID)...)
		dst = append(append(dst, " of task "...), task...)
	}
	if n.Started.IsSet() {
		dst = d.appendTime(append(dst, ", started "...), n.Started)
	}
	if n.Finished.IsSet() {
		dst = d.appendTime(append(dst, ", finished "...), n.Finished)
	}
	if text := summary(d.tree.Counts(d.root)); text != "" && n.Kind.Container() {
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
func (d *drawing) draw(rows *[]textRow, i int, here, below string) {
	n := d.tree.Node(i)
	shown := d.shown(i)
	name := here + Fit(Label(n.Kind, n.Name), textName)
	if d.Options.Columns > 0 {
		name = Fit(name, max(d.Options.Columns*2/5, 20))
	}
	*rows = append(*rows, textRow{shown, [5]string{
		lookOf(shown).symbol + " " + shown.String(), name, d.took(&n), Printable(d.id(i)), Fit(d.remarks(&n), textRemarks),
	}})
	for c := d.tree.FirstChild(i); c >= 0; {
		next := d.tree.NextSibling(c)
		if next >= 0 {
			d.draw(rows, c, below+"├─ ", below+"│  ")
		} else {
			d.draw(rows, c, below+"└─ ", below+"   ")
		}
		c = next
	}
}

// append appends the row, with cells padded to widths up to the last cell that is
// not empty.
func (row *textRow) append(dst []byte, widths []int, color bool) []byte {
	last := len(row.cells) - 1
	for row.cells[last] == "" {
		last--
	}
	for i, cell := range row.cells[:last+1] {
		if i == 0 && color {
			dst = append(dst, Paint(row.state, cell)...)
		} else {
			dst = append(dst, cell...)
		}
		if i < last && widths[i] > 0 {
			dst = append(dst, strings.Repeat(" ", widths[i]-Columns(cell)+2)...)
		}
	}
	return append(dst, '\n')
}
