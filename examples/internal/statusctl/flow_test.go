package statusctl

import (
	"path/filepath"
	"strings"
	"testing"
)

// flow is a task whose nodes have keys and edges, and some with labels.
const flow = `{"op":"create","biz":"2","task":"10","id":"root","name":"release 1.4","labels":{"env":"prod","team":"core"},"at":1524730000}
{"op":"start","biz":"2","task":"10","at":1524730001}
{"op":"declare","biz":"2","task":"10","node":"n1","key":"build","kind":"service_activity","name":"build","at":1524730001,"new_version":"00000000000000000000000000000001"}
{"op":"declare","biz":"2","task":"10","node":"n2","key":"test","after":["build"],"kind":"service_activity","at":1524730001,"new_version":"00000000000000000000000000000002"}
{"op":"declare","biz":"2","task":"10","node":"n3","key":"ship","after":["test"],"kind":"service_activity","name":"ship","at":1524730001,"new_version":"00000000000000000000000000000003"}
{"op":"start","biz":"2","task":"10","key":"build","input":{"branch":"<main>"},"at":1524730002}
{"op":"finish","biz":"2","task":"10","key":"build","output":[1,"two"],"at":1524730010}
{"op":"start","biz":"2","task":"10","key":"test","at":1524730010}
{"op":"finish","biz":"2","task":"10","key":"test","at":1524730020}
{"op":"loop","biz":"2","task":"10","key":"build","from":"test","at":1524730020,"new_version":"00000000000000000000000000000004"}
{"op":"fail","biz":"2","task":"10","key":"build","error":"no space","at":1524730030}
{"op":"suspend","biz":"2","task":"10","key":"ship","note":"waits for QA","at":1524730030}
{"op":"create","biz":"2","task":"11","id":"r11","name":"release 1.4","labels":{"env":"test"},"at":1524730100}
{"op":"start","biz":"2","task":"11","at":1524730200}
{"op":"finish","biz":"2","task":"11","at":1524730300}
{"op":"create","biz":"3","task":"12","id":"r12","at":1524730100}
`

func flowTold(t *testing.T) (db string) {
	t.Helper()
	db = filepath.Join(t.TempDir(), "a.db")
	if answers := succeed(t, flow, "apply", "-db", db); strings.Contains(answers, `"ok":false`) {
		t.Fatal(answers)
	}
	return db
}

func TestKeysEdgesNotesAndLabelsAreShown(t *testing.T) {
	db := flowTold(t)
	for name, args := range map[string][]string{
		"flow-tree":         {"tree", "2", "10"},
		"flow-tree-ids":     {"tree", "2", "10", "-ids"},
		"flow-tree-json":    {"tree", "2", "10", "-json"},
		"flow-history":      {"history", "2", "10", "build"},
		"flow-history-json": {"history", "n1", "-json"},
		"flow-node":         {"get", "2", "10", "-node", "build"},
		"flow-node-json":    {"get", "2", "10", "-node", "n1", "-json"},
		"flow-mermaid":      {"tree", "2", "10", "-mermaid"},
		"flow-list":         {"list"},
		"flow-list-json":    {"list", "-json", "-label", "env=prod"},
	} {
		got := noon(t, append([]string{"-db", db}, args...)...)
		golden(t, "show/"+name+".golden", recordedNow.ReplaceAllString(got, `"$1":"NOW"`))
	}
}

func TestAListHasTheFiltersAndTheOrderOfTheStore(t *testing.T) {
	db := flowTold(t)
	for args, want := range map[string]string{
		"-label env=prod":                           "10",
		"-label env=prod -label team=core":          "10",
		"-label env=prod -label team=other":         "",
		"-failures":                                 "10",
		"-oldest":                                   "10 11 12",
		"-oldest -limit 1":                          "10",
		"-time started -since 2018-04-26T08:09:00Z": "11", // 1524730140
		"-time started -until 2018-04-26T08:09:00Z": "10",
		"-time finished -since 2018-04-26":          "11",
	} {
		if got := tasksOf(t, db, strings.Fields(args)...); got != want {
			t.Errorf("list %s: %q, want %q", args, got, want)
		}
	}
	if got := tasksOf(t, db, "-name", "release 1.4"); got != "11 10" {
		t.Errorf("by name: %q", got)
	}
	for _, args := range []string{"-label env", "-label =x", "-label a=1 -label a=2", "-time updated"} {
		if got := call(t.Context(), "", append([]string{"list", "-db", db}, strings.Fields(args)...)...); got.code != exitUsage {
			t.Errorf("list %s: %+v", args, got)
		}
	}
}

// tasksOf is the task IDs that a list has.
func tasksOf(t *testing.T, db string, args ...string) string {
	t.Helper()
	var ids []string
	for line := range strings.Lines(succeed(t, "", append([]string{"list", "-json", "-db", db}, args...)...)) {
		if _, rest, ok := strings.Cut(line, `"task_id":"`); ok {
			id, _, _ := strings.Cut(rest, `"`)
			ids = append(ids, id)
		}
	}
	return strings.Join(ids, " ")
}
