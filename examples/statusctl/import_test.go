package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// scenarios returns a file with all recorded scenarios in it and its nodes by
// task. Scenarios share keys and IDs, so each gets a prefix.
func scenarios(t *testing.T) (db string, tasks map[[2]string][]string) {
	t.Helper()
	names, err := filepath.Glob("../../engine/internal/scenario/testdata/*.json")
	if err != nil || len(names) == 0 {
		t.Fatal("no scenarios", err)
	}
	tasks = make(map[[2]string][]string)
	var in bytes.Buffer
	for i, name := range names {
		var s scenario
		mustRead(t, []byte(read(t, name)), &s)
		prefix := fmt.Sprintf("%d-", i)
		key := [2]string{prefix + s.Biz, s.Task}
		for _, step := range s.Steps {
			for _, op := range step.Ops {
				delete(op, "refused")
				for _, field := range []string{"biz", "id", "node", "parent"} {
					if id, ok := op[field].(string); ok {
						op[field] = prefix + id
					}
				}
				if id, ok := op["node"].(string); ok && op["op"] == "declare" {
					tasks[key] = append(tasks[key], id)
				}
				mustWrite(t, &in, op)
			}
		}
		if tasks[key] == nil {
			tasks[key] = []string{}
		}
	}
	db = filepath.Join(t.TempDir(), "a.db")
	succeed(t, in.String(), "apply", "-db", db)
	return db, tasks
}

var revision = regexp.MustCompile(`,"revision":\d+|"seq":\d+,|"cursor":"\d+"`)

