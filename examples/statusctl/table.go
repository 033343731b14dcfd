package main

import (
	"io"
	"os"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// table aligns rows for people, by the width that text has on a terminal. The
// last column is not padded.
type table struct {
	states int // the column that is painted
	rows   [][]string
}

func (t *table) add(cells ...string) {
	for i := range cells {
		cells[i] = printable(cells[i])
	}
	t.rows = append(t.rows, cells)
}

func (t *table) write(w io.Writer, p palette) error {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], width(cell))
		}
	}
	var b strings.Builder
	for _, row := range t.rows {
		b.Reset()
		for i, cell := range row {
			if i == t.states {
				cell = p.paint(cell)
			}
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-width(row[i])+2))
			}
		}
		if _, err := io.WriteString(w, strings.TrimRight(b.String(), " ")+"\n"); err != nil {
			return err
		}
	}
	return nil
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

// width is the number of terminal columns that printable text takes.
func width(s string) (n int) {
	for _, r := range s {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me):
		case unicode.Is(wide, r):
			n += 2
		default:
			n++
		}
	}
	return n
}

// ansi are the sequences that colour the output of many programs.
var ansi = regexp.MustCompile("\x1b\\[[0-9;]*m")

// printable is text from a task as a terminal may get it: on one line, and
// without characters that would move the cursor or hide what is there.
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

// firstLine is the first line of an error text that says something, cut where
// it would fill the terminal.
func firstLine(s string) string {
	line, more, _ := strings.Cut(strings.TrimSpace(s), "\n")
	line = brief(strings.TrimSpace(line), 120)
	if more != "" && !strings.HasSuffix(line, "…") {
		line += " …"
	}
	return line
}

// palette paints states; the zero palette leaves them as they are.
type palette map[string]string

var colours = palette{
	"RUNNING": "\x1b[34m", "FAILED": "\x1b[31m", "SUSPENDED": "\x1b[33m",
	"REVOKED": "\x1b[35m", "FINISHED": "\x1b[32m", "CREATED": "\x1b[2m",
}

func (p palette) paint(cell string) string {
	if colour := p[cell]; colour != "" {
		return colour + cell + "\x1b[0m"
	}
	return cell
}

// paletteFor is colours if w is a terminal that wants them (no-color.org).
func paletteFor(w io.Writer) palette {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return nil
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	return colours
}
