package statusctl

import (
	"strings"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/state"
)

// narrowTable is a list with labels as it is made for terminals.
func narrowTable() *table {
	rows := &table{times: []int{1}, spare: []int{4, 2}, cut: []int{4, 3}}
	rows.add("TASK", "STARTED", "NODES", "NAME", "LABELS")
	rows.add("10", "2018-04-26 16:08:34 +0800", "17", "nightly build of the desktop client", "env=prod team=core region=eu")
	rows.add("11", "", "3", strings.Repeat("\u6784", 30), "env=test")
	rows.add("12", "2018-04-26 17:08:34 +0800", "3", "short", "")
	return rows
}

func lines(t *testing.T, rows *table) []string {
	t.Helper()
	var out strings.Builder
	if err := rows.write(&out, false); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(out.String()), "\n")
}

func TestATableFitsTheTerminal(t *testing.T) {
	for columns, heading := range map[int][]string{
		140: {"TASK", "STARTED", "NODES", "NAME", "LABELS"},
		90:  {"TASK", "STARTED", "+0800", "NODES", "NAME", "LABELS"},
		70:  {"TASK", "STARTED", "+0800", "NODES", "NAME", "LABELS"},
		50:  {"TASK", "STARTED", "+0800", "NODES", "NAME"},
		44:  {"TASK", "STARTED", "+0800", "NAME"},
	} {
		rows := narrowTable()
		rows.fitIn(columns)
		got := lines(t, rows)
		if strings.Join(strings.Fields(got[0]), " ") != strings.Join(heading, " ") {
			t.Errorf("%d columns: the heading is %s", columns, got[0])
		}
		for _, line := range got {
			if picture.Columns(line) > columns {
				t.Errorf("%d columns: %q takes %d", columns, line, picture.Columns(line))
			}
		}
		if !strings.Contains(got[1], "nightly build") || columns < 140 && strings.Contains(got[1], "+0800") {
			t.Errorf("%d columns: %s", columns, got[1])
		}
	}
}

func TestTimesInDifferentZonesKeepThem(t *testing.T) {
	rows := &table{times: []int{0}}
	rows.add("STARTED", "NAME")
	rows.add("2018-03-25 01:08:34 +0100", strings.Repeat("a", 60))
	rows.add("2018-03-25 03:08:34 +0200", strings.Repeat("b", 60))
	rows.fitIn(60)
	for _, line := range lines(t, rows)[1:] {
		if !strings.Contains(line, " +0") || picture.Columns(line) > 60 {
			t.Error(line)
		}
	}
}

func TestANarrowTableLeavesOutTheBeginningOfPaths(t *testing.T) {
	for columns, want := range map[int]string{
		60: "everywhere / in the north / restart the service", 38: "… / in the north / restart the service",
		37: "… / restart the service", 25: "… / restart the service", 20: "… / restart the ser…",
	} {
		rows := &table{cut: []int{0}, paths: []int{0}}
		rows.add("NODE")
		rows.add(pathText([]string{"everywhere", "in the north", "restart the service"}))
		rows.fitIn(columns)
		if got := lines(t, rows)[1]; got != want {
			t.Errorf("%d columns: %s, want %s", columns, got, want)
		}
	}
}

func TestAListKeepsFailuresOnANarrowTerminal(t *testing.T) {
	now := time.Date(2026, 3, 29, 9, 30, 0, 0, time.UTC)
	task := query.Task{Business: "2", Task: "2026-03-29-12", Name: "nightly build of the client", State: state.Running, Started: now.Add(-time.Hour)}
	task.Counts[state.Finished], task.Counts[state.Failed], task.Counts[state.Running] = 3, 1, 2
	other := task
	other.Task, other.Started = "2026-01-01-7", now.AddDate(-1, 0, 0)
	l := &lister{tool: &tool{zone: time.UTC}}
	for _, test := range []struct {
		columns int
		tasks   []query.Task
		want    string
	}{
		{140, []query.Task{task}, "BIZ TASK STATE STARTED TOOK STEPS FAILED NAME 2 2026-03-29-12 RUNNING 2026-03-29 08:30:00 +0000 1h 00m so far 3 of 6 1 nightly build of the client"},
		{95, []query.Task{task}, "BIZ TASK STATE STARTED +0000 TOOK STEPS FAILED NAME 2 2026-03-29-12 RUNNING 03-29 08:30:00 1h 00m so far 3 of 6 1 nightly build of t…"},
		{80, []query.Task{task}, "TASK STATE STARTED +0000 TOOK FAILED NAME 2026-03-29-12 RUNNING 03-29 08:30:00 1h 00m so far 1 nightly build of…"},
		{80, []query.Task{other}, "TASK STATE STARTED +0000 TOOK FAILED NAME 2026-01-01-7 RUNNING 2025-03-29 09:30:00 365d 0h so far 1 nightly build o…"},
	} {
		rows := l.rows(test.tasks, now)
		rows.fitIn(test.columns)
		if got := strings.Join(strings.Fields(strings.Join(lines(t, rows), " ")), " "); got != test.want {
			t.Errorf("%d columns: %s\nwant %s", test.columns, got, test.want)
		}
	}
}
