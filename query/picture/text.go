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
// aligned by the width of text on terminals. Names of more than 60 columns are cut;
// what [Options.Columns] leaves out, it says. Every node is exactly one line without
// control sequences from names or errors. The lines end in newlines; their wording may
// change.
func AppendText(dst []byte, tree *state.Tree, node int, o *Options) []byte {
	d := newDrawing(tree, node, o)
	dst = append(d.title(dst), '\n')
	var rows []textRow
	d.draw(&rows, node, "", "")
	widths, room := d.measure(rows)
	if most := d.Options.Columns; most > 0 {
		if d.Keys && room < min(widths[remarks], most/3) {
			for i := range rows {
				if tree.Node(rows[i].node).Key == "" {
					rows[i].cells[ids] = ""
				}
			}
			widths, room = d.measure(rows)
		}
		for i := range rows {
			rows[i].cells[remarks] = Fit(rows[i].cells[remarks], max(room, 10))
		}
	}
	for i := range rows {
		dst = rows[i].append(dst, widths[:remarks], d.Color)
	}
	return dst
}

// measure returns the widths of the columns and the room for the remarks.
func (d *drawing) measure(rows []textRow) (widths [cells]int, room int) {
	room = d.Options.Columns
	for c := range widths {
		for i := range rows {
			widths[c] = max(widths[c], Columns(rows[i].cells[c]))
		}
		if c != remarks && widths[c] > 0 {
			room -= widths[c] + 2
		}
	}
	return widths, room
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

// textRow is the line of a node. Its cells are state, name, duration, ID, remarks.
type textRow struct {
	node  int
	state state.State
	cells [cells]string
}

const (
	ids     = 3
	remarks = 4
	cells   = 5
)

// draw adds the row of node i, whose name stands after the guides here, and
// those of its children, after the guides below.
func (d *drawing) draw(rows *[]textRow, i int, here, below string) {
	n := d.tree.Node(i)
	shown := d.shown(i)
	name := here + Fit(Label(n.Kind, n.Name), textName)
	if d.Options.Columns > 0 {
		name = Fit(name, max(d.Options.Columns*2/5, 20))
	}
	*rows = append(*rows, textRow{i, shown, [cells]string{
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
