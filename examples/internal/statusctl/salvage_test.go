package statusctl

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// damage overwrites the pages of a file that contain a text with zeros, and returns
// their number.
func damage(t *testing.T, db, text string) (pages int) {
	t.Helper()
	data := []byte(read(t, db))
	size := os.Getpagesize()
	for at := 2 * size; at+size <= len(data); at += size {
		if page := data[at : at+size]; bytes.Contains(page, []byte(text)) {
			clear(page)
			pages++
		}
	}
	if err := os.WriteFile(db, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return pages
}

func TestSalvageOfASoundFileAnswersLikeIt(t *testing.T) {
	db, tasks := scenarios(t)
	want, second := answers(t, db, tasks), filepath.Join(t.TempDir(), "new.db")
	if out := succeed(t, "", "salvage", second, "-db", db); out != "copied "+count(len(tasks), "whole task")+" of "+db+" to "+second+"\n" {
		t.Errorf("it prints %q", out)
	}
	if diff := cmp.Diff(want, answers(t, second, tasks)); diff != "" {
		t.Errorf("(-original +copy):\n%s", diff)
	}
	succeed(t, "", "check", "-db", second)
}

func TestSalvageReportsUnreadableRecords(t *testing.T) {
	db, tasks := scenarios(t)
	// A task with a text that only its pages have.
	succeed(t, `{"op":"create","biz":"b","task":"marked","id":"m","name":"so marked"}`, "apply", "-db", db)
	if damage(t, db, "so marked") == 0 {
		t.Fatal("no page has the text")
	}
	before, second := read(t, db), filepath.Join(t.TempDir(), "new.db")
	got := call(t.Context(), "", "salvage", "-json", "-db", db, second)
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	var done salvaged
	mustRead(t, []byte(lines[len(lines)-1]), &done)
	if got.code != exitFailed || got.stderr != "" || done.OK || done.Problems != len(lines)-1 || done.Problems == 0 || done.Whole+done.Partly+done.Lost < len(tasks) {
		t.Errorf("exit code %d, %+v\n%s%s", got.code, done, got.stdout, got.stderr)
	}
	for _, line := range lines[:len(lines)-1] {
		if !strings.HasPrefix(line, `{"problem":"`) {
			t.Errorf("line %s", line)
		}
	}
	if read(t, db) != before {
		t.Error("the damaged file is altered")
	}
	succeed(t, "", "check", "-db", second)
	third := filepath.Join(t.TempDir(), "third.db")
	if got := call(t.Context(), "", "salvage", "-db", db, third); got.code != exitFailed || got.stderr != "" || !strings.Contains(got.stdout, "page ") || !strings.Contains(got.stdout, "copied ") {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}

func TestSalvageOverwritesNoFileAndNeedsASource(t *testing.T) {
	db := told(t)
	before := read(t, db)
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("text\n", 10_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	second := filepath.Join(t.TempDir(), "new.db")
	for name, test := range map[string]struct {
		args   []string
		code   int
		reason string
	}{
		"over itself":     {[]string{"-db", db, db}, exitFailed, "exists and is left"},
		"over another":    {[]string{"-db", db, text}, exitFailed, "exists and is left"},
		"of no database":  {[]string{"-db", text, second}, exitFailed, "corrupt"},
		"of nothing":      {[]string{"-db", second, second}, exitFailed, "no database to read"},
		"of memory":       {[]string{"-db", memory, second}, exitUsage, memory},
		"to no new file":  {[]string{"-db", db}, exitUsage, "NEWFILE"},
		"to no directory": {[]string{"-db", db, filepath.Join(second, "x")}, exitFailed, "new.db"},
	} {
		if got := call(t.Context(), "", append([]string{"salvage"}, test.args...)...); got.code != test.code || !strings.Contains(got.stderr, test.reason) {
			t.Errorf("%s: exit code %d\n%s%s", name, got.code, got.stdout, got.stderr)
		}
	}
	if _, err := os.Stat(second); err == nil || read(t, db) != before {
		t.Error("a refused call wrote something")
	}
}
