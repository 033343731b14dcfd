package statusctl

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// runsTold is a database with three ended runs of a pipeline and one that is running
// and late.
func runsTold(t *testing.T) (db string) {
	t.Helper()
	const start = 1524731000
	var ops strings.Builder
	do := func(at int, op, node, more string) {
		fmt.Fprintf(&ops, `{"op":%q,"node":%q,"at":%d%s}`+"\n", op, node, start+at, more)
	}
	begin := func(task string) {
		name := "deploy"
		if task == "first" {
			name = "fresh"
		}
		fmt.Fprintf(&ops, `{"op":"create","biz":"2","task":%q,"id":%q,"name":%q,"at":%d}`+"\n", task, task, name, start)
		do(0, "start", task, "")
		do(0, "declare", task+"b", `,"parent":"`+task+`","kind":"service_activity","name":"build"`)
		do(0, "declare", task+"s", `,"parent":"`+task+`","kind":"subprocess","name":"checks"`)
		do(0, "declare", task+"u", `,"parent":"`+task+`s","kind":"service_activity","name":"unit tests"`)
		do(0, "declare", task+"x", `,"parent":"`+task+`","kind":"service_activity","name":"never run"`)
		do(0, "start", task+"b", "")
	}
	for i := range 3 {
		task := fmt.Sprint("past", i)
		begin(task)
		do(10, "finish", task+"b", "")
		do(10, "start", task+"s", "")
		do(10, "start", task+"u", "")
		do(30, "fail", task+"u", `,"error":"flaky"`)
		do(30, "retry", task+"u", "")
		do(30, "start", task+"u", "")
		do(60+i, "finish", task+"u", "")
		do(60+i, "finish", task+"s", "")
		do(60+i, "skip", task+"x", "")
		do(60+i, "finish", task, "")
	}
	begin("now")
	begin("first")
	begin("waits")
	do(100, "suspend", "waits", "")
	begin("left")
	do(2, "fail", "leftb", `,"error":"full"`)
	begin("stuck") // while another step runs
	do(1, "start", "stucks", "")
	do(1, "start", "stucku", "")
	do(2, "fail", "stucku", `,"error":"flaky"`)
	db = filepath.Join(t.TempDir(), "a.db")
	if answers := succeed(t, ops.String(), "apply", "-db", db); strings.Contains(answers, `"ok":false`) {
		t.Fatal(answers)
	}
	return db
}

func TestStatisticsOfRunsForPeopleAndPrograms(t *testing.T) {
	db := runsTold(t)
	for name, args := range map[string][]string{
		"stats-runs":      {"stats", "2", "deploy"},
		"stats-runs-json": {"stats", "2", "deploy", "-json", "-last", "1"},
		"stats-runs-none": {"stats", "3", "deploy"},
		"stats-task":      {"stats", "2", "-task", "now"},
		"stats-task-done": {"stats", "2", "-task", "past1", "-last", "1"},
		"stats-task-new":  {"stats", "2", "-task", "first"},
		"stats-task-held": {"stats", "2", "-task", "waits", "-last", "1"},
		"usage-stats":     {"stats", "-h"},
	} {
		golden(t, "show/"+name+".golden", noon(t, append([]string{"-db", db}, args...)...))
	}
	for line, warned := range map[string]bool{"stats 2 nosuch": true, "stats 2 never": true, "stats 3 deploy": true, "stats 2 deploy": false, "stats 2 fresh": false} {
		got := call(t.Context(), "", append(strings.Fields(line), "-db", db)...)
		if got.code != exitOK || (got.stderr != "") != warned || warned && !strings.Contains(got.stderr, "has the name") {
			t.Errorf("%s: %+v", line, got)
		}
	}
	for _, args := range [][]string{{"stats", "2"}, {"stats", "2", "deploy", "-last", "0"}, {"stats", "2", "deploy", "-task", "now"}, {"stats", "-task", "now"}} {
		if got := call(t.Context(), "", append(args, "-db", db)...); got.code != exitUsage {
			t.Errorf("%v: %+v", args, got)
		}
	}
}
