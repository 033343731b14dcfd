package runner

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/state"
)

func open(t *testing.T, path, task string) (*results, *os.File) {
	t.Helper()
	f, err := openResultFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	r, err := readResults(t.Context(), f, state.Key{Business: "1", Task: task})
	if err != nil {
		t.Fatal(err)
	}
	return r, f.file
}

func TestResultsOutliveTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.db.results")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	r, file := open(t, path, "1")
	must(r.begin(t.Context(), []byte(`{"id":"p"}`)))
	must(r.add(t.Context(), &node{id: "a"}, 3, map[string]string{"x": "1", "y": "<2>"}))
	must(r.add(t.Context(), &node{id: "a"}, 0, map[string]string{"x": "3"}))
	must(r.add(t.Context(), &node{id: "b"}, 4, nil))
	// A process that died while writing.
	if _, err := file.WriteString(`{"biz":"1","task":"1","node":"b","exit_c`); err != nil {
		t.Fatal(err)
	}
	again, _ := open(t, path, "1")
	again.defaults(map[string]string{"x": "default", "z": "default"})
	if diff := cmp.Diff(map[string]string{"x": "3", "y": "<2>", "z": "default"}, again.variables); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"a": 0, "b": 4}, again.exits); diff != "" {
		t.Errorf("exit codes (-want +got):\n%s", diff)
	}
	must(again.add(t.Context(), &node{id: "c"}, 5, nil))
	once, _ := open(t, path, "1")
	must(once.resume(t.Context()))
	more, _ := open(t, path, "1")
	if code, ok := more.exitCode("c"); code != 5 || !ok || len(more.exits) != 3 {
		t.Error("what was written after the torn line is lost")
	}
	if r, _ := open(t, path, "2"); r.definition != nil || len(r.exits) > 0 {
		t.Error("a task sees another one's results")
	}
}

func TestDamagedResultsAreNotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.db.results")
	if err := os.WriteFile(path, []byte("{}\nnonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := openResultFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := readResults(t.Context(), f, state.Key{Business: "1", Task: "1"}); err == nil {
		t.Error("no error")
	}
}