func TestAnImportAnswersEveryQueryAsItsSource(t *testing.T) {
	from, tasks := scenarios(t)
	to := filepath.Join(t.TempDir(), "b.db")
	exported := succeed(t, "", "export", "-db", from)
	if got := succeed(t, exported, "import", "-db", to); !strings.HasPrefix(got, fmt.Sprintf("imported %d tasks with ", len(tasks))) {
		t.Errorf("import says %s", got)
	}
	same := func(args ...string) {
		t.Helper()
		ask := func(db string) string {
			got := call(t.Context(), "", append(args, "-db", db, "-json")...)
			return revision.ReplaceAllString(got.stdout, "") + got.stderr
		}
		if diff := cmp.Diff(ask(from), ask(to)); diff != "" {
			t.Errorf("%q (-exported +imported):\n%s", args, diff)
		}
	}
	same("list", "-limit", "1000")
	same("list", "-state", "FAILED", "-limit", "1000")
	same("list", "-unfinished", "-limit", "1000")
	keys := slices.SortedFunc(maps.Keys(tasks), func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	for i, key := range keys {
		same("tree", key[0], key[1])
		same("timeline", key[0], key[1])
		if i%8 == 0 { // each takes an open
			same("get", key[0], key[1], "-failed-first")
			same("get", key[0], key[1], "-at", "2018-04-26")
			for _, node := range tasks[key] {
				same("history", node)
			}
		}
	}
	again := succeed(t, "", "export", "-db", to)
	header := regexp.MustCompile(`"sequence":\d+`)
	plain := func(s string) string { return header.ReplaceAllString(revision.ReplaceAllString(s, ""), "") }
	if plain(again) != plain(exported) {
		t.Error("the import exports something else")
	}
	for _, db := range []string{from, to} {
		succeed(t, "", "check", "-db", db)
	}
}

func TestAnImportIntoItsSourceImportsNothing(t *testing.T) {
	db := told(t)
	exported := succeed(t, "", "export", "-db", db)
	got := call(t.Context(), exported, "import", "-db", db)
	if got.code != exitFailed || !strings.Contains(got.stderr, `task "2"/"9"`) || !strings.Contains(got.stderr, "nothing is imported") {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
	if succeed(t, "", "export", "-db", db) != exported {
		t.Error("the database has changed")
	}
}

func TestADamagedExportImportsNothing(t *testing.T) {
	exported := succeed(t, "", "export", "-db", told(t))
	db := filepath.Join(t.TempDir(), "b.db")
	got := call(t.Context(), exported[:len(exported)-10], "import", "-db", db)
	if got.code != exitFailed || !strings.Contains(got.stderr, "damaged export") {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
	if _, err := os.Stat(db); err == nil {
		t.Error("the database exists")
	}
}

func TestAnImportWhoseNodesAreTakenLeavesThatTaskOut(t *testing.T) {
	from, db := filepath.Join(t.TempDir(), "a.db"), filepath.Join(t.TempDir(), "b.db")
	succeed(t, creates(3), "apply", "-db", from)
	succeed(t, `{"op":"create","biz":"other","task":"t","id":"1"}`, "apply", "-db", db)
	got := call(t.Context(), succeed(t, "", "export", "-db", from), "import", "-db", db)
	if got.code != exitFailed || !strings.Contains(got.stderr, `task "b"/"1"`) || !strings.Contains(got.stderr, "2 of 3") {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
	if list := succeed(t, "", "list", "-db", db); strings.Count(list, "\n") != 4 {
		t.Errorf("list:\n%s", list)
	}
	succeed(t, "", "check", "-db", db)
}

func TestImportFromAFile(t *testing.T) {
	exported := succeed(t, "", "export", "-db", told(t))
	file := filepath.Join(t.TempDir(), "tasks.jsonl")
	if err := os.WriteFile(file, []byte(exported), 0o600); err != nil {
		t.Fatal(err)
	}
	db := filepath.Join(t.TempDir(), "b.db")
	var got imported
	mustRead(t, []byte(succeed(t, "", "import", "-json", "-db", db, file)), &got)
	if want := (imported{true, 3, 35}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestBombsInAnExport(t *testing.T) {
	const header = `{"format":"pipestatus-export","version":1,"sequence":1}` + "\n"
	const start = `{"seq":1,"biz":"b","task":"t","op":"create","at":"1970-01-01T00:00:00Z","recorded":"1970-01-01T00:00:00Z","shown":"CREATED","changes":`
	for name, in := range map[string]string{
		"depth":             header + start + strings.Repeat("[", 1<<20),
		"depth that closes": header + start + strings.Repeat("[", 1<<20) + strings.Repeat("]", 1<<20) + "}",
		"empty changes":     header + start + "[" + strings.Repeat("{},", 1<<20) + "{}]}",
		"a huge line":       header + `{"actor":"` + strings.Repeat("x", maxExportLine) + `"}`,
		"huge numbers":      header + start + `[{"id":"a","index":1e400}]}`,
		"many blank lines":  header + strings.Repeat("\n", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			db := filepath.Join(t.TempDir(), "b.db")
			got := call(t.Context(), in, "import", "-json", "-db", db)
			var answer refused
			mustRead(t, []byte(got.stdout), &answer)
			if got.code != exitFailed || answer.Code != "corrupt" || len(answer.Error) > 1000 {
				t.Errorf("exit code %d: %.1000s", got.code, got.stdout)
			}
		})
	}
}

func TestPurgeRemovesWhatItsDryRunLists(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want []string // what remains, newest first
	}{
		"by number":           {[]string{"-keep", "1"}, []string{"4", "3", "1"}},
		"all":                 {[]string{"-keep", "0"}, []string{"3", "1"}},
		"by age":              {[]string{"-older-than", "1970-01-01 00:00:03"}, []string{"4", "3", "2", "1"}},
		"by age and state":    {[]string{"-older-than", "0d", "-state", "REVOKED"}, []string{"4", "3", "1", "0"}},
		"of another business": {[]string{"-keep", "0", "-biz", "c"}, []string{"4", "3", "2", "1", "0"}},
	} {
		t.Run(name, func(t *testing.T) {
			db := filepath.Join(t.TempDir(), "a.db")
			succeed(t, `
				{"op":"batch","ops":[{"op":"create","biz":"b","task":"0","id":"0","at":1},{"op":"start","node":"0","at":1},{"op":"finish","node":"0","at":2}]}
				{"op":"create","biz":"b","task":"1","id":"1","at":1}
				{"op":"batch","ops":[{"op":"create","biz":"b","task":"2","id":"2","at":3},{"op":"revoke","node":"2","at":3}]}
				{"op":"batch","ops":[{"op":"create","biz":"b","task":"3","id":"3","at":4},{"op":"start","node":"3","at":4}]}
				{"op":"batch","ops":[{"op":"create","biz":"b","task":"4","id":"4","at":5},{"op":"start","node":"4","at":5},{"op":"fail","node":"4","at":5}]}
			`, "apply", "-db", db)
			purge := append([]string{"purge", "-tz", "UTC", "-db", db, "-json"}, test.args...)
			keys := func(lines string) (keys []string) {
				for line := range strings.Lines(lines) {
					var task struct {
						ID string `json:"task_id"`
					}
					mustRead(t, []byte(line), &task)
					keys = append(keys, task.ID)
				}
				return keys
			}
			before := keys(succeed(t, "", "list", "-json", "-db", db))
			listed := keys(succeed(t, "", append(purge, "-dry-run")...))
			var answer struct{ Removed int }
			mustRead(t, []byte(succeed(t, "", purge...)), &answer)
			after := keys(succeed(t, "", "list", "-json", "-db", db))
			if !cmp.Equal(after, test.want) {
				t.Errorf("%v remain, want %v", after, test.want)
			}
			gone := slices.DeleteFunc(before, func(task string) bool { return slices.Contains(after, task) })
			if answer.Removed != len(gone) || strings.Join(listed, " ") != strings.Join(gone, " ") {
				t.Errorf("%d removed: %v, listed %v", answer.Removed, gone, listed)
			}
		})
	}
}
