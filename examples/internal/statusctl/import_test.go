package statusctl

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// scenarios returns a file with all recorded scenarios in it and its nodes by
// task. Scenarios share keys and IDs, so each gets a prefix.
func scenarios(t *testing.T) (db string, tasks map[[2]string][]string) {
	t.Helper()
	names, err := filepath.Glob("../../../engine/internal/scenario/testdata/*.json")
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

var sequences = regexp.MustCompile(`"(seq|sequence)":\d+,?`)

// answers is every answer of a database, without sequences and revisions.
func answers(t *testing.T, db string, tasks map[[2]string][]string) (all map[string]any) {
	t.Helper()
	s, err := (&tool{db: db}).open(t.Context(), forReading)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all = make(map[string]any)
	keep := func(what string) func(any, error) {
		return func(answer any, err error) { all[what] = [2]any{answer, err} }
	}
	r := newReader(s, time.UTC)
	fields := &query.Options{Location: time.UTC, Fields: query.AllFields &^ query.FieldRevision, Now: func() time.Time { return time.Unix(2e9, 0) }}
	for _, shown := range [][]state.State{nil, {state.Failed}, {state.Running, state.Suspended}} {
		for _, unfinished := range []bool{false, true} {
			list, err := r.Search(t.Context(), store.ListQuery{Shown: shown, Unfinished: unfinished, Limit: 1000}, "")
			for i := range list.Tasks {
				list.Tasks[i].Revision = 0
			}
			keep(fmt.Sprint("list ", shown, unfinished))(list.Tasks, err)
		}
	}
	for key, nodes := range tasks {
		name := key[0] + "/" + key[1]
		keep("timeline " + name)(r.Timeline(t.Context(), key[0], key[1]))
		for _, asked := range append(nodes, key[1]) {
			all["get "+key[0]+"/"+asked] = [2]string{
				appendJSON(t, r.With(fields), key[0], asked), appendJSON(t, r.convention(true), key[0], asked),
			}
		}
		for _, node := range nodes {
			keep("history " + node)(r.history(t.Context(), store.ByNode(node)))
		}
		snap, err := r.Snapshot(t.Context(), key[0], key[1])
		if err != nil {
			t.Fatal(err)
		}
		for tr, err := range r.Transitions(t.Context(), snap.Tree) {
			if err != nil {
				t.Fatal(err)
			}
			past, err := r.AsOf(t.Context(), key[0], key[1], tr.At.Time())
			if err != nil {
				t.Fatal(err)
			}
			all["at "+tr.At.String()+" "+name] = string(r.AppendTree(nil, past.Tree, past.Index))
		}
	}
	return all
}

func appendJSON(t *testing.T, q *query.Query, business, task string) string {
	t.Helper()
	answer, err := q.AppendJSON(t.Context(), nil, business, task)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

func TestAnImportAnswersEveryQueryAsItsSource(t *testing.T) {
	from, tasks := scenarios(t)
	to := filepath.Join(t.TempDir(), "b.db")
	exported := succeed(t, "", "export", "-db", from)
	if got := succeed(t, exported, "import", "-db", to); !strings.HasPrefix(got, fmt.Sprintf("imported %d tasks with ", len(tasks))) {
		t.Errorf("import says %s", got)
	}
	want := answers(t, from, tasks)
	if len(want) < 5*len(tasks) {
		t.Fatalf("only %d questions", len(want))
	}
	if diff := cmp.Diff(want, answers(t, to, tasks)); diff != "" {
		t.Errorf("(-exported +imported):\n%s", diff)
	}
	plain := func(export string) string { return sequences.ReplaceAllString(export, "") }
	if plain(succeed(t, "", "export", "-db", to)) != plain(exported) {
		t.Error("the import exports something else")
	}
	succeed(t, "", "check", "-db", to)
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

func TestPurgeRemovesTheTasksThatItsDryRunLists(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want []string // the remaining tasks, newest first
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
