package statusctl

import (
	"io"
	"os"
	"strings"

	"github.com/pipestatus/pipestatus/examples/internal/terminal"
	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/state"
)

// table aligns rows for people, by the width that text has on a terminal. The
// last column is not padded.
type table struct {
	states int // the column that is painted
	rows   [][]string
}

func (t *table) add(cells ...string) {
	for i := range cells {
		cells[i] = picture.Printable(cells[i])
	}
	t.rows = append(t.rows, cells)
}

// fit cuts the last column where rows would be wider than w, if w is a terminal.
// The other columns keep their width.
func (t *table) fit(w io.Writer) {
	room := columnsOf(w)
	if room == 0 {
		return
	}
	for i, width := range t.widths() {
		if i < len(t.rows[0])-1 {
			room -= width + 2
		}
	}
	for _, row := range t.rows {
		last := len(row) - 1
		row[last] = picture.Fit(row[last], max(room, 10))
	}
}

// columnsOf is how wide w is if it is a terminal, else 0.
func columnsOf(w io.Writer) int {
	f, isFile := w.(*os.File)
	if !isFile {
		return 0
	}
	columns, _, _ := terminal.Size(f)
	return columns
}

// widths are those of the columns.
func (t *table) widths() (widths []int) {
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], picture.Columns(cell))
		}
	}
	return widths
}

// write writes the rows, with the states in their colors if colored.
func (t *table) write(w io.Writer, colored bool) error {
	widths := t.widths()
	var b strings.Builder
	for _, row := range t.rows {
		b.Reset()
		for i, cell := range row {
			if i == t.states && colored {
				cell = painted(cell)
			}
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-picture.Columns(row[i])+2))
			}
		}
		if _, err := io.WriteString(w, strings.TrimRight(b.String(), " ")+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// painted returns the name of a state in its color, and any other text, such as
// a column's title, unchanged.
func painted(cell string) string {
	if s, err := state.ParseState(cell); err == nil {
		return picture.Paint(s, cell)
	}
	return cell
}

// wantsColors reports whether w is a terminal and colors are wanted (no-color.org).
func wantsColors(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
