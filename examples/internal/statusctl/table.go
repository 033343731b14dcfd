package statusctl

import (
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/pipestatus/pipestatus/examples/internal/terminal"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/state"
)

// table aligns rows for people, by the width that text has on a terminal. The
// last column is not padded.
type table struct {
	states int // the column that is painted
	rows   [][]string
	// Where rows do not fit a terminal: times are columns whose zone goes to the
	// heading, and which then lose the year, such as "2006-", if all have it; spare are
	// columns to leave out, in this order, and cut are columns to cut, in this order, the
	// last one if none is named. Of the columns of paths, see pathText, the beginnings are
	// left out first.
	times, spare, cut, paths []int
	year                     string
}

func (t *table) add(cells ...string) {
	for i := range cells {
		cells[i] = picture.Printable(cells[i])
	}
	t.rows = append(t.rows, cells)
}

// least is how much of a cell is left when it is cut.
const least = 16

// show writes the rows to w. On a terminal they fit it, as far as possible, and states
// have their colors.
func (t *table) show(w io.Writer) error {
	if room := columnsOf(w); room > 0 {
		t.fitIn(room)
	}
	return t.write(w, wantsColors(w))
}

func (t *table) fitIn(room int) {
	if t.cut == nil {
		t.cut = []int{len(t.rows[0]) - 1}
	}
	if t.excess(room, math.MaxInt) > 0 {
		for _, i := range t.times {
			t.shareZone(i)
		}
	}
	if t.year != "" && t.excess(room, least) > 0 {
		for _, i := range t.times {
			t.leaveOutYear(i)
		}
	}
	for _, i := range t.spare {
		if t.excess(room, least) <= 0 {
			break
		}
		for k, row := range t.rows {
			t.rows[k] = slices.Delete(row, i, i+1)
		}
		if t.states > i {
			t.states--
		}
		t.cut = slices.DeleteFunc(t.cut, func(c int) bool { return c == i })
		for k, c := range t.cut {
			if c > i {
				t.cut[k]--
			}
		}
	}
	for _, i := range t.cut {
		over := t.excess(room, math.MaxInt)
		if over <= 0 {
			return
		}
		most := max(t.widths()[i]-over, least)
		for _, row := range t.rows {
			for slices.Contains(t.paths, i) && picture.Columns(row[i]) > most {
				_, inner, found := strings.Cut(strings.TrimPrefix(row[i], leftOut), between)
				if !found {
					break
				}
				row[i] = leftOut + inner
			}
			row[i] = picture.Fit(row[i], most)
		}
	}
}

const (
	between = " / " // the names of a path
	leftOut = "…" + between
)

// pathText is the path of a node for people.
func pathText(names []string) string {
	if len(names) == 0 {
		return "(the whole)"
	}
	return strings.Join(names, between)
}

// excess is by how many columns rows are too wide, with so many columns at most in
// each cell that may be cut.
func (t *table) excess(room, most int) int {
	total := -2
	for i, width := range t.widths() {
		if slices.Contains(t.cut, i) {
			width = min(width, most)
		}
		total += width + 2
	}
	return total - room
}

// shareZone moves the zone of the times in a column to its heading, if it is the same
// for all.
func (t *table) shareZone(i int) {
	const length = len(" +0000")
	zone := ""
	for _, row := range t.rows[1:] {
		switch cell := row[i]; {
		case cell == "":
		case len(cell) != len(query.TimeLayout) || zone != "" && !strings.HasSuffix(cell, zone):
			return
		default:
			zone = cell[len(cell)-length:]
		}
	}
	t.rows[0][i] += zone
	for _, row := range t.rows[1:] {
		row[i] = strings.TrimSuffix(row[i], zone)
	}
}

// leaveOutYear removes the year from the times in a column, if it is the same for all.
func (t *table) leaveOutYear(i int) {
	for _, row := range t.rows[1:] {
		if row[i] != "" && !strings.HasPrefix(row[i], t.year) {
			return
		}
	}
	for _, row := range t.rows[1:] {
		row[i] = strings.TrimPrefix(row[i], t.year)
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
