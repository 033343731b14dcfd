package statusctl

import (
	"strings"
	"testing"
)

func TestEveryCommandNamesANodeByItsKey(t *testing.T) {
	db := t.TempDir() + "/a.db"
	answers := succeed(t, `{"op":"create","biz":"2","task":"10","id":"root","at":1524700000}
{"op":"start","node":"root","at":1524700000}
{"op":"declare","node":"n1","parent":"root","kind":"subprocess","key":"build","name":"build it","at":1524700000}
{"op":"start","node":"n1","at":1524700000}
{"op":"declare","node":"n2","parent":"n1","kind":"service_activity","key":"unit","name":"test it","at":1524700000}
{"op":"declare","node":"n3","parent":"root","kind":"service_activity","key":"ship","name":"ship it","at":1524700000}
{"op":"start","node":"n2","at":1524700000}
{"op":"fail","node":"n2","error":"no","at":1524700081}
{"op":"retry","node":"n2","at":1524700082}
{"op":"start","node":"n2","at":1524700083}
{"op":"fail","node":"n2","error":"no again","at":1524700084}
{"op":"history","biz":"2","task":"10","key":"unit"}
{"op":"history","biz":"2","task":"10"}
{"op":"history","biz":"2","task":"10","key":"none"}
`, "apply", "-db", db)
	lines := strings.Split(strings.TrimSpace(answers), "\n")
	for i, want := range []string{`"error":"no"`, `"history":[]`, `"code":"not_found","error":"not found: node with key \"none\" of task \"2\"/\"10\""`} {
		if got := lines[len(lines)-3+i]; !strings.Contains(got, want) {
			t.Errorf("history answers %s, want %s", got, want)
		}
	}
	for _, command := range [][]string{{"get"}, {"tree"}, {"tree", "-mermaid"}, {"graph"}, {"why"}, {"timeline"}, {"timeline", "-svg"}} {
		got := noon(t, append(command, "2", "10", "-db", db, "-node", "build")...)
		if !strings.Contains(got, "test it") || strings.Contains(got, "ship it") {
			t.Errorf("%s -node build:\n%s", command[0], got)
		}
		var out strings.Builder
		tool := &tool{stdout: &out, stderr: &out}
		if code := tool.call(t.Context(), append(command, "2", "10", "-db", db, "-node", "none")); code != exitFailed || !strings.Contains(out.String(), `has no node`) {
			t.Errorf("%s -node none: %d %s", command[0], code, out.String())
		}
	}
	if got := noon(t, "history", "2", "10", "unit", "-db", db); !strings.Contains(got, "key unit") || !strings.Contains(got, "no again") {
		t.Errorf("history:\n%s", got)
	}
}
