package statusctl

import (
	"path/filepath"
	"strings"
	"testing"
)

// The answers to begin and report list the recorded operations.
func TestBeginAndReportListTheirOperations(t *testing.T) {
	const first, second = `"new_version":"0000000000000000000000000000000a"`, `"new_version":"0000000000000000000000000000000b"`
	story := []struct{ line, answer string }{
		{`{"op":"create","biz":"b","task":"t","id":"p","at":1}`, `"node":"p","version":""}`},
		{`{"op":"begin","node":"p","at":1}`, `"seq":2,"node":"p","version":"","did":["start"]}`},
		{`{"op":"begin","node":"a","parent":"p","kind":"service_activity","name":"build",` + first + `}`, `"seq":4,"node":"a","version":"0000000000000000000000000000000a","did":["declare","start"]}`},
		{`{"op":"begin","node":"a","parent":"p","kind":"service_activity",` + first + `}`, `"seq":4,"node":"a","version":"0000000000000000000000000000000a","did":[]}`},
		{`{"op":"begin","node":"a","parent":"p","kind":"service_activity",` + second + `}`, `"seq":7,"node":"a","version":"0000000000000000000000000000000b","did":["fail","retry","start"]}`},
		{`{"op":"begin","node":"a","parent":"p","kind":"service_activity",` + first + `}`, `"did":[]}`},
		{`{"op":"report","node":"a","state":"FINISHED","version":"0000000000000000000000000000000a"}`, `"did":[]}`},
		{`{"op":"report","node":"a","state":"FAILED","error":"exit 1","version":"0000000000000000000000000000000b"}`, `"seq":8,"node":"a","version":"0000000000000000000000000000000b","did":["fail"]}`},
		{`{"op":"report","node":"a","state":"FINISHED","version":"0000000000000000000000000000000b"}`, `"code":"invalid_transition"`},
		{`{"op":"report","node":"a","state":"CREATED"}`, `"code":"invalid_transition"`},
		{`{"op":"report","node":"a","state":"RUNNING","error":"x"}`, `"code":"invalid_argument"`},
		{`{"op":"report","node":"a","state":"ASLEEP"}`, `"code":"invalid_argument"`},
		{`{"op":"report","node":"none","state":"RUNNING"}`, `"code":"not_found"`},
		{`{"op":"begin","node":"a","parent":"p","kind":"end_event"}`, `"code":"exists"`},
		{
			`{"op":"batch","ops":[{"op":"report","node":"a","state":"FINISHED"},{"op":"report","node":"p","state":"FINISHED"}]}`,
			`"seq":12,"node":"p","version":"","did":["finish"]}`,
		},
		{`{"op":"begin","node":"p"}`, `"seq":13,"node":"p","version":"","did":["reopen"]}`},
	}
	var in strings.Builder
	for _, s := range story {
		in.WriteString(s.line + "\n")
	}
	for _, db := range []string{memory, filepath.Join(t.TempDir(), "a.db")} {
		answers := strings.Split(succeed(t, in.String(), "apply", "-db", db), "\n")
		for i, s := range story {
			if !strings.Contains(answers[i], s.answer) {
				t.Errorf("on %s, %s: %s, want %s", db, s.line, answers[i], s.answer)
			}
		}
	}
}
