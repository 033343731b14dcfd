package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// row is one figure as reported.
type row struct {
	Figure    string   `json:"figure"`
	Value     *float64 `json:"value"` // null: not measured, see Note
	Unit      string   `json:"unit"`
	Yardstick *float64 `json:"yardstick"` // in the same unit, null if there is none
	Label     string   `json:"yardstick_label,omitempty"`
	// Ratio is value to yardstick, or the inverse where the goal is a number
	// of times faster or cheaper.
	Ratio   *float64 `json:"ratio"`
	Goal    string   `json:"goal"`    // "" if there is none
	Reached *bool    `json:"reached"` // null if there is no goal or no value
	Note    string   `json:"note,omitempty"`
}

// measured is a row with a value and without a yardstick.
func measured(figure string, value float64, unit string) row {
	return row{Figure: figure, Value: &value, Unit: unit}
}

// notMeasured is a row with the reason for a missing value.
func notMeasured(figure, goal, why string) row { return row{Figure: figure, Goal: goal, Note: why} }

// against adds a yardstick in the same unit.
func (r row) against(what string, value float64) row {
	r.Label, r.Yardstick = what, &value
	ratio := *r.Value / value
	r.Ratio = &ratio
	return r
}

// faster inverts the ratio.
func (r row) faster() row {
	ratio := 1 / *r.Ratio
	r.Ratio = &ratio
	return r
}

// goal adds the goal and whether it was reached.
func (r row) goal(text string, reached bool) row {
	r.Goal, r.Reached = text, &reached
	return r
}

// note adds a remark.
func (r row) note(format string, args ...any) row {
	r.Note = fmt.Sprintf(format, args...)
	return r
}

// printJSON prints one object a line.
func printJSON(w io.Writer, rows []row) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for i := range rows {
		if err := enc.Encode(&rows[i]); err != nil {
			return err
		}
	}
	return nil
}

// printTable prints the rows for people, the remarks below.
func printTable(w io.Writer, rows []row) error {
	table := [][]string{{"figure", "value", "", "yardstick", "", "ratio", "goal", "reached"}}
	var notes []string
	for i := range rows {
		r := &rows[i]
		line := []string{r.Figure, number(r.Value), r.Unit, number(r.Yardstick), r.Label, number(r.Ratio), r.Goal, ""}
		if r.Value == nil {
			line[1] = "not measured"
		}
		if r.Ratio != nil {
			line[5] += " ×"
		}
		if r.Reached != nil {
			line[7] = map[bool]string{true: "yes", false: "NO"}[*r.Reached]
		}
		if r.Note != "" {
			at := slices.Index(notes, r.Note)
			if at < 0 {
				at, notes = len(notes), append(notes, r.Note)
			}
			line[0] += fmt.Sprintf(" [%d]", at+1)
		}
		table = append(table, line)
	}
	if err := align(w, table); err != nil {
		return err
	}
	for i, n := range notes {
		if _, err := fmt.Fprintf(w, "%s[%d] %s\n", map[bool]string{true: "\n"}[i == 0], i+1, n); err != nil {
			return err
		}
	}
	return nil
}

// columns gives for each column of the table its alignment and the gap after it: a
// unit stands close to its number.
var columns = []struct {
	right bool
	gap   string
}{{false, "  "}, {true, " "}, {false, "  "}, {true, " "}, {false, "  "}, {true, "  "}, {false, "  "}, {false, ""}}

func align(w io.Writer, table [][]string) error {
	widths := make([]int, len(columns))
	for _, line := range table {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, line := range table {
		var text strings.Builder
		for i, cell := range line {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if columns[i].right {
				pad, cell = cell, pad
			}
			text.WriteString(cell + pad + columns[i].gap)
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(text.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// number is a value to three significant digits or, if larger, whole.
func number(v *float64) string {
	switch {
	case v == nil:
		return ""
	case math.Abs(*v) >= 100:
		return count(int(math.Round(*v)))
	case *v == 0:
		return "0"
	}
	return strconv.FormatFloat(*v, 'f', max(2-int(math.Floor(math.Log10(math.Abs(*v)))), 0), 64)
}

// count is a number with its thousands set apart.
func count(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
