package statusctl

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/wire"
)

var recordedNow = regexp.MustCompile(`"(recorded|recorded_time)":"[^"]*"`)

// recorded returns a store with all transcripts in it.
func recorded(t testing.TB) store.Store {
	t.Helper()
	s := store.NewMemory()
	r := begin(t, s)
	names, _ := filepath.Glob("testdata/apply/*.jsonl")
	names = append(names, "testdata/apply/cases/data.jsonl", "testdata/apply/cases/keys-labels-edges.jsonl")
	for i, name := range names {
		// The transcripts share their keys and IDs, which are short.
		prefix := string(rune('A' + i))
		in := strings.NewReplacer(`"p"`, `"`+prefix+`p"`, `"a"`, `"`+prefix+`a"`, `"c"`, `"`+prefix+`c"`, `"t"`, `"`+prefix+`t"`).Replace(read(t, name))
		if err := r.apply(t.Context(), strings.NewReader(in), new(bytes.Buffer)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func export(t testing.TB, from store.Reader) string {
	t.Helper()
	var out bytes.Buffer
	if err := writeExport(t.Context(), newReader(from, time.UTC), &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// load commits an export to an empty store.
func load(t *testing.T, exported string) store.Store {
	t.Helper()
	s := store.NewMemory()
	var base uint64
	for tr, err := range readExport(strings.NewReader(exported)) {
		if err != nil {
			t.Fatal(err)
		}
		if tr.Op == state.Create {
			base = 0
		}
		results, err := s.Commit(t.Context(), []store.Write{{Base: base, Transitions: []*state.Transition{tr}}})
		if err != nil || results[0].Err != nil {
			t.Fatal(err, results)
		}
		base = results[0].First
	}
	return s
}

func TestAnExportIsComplete(t *testing.T) {
	from := recorded(t)
	to := load(t, export(t, from))
	fromKeys, err := allTasks(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	toKeys, err := allTasks(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	if len(fromKeys) < 4 || !cmp.Equal(fromKeys, toKeys) {
		t.Fatalf("tasks %v became %v", fromKeys, toKeys)
	}
	for _, key := range fromKeys {
		want, got := wholeTask(t, from, key), wholeTask(t, to, key)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(state.Instant{}, state.Version{})); diff != "" {
			t.Errorf("task %s (-exported +imported):\n%s", key, diff)
		}
	}
}

// task is everything that a store has about one task, without sequences.
type task struct {
	Nodes       []state.Node
	Attempts    map[string][]store.Attempt
	Transitions []state.Transition
}

func wholeTask(t *testing.T, from store.Reader, key state.Key) (all task) {
	t.Helper()
	snap, err := from.Load(t.Context(), store.ByKey(key.Business, key.Task))
	if err != nil {
		t.Fatal(err)
	}
	all.Attempts = make(map[string][]store.Attempt)
	for i := range snap.Tree.Len() {
		n := snap.Tree.Node(i)
		all.Nodes = append(all.Nodes, n)
		if all.Attempts[n.ID], err = from.Attempts(t.Context(), store.ByNode(n.ID), store.AttemptQuery{Data: true}); err != nil {
			t.Fatal(err)
		}
	}
	for tr, err := range newReader(from, time.UTC).Transitions(t.Context(), snap.Tree) {
		if err != nil {
			t.Fatal(err)
		}
		tr := *tr
		tr.Sequence = 0
		all.Transitions = append(all.Transitions, tr)
	}
	return all
}

func TestTheFormatOfAnExport(t *testing.T) {
	db := filepath.Join(t.TempDir(), "a.db")
	// Fixed times leave only the recording clock's, which the golden file
	// shows as a word.
	succeed(t, read(t, "testdata/export.jsonl"), "apply", "-db", db)
	golden(t, "export.golden", recordedNow.ReplaceAllString(succeed(t, "", "export", "-db", db), `"$1":"NOW"`))
}

func TestAnIncompleteExportIsRefused(t *testing.T) {
	whole := export(t, recorded(t))
	lines := strings.SplitAfter(whole, "\n")
	without := func(i int) string { return strings.Join(lines[:i], "") + strings.Join(lines[i+1:], "") }
	for name, in := range map[string]string{
		"nothing":                     "",
		"something else":              `{"op":"create"}`,
		"another format":              strings.Replace(whole, exportFormat, "other", 1),
		"without its end":             strings.Join(lines[:len(lines)-2], ""),
		"cut within a line":           whole[:len(whole)/2],
		"without a create":            without(1),
		"without a transition":        without(2),
		"without the last transition": without(len(lines) - 3),
		"a line twice":                strings.Replace(whole, lines[2], lines[2]+lines[2], 1),
		"another task within":         strings.Replace(whole, `"seq":2,"biz":"`, `"seq":2,"biz":"x`, 1),
		"an unknown state":            strings.Replace(whole, `"shown":"RUNNING"`, `"shown":"DONE"`, 1),
		"an op that is missing":       strings.Replace(whole, `"op":"start",`, ``, 1),
		"a time that is missing":      strings.Replace(whole, `"recorded":`, `"actor":`, 1),
		"an ID that cannot be":        strings.Replace(whole, `{"id":"`, `{"id":"\u0000`, 1),
		"an invalid time":             strings.Replace(whole, `"at":"`, `"at":"x`, 1),
		"a parent that is not there":  strings.Replace(whole, `"parent":"`, `"parent":"x`, 1),
		"an unknown field":            strings.Replace(whole, `"actor":`, `"author":`, 1),
		"a field in capitals":         strings.Replace(whole, `"actor":`, `"ACTOR":`, 1),
		"a field twice":               strings.Replace(whole, `"shown":`, `"shown":"RUNNING","shown":`, 1),
		"a field of a node twice":     strings.Replace(whole, `{"id":`, `{"id":"x","id":`, 1),
		"a field twice in its header": strings.Replace(whole, `"version":`, `"version":1,"version":`, 1),
		"something behind its end":    whole + lines[1],
		"a node three times":          changed(t, whole, 1, func(c []any) []any { return append(c, c[0], c[0]) }),
		"an attempt that jumps": changed(t, whole, 1, func(c []any) []any {
			c[0].(map[string]any)["loop"] = 7
			return c
		}),
		"a delete": strings.Replace(whole, `"op":"start"`, `"op":"delete"`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			for _, err = range readExport(strings.NewReader(in)) {
			}
			if !errors.Is(err, errDamaged) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestAnExportOfAnotherVersion(t *testing.T) {
	const head = `{"format":"pipestatus-export","version":`
	for in, want := range map[string]error{
		head + `4,"sequence":9}` + "\n":  store.ErrIncompatible,
		head + `0,"sequence":9}` + "\n":  errDamaged,
		head + `-1,"sequence":9}` + "\n": errDamaged,
	} {
		var err error
		for _, err = range readExport(strings.NewReader(in)) {
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: error %v, want one that matches %q", in, err, want)
		}
	}
}

// The export was written by version 1. Values that it lacks are computed or left
// unset.
func TestAnExportOfVersion1IsRead(t *testing.T) {
	in := strings.ReplaceAll(read(t, "testdata/export1.golden"), `"recorded":"NOW"`, `"recorded":"2018-04-26T08:30:00Z"`)
	db := filepath.Join(t.TempDir(), "a.db")
	succeed(t, in, "import", "-db", db)
	out := succeed(t, "", "export", "-db", db)
	if !strings.Contains(out, `"pending":1`) {
		t.Errorf("no retry is pending in\n%s", out)
	}
	again := filepath.Join(t.TempDir(), "b.db")
	succeed(t, out, "import", "-db", again)
	if got := succeed(t, "", "export", "-db", again); got != out {
		t.Errorf("exported again (-want +got):\n%s", cmp.Diff(strings.Split(out, "\n"), strings.Split(got, "\n")))
	}
}

// changed is an export in which the changes of the transition in a line, from
// 1, are others.
func changed(t *testing.T, export string, line int, edit func(changes []any) []any) string {
	t.Helper()
	lines := strings.SplitAfter(export, "\n")
	var tr map[string]any
	if err := json.Unmarshal([]byte(lines[line]), &tr); err != nil {
		t.Fatal(err)
	}
	tr["changes"] = edit(tr["changes"].([]any))
	raw, err := json.Marshal(tr)
	if err != nil {
		t.Fatal(err)
	}
	lines[line] = string(raw) + "\n"
	return strings.Join(lines, "")
}

func FuzzReadExport(f *testing.F) {
	f.Add([]byte(export(f, recorded(f))))
	f.Add([]byte(`{"format":"pipestatus-export","version":1,"sequence":0}` + "\n" + `{"end":true,"tasks":0,"transitions":0}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		for tr, err := range readExport(bytes.NewReader(in)) {
			if err != nil {
				if !errors.Is(err, errDamaged) && !errors.Is(err, store.ErrIncompatible) {
					t.Errorf("error %v", err)
				}
				return
			}
			again := wire.OfTransition(tr)
			back, err := again.Value()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tr, back, cmp.AllowUnexported(state.Instant{}, state.Version{})); diff != "" {
				t.Error(diff)
			}
		}
	})
}
