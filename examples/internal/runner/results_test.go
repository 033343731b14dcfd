package runner

import (
	"os"
	"path/filepath"
	"strings"
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
	root := &pipeline{id: "p"}
	must(r.add(t.Context(), &node{id: "a", in: root}, 3, map[string]string{"x": "1", "y": "<2>"}))
	must(r.add(t.Context(), &node{id: "a", in: root}, 0, map[string]string{"x": "3"}))
	must(r.add(t.Context(), &node{id: "b", in: root}, 4, nil))
	must(r.give(t.Context(), &pipeline{id: "sub"}, map[string]string{"x": "inside"}))
	// A process that died while writing.
	if _, err := file.WriteString(`{"biz":"1","task":"1","node":"b","exit_c`); err != nil {
		t.Fatal(err)
	}
	again, _ := open(t, path, "1")
	want := map[string]map[string]string{"p": {"x": "3", "y": "<2>"}, "sub": {"x": "inside"}}
	if diff := cmp.Diff(want, again.variables); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"a": 0, "b": 4}, again.exits); diff != "" {
		t.Errorf("exit codes (-want +got):\n%s", diff)
	}
	must(again.add(t.Context(), &node{id: "c", in: root}, 5, nil))
	once, _ := open(t, path, "1")
	must(once.resume(t.Context()))
	more, _ := open(t, path, "1")
	if code, ok := more.exits["c"]; code != 5 || !ok || len(more.exits) != 3 {
		t.Error("what was written after the torn line is lost")
	}
	if r, _ := open(t, path, "2"); r.definition != nil || len(r.exits) > 0 {
		t.Error("a task sees another one's results")
	}
}

// Only what a crash can have left of a last line is cut off.
func TestDamagedResultsAreRefusedAndStayAsTheyAre(t *testing.T) {
	const line = `{"biz":"1","task":"1","node":"a","exit_code":3}` + "\n"
	for content, cut := range map[string]bool{
		"": true, line: true, line + `{`: true, line + `{"biz":"1","ta`: true, line + "\x00\x00": true, `{"biz`: true,
		line + "nonsense\n" + line: false, line + "{}\n": false, line + "nonsense": false, "nonsense": false, line + "\n": false,
	} {
		path := filepath.Join(t.TempDir(), "p.db.results")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		want := content
		f, err := openResultFile(path)
		if err == nil {
			_ = f.Close()
			want = content[:strings.LastIndexByte(content, '\n')+1]
		}
		if got, readErr := os.ReadFile(path); (err == nil) != cut || readErr != nil || string(got) != want {
			t.Errorf("%q became %q: %v, %v", content, got, err, readErr)
		}
		if err != nil && !strings.Contains(err.Error(), path) {
			t.Errorf("%q: error %v does not name the file", content, err)
		}
	}
}
