package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/examples/internal/measuring"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childName {
		os.Exit(child(os.Args[2:]))
	}
	os.Exit(m.Run())
}

func quick(t *testing.T, args ...string) []row {
	t.Helper()
	dir := t.TempDir()
	var out bytes.Buffer
	args = append([]string{"-quick", "-json", "-tmpfs", "-dir", dir}, args...)
	if err := run(t.Context(), args, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	var rows []row
	for dec := json.NewDecoder(&out); dec.More(); {
		var r row
		if err := dec.Decode(&r); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r)
	}
	return rows
}

func TestTheQuickFormHasARowForEveryFigure(t *testing.T) {
	seen := make(map[string]int)
	for _, r := range quick(t) {
		seen[r.Figure]++
		if r.Value == nil && r.Note == "" {
			t.Errorf("%s: neither a value nor a reason", r.Figure)
		}
		if (r.Ratio == nil) != (r.Yardstick == nil) || r.Yardstick != nil && r.Label == "" {
			t.Errorf("%s: a ratio without its yardstick", r.Figure)
		}
		if (r.Reached == nil) != (r.Goal == "" || r.Value == nil) {
			t.Errorf("%s: goal %q, reached %v", r.Figure, r.Goal, r.Reached)
		}
	}
	c, err := parse([]string{"-quick"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range (&bench{config: c}).groups() {
		for _, f := range g.figures {
			if seen[f] != 1 {
				t.Errorf("%d rows for %q", seen[f], f)
			}
			delete(seen, f)
		}
	}
	for f := range seen {
		t.Errorf("a row for the unknown figure %q", f)
	}
}

func TestRunChoosesFigures(t *testing.T) {
	rows := quick(t, "-run", "^finished node|as loaded$")
	if len(rows) != 2 || rows[0].Figure != loadedFigure || rows[1].Figure != diskFigure {
		t.Errorf("rows %+v", rows)
	}
}

func TestTheMountOfADirectoryIsTheLongestMatch(t *testing.T) {
	table := []byte(`22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:20 / /tmp rw - tmpfs tmpfs rw
24 22 8:1 / /data rw shared:2 master:1 - xfs /dev/sda1 rw
25 24 8:2 / /data rw - btrfs /dev/sda2 rw
26 22 8:3 / /with\040space rw - ext3 /dev/sda3 rw
`)
	for dir, want := range map[string]place{
		"/":               {"ext4", "/dev/vda"},
		"/home":           {"ext4", "/dev/vda"},
		"/tmp/a":          {"tmpfs", "tmpfs"},
		"/tmpfile":        {"ext4", "/dev/vda"},
		"/data":           {"btrfs", "/dev/sda2"},
		"/with space/dir": {"ext3", "/dev/sda3"},
	} {
		if got := findMount(table, dir); got != want {
			t.Errorf("%s: %v, want %v", dir, got, want)
		}
	}
	if got := findMount([]byte("nonsense\n"), "/"); got != (place{}) {
		t.Errorf("from nonsense: %v", got)
	}
}

func TestMediansAndPercentiles(t *testing.T) {
	for _, c := range []struct {
		s    measuring.Series
		want float64
	}{{nil, 0}, {measuring.Series{3}, 3}, {measuring.Series{4, 1}, 2.5}, {measuring.Series{9, 1, 5}, 5}} {
		if got := c.s.Median(); got != c.want {
			t.Errorf("median of %v: %v, want %v", c.s, got, c.want)
		}
	}
	var times []time.Duration
	if got := percentile(times, 99); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	for i := range time.Duration(200) {
		times = append(times, 200-i)
	}
	if p50, p99 := percentile(times, 50), percentile(times, 99); p50 != 100 || p99 != 198 {
		t.Errorf("of 1 to 200: p50 %d, p99 %d", p50, p99)
	}
}

func TestNumbersHaveThreeDigits(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.00123: "0.00123", 0.95: "0.950", 12.345: "12.3", 99.94: "99.9", 123.4: "123", 1234567.8: "1,234,568",
	} {
		if got := measuring.Number(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}

func TestTheTableNamesMissedGoalsAndMissingFigures(t *testing.T) {
	rows := []row{
		measured("rate", 200, "/s").against("/s bare", 100).goal("≥ 12 ×", false),
		measured("size", 3, "B").goal("≤ 5 B", true).note("by hand"),
		notMeasured("bytes", "≤ 1 KiB", "by hand"),
	}
	var out strings.Builder
	if err := printTable(&out, rows); err != nil {
		t.Fatal(err)
	}
	want := `figure            value     yardstick           ratio  goal     reached
rate                200 /s        100 /s bare  2.00 ×  ≥ 12 ×   NO
size [1]           3.00 B                              ≤ 5 B    yes
bytes [1]  not measured                                ≤ 1 KiB

[1] by hand
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}
