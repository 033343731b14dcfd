package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/pipestatus/pipestatus/examples/internal/measuring"
)

// row is one figure as reported.
type row struct {
	Figure    string   `json:"figure"`
	Value     *float64 `json:"value"` // null: not measured, see Note
	Unit      string   `json:"unit"`
	Yardstick *float64 `json:"yardstick"` // in the same unit, null without one
	Label     string   `json:"yardstick_label,omitempty"`
	// Ratio is value to yardstick, or the inverse where the goal is a number
	// of times faster or cheaper.
	Ratio   *float64 `json:"ratio"`
	Goal    string   `json:"goal"`    // "" without one
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
	if err := measuring.PrintTable(w, columns, table); err != nil {
		return err
	}
	for i, n := range notes {
		if _, err := fmt.Fprintf(w, "%s[%d] %s\n", map[bool]string{true: "\n"}[i == 0], i+1, n); err != nil {
			return err
		}
	}
	return nil
}

// columns are the formats of the table's columns: a unit stands close to its number.
var columns = []string{"%-*s  ", "%*s ", "%-*s  ", "%*s ", "%-*s  ", "%*s  ", "%-*s  ", "%-*s"}

// number is [measuring.Number], "" for no value.
func number(v *float64) string {
	if v == nil {
		return ""
	}
	return measuring.Number(*v)
}
