package statusctl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/state"
)

// protocol is the table of operations: fields an operation needs, and fields
// it may have.
var protocol = map[string]struct{ needs, takes string }{
	"create":  {"biz task", "id name at actor idempotent"},
	"declare": {"parent kind", "node name retryable skippable max_loops new_version at actor idempotent"},
	"start":   {"node", "version loop at actor idempotent"},
	"finish":  {"node", "tolerate version loop at actor idempotent"},
	"suspend": {"node", "version loop at actor idempotent"},
	"resume":  {"node", "version loop at actor idempotent"},
	"revoke":  {"node", "error version loop at actor idempotent"},
	"fail":    {"node", "error ignore abandon retry_at version loop at actor idempotent"},
	"retry":   {"node", "new_version version at actor idempotent"},
	"skip":    {"node", "new_version version at actor idempotent"},
	"loop":    {"node", "new_version version at actor idempotent"},
	"reset":   {"node", "new_version version at actor idempotent"},
	"reopen":  {"biz task", "loop at actor idempotent"},
	"begin":   {"parent kind", "node name new_version at actor"},
	"report":  {"node state", "error version loop at actor"},
	"batch":   {"ops", ""},
	"status":  {"biz task", "failed_first"},
	"history": {"node", ""},
}

// values are valid values for every field.
var values = map[string][]string{
	"biz": {`"2"`}, "task": {`"10"`}, "id": {`"p"`}, "node": {`"a"`}, "parent": {`"p"`},
	"name": {`"build"`, `""`}, "kind": {`"subprocess"`, `"converge_gateway"`},
	"at":    {`0`, `-1`, `1524730114.5`, `"2018-04-26T16:08:34+08:00"`, `"2018-04-26T08:08:34.25Z"`},
	"actor": {`"alice"`}, "idempotent": {`true`, `false`}, "retryable": {`true`, `false`}, "skippable": {`true`, `false`},
	"max_loops": {`0`, `3`}, "new_version": {`"7447cc2801b630f497768493c02fb488"`, `""`},
	"version": {`"7447cc2801b630f497768493c02fb488"`, `""`}, "error": {`""`, `"text\u0000\n"`},
	"abandon": {`true`, `false`}, "tolerate": {`true`, `false`}, "loop": {`1`, `2147483647`},
	"ignore": {`true`, `false`}, "retry_at": {`1524730200`}, "failed_first": {`true`, `false`},
	"ops": {`[{"op":"start","node":"a"}]`}, "state": {`"FAILED"`, `"REVOKED"`},
}

func TestEveryOperationTakesItsFieldsAndNoOthers(t *testing.T) {
	for op, fields := range protocol {
		needs, takes := strings.Fields(fields.needs), strings.Fields(fields.takes)
		line := func(fields ...string) string {
			return `{` + strings.Join(append([]string{`"op":"` + op + `"`}, fields...), ",") + `}`
		}
		var least []string
		for _, name := range needs {
			least = append(least, fmt.Sprintf("%q:%s", name, values[name][0]))
		}
		with := func(field string) string { return line(append(slices.Clone(least), field)...) }
		accepts := func(line string) {
			if _, err := parseRequest([]byte(line)); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
		refuses := func(line string) {
			if _, err := parseRequest([]byte(line)); !errors.Is(err, state.ErrInvalidArgument) {
				t.Errorf("%s: error %v", line, err)
			}
		}
		accepts(line(least...))
		for i := range least {
			refuses(line(slices.Delete(slices.Clone(least), i, i+1)...))
			refuses(with(least[i])) // twice
		}
		for name := range values {
			if slices.Contains(needs, name) {
				continue
			}
			for _, value := range values[name] {
				field := fmt.Sprintf("%q:%s", name, value)
				if !slices.Contains(takes, name) {
					refuses(with(field))
					continue
				}
				accepts(with(field))
				refuses(with(fmt.Sprintf("%q:%s", strings.ToUpper(name), value)))
				refuses(with(fmt.Sprintf("%q:%s,%[1]q:%s", name, value, value)))
			}
		}
		for _, name := range slices.Concat(needs, takes) {
			// Values of the wrong type; [] is as wrong for ops as being empty.
			for _, wrong := range []string{`null`, `[]`, `{}`, `["a"]`, `{"a":1}`, wrongScalar(name)} {
				var fields []string
				for _, other := range needs {
					if other != name {
						fields = append(fields, fmt.Sprintf("%q:%s", other, values[other][0]))
					}
				}
				refuses(line(append(fields, fmt.Sprintf("%q:%s", name, wrong))...))
			}
		}
	}
}

// wrongScalar is a boolean for a field that is no boolean, otherwise a string.
func wrongScalar(field string) string {
	switch field {
	case "idempotent", "retryable", "skippable", "ignore", "abandon", "tolerate", "failed_first", "ops":
		return `"true"`
	}
	return `true`
}

func TestTheSpecificationsExample(t *testing.T) {
	var want bytes.Buffer
	if err := json.Compact(&want, []byte(read(t, "testdata/example.json"))); err != nil {
		t.Fatal(err)
	}
	for _, db := range []string{memory, filepath.Join(t.TempDir(), "a.db")} {
		answers := succeed(t, read(t, "testdata/apply/example.jsonl"), "apply", "-tz", "Asia/Shanghai", "-db", db)
		if !slices.Contains(strings.Split(answers, "\n"), want.String()) {
			t.Errorf("on %s no answer is the example:\n%s", db, answers)
		}
	}
}

// refusedIn is the story in which TestTheOrderOfChecks sends requests with several
// errors: p runs, with a leaf a that failed and may be neither retried nor skipped, a
// running leaf r, a suspended subprocess s, a leaf b in it, and a leaf l that has
// reached its loop limit.
const refusedIn = `{"op":"create","biz":"b","task":"t","id":"p"}
{"op":"start","node":"p"}
{"op":"declare","node":"a","parent":"p","kind":"service_activity","retryable":false,"skippable":false,"new_version":"0000000000000000000000000000000a"}
{"op":"start","node":"a"}
{"op":"fail","node":"a"}
{"op":"declare","node":"r","parent":"p","kind":"service_activity"}
{"op":"start","node":"r"}
{"op":"declare","node":"s","parent":"p","kind":"subprocess"}
{"op":"declare","node":"b","parent":"s","kind":"service_activity"}
{"op":"suspend","node":"s"}
{"op":"declare","node":"l","parent":"p","kind":"service_activity","max_loops":1}
{"op":"start","node":"l"}
{"op":"finish","node":"l"}
{"op":"create","biz":"b","task":"done","id":"q"}
{"op":"declare","node":"x","parent":"q","kind":"service_activity","retryable":false,"max_loops":1}
{"op":"revoke","node":"q"}
{"op":"declare","node":"deep","parent":"s","kind":"subprocess"}
`

func TestTheOrderOfChecks(t *testing.T) {
	const stale = `"version":"0000000000000000000000000000000b"`
	cases := map[string]string{
		// Shape before all.
		`{"op":"start","node":"nobody","version":"x"}`:                                 "invalid_argument",
		`{"op":"start","node":"nobody","ignore":true}`:                                 "invalid_argument",
		`{"op":"declare","node":"a","parent":"nobody","kind":"pipeline"}`:              "invalid_argument",
		`{"op":"create","biz":"b","task":"t","id":"` + strings.Repeat("x", 129) + `"}`: "invalid_argument",
		`{"op":"reopen","biz":"b","task":"none","loop":0}`:                             "invalid_argument",
		// Unknown node before the rest.
		`{"op":"declare","node":"a","parent":"nobody","kind":"end_event"}`: "not_found",
		`{"op":"fail","node":"nobody","ignore":true,"retry_at":1}`:         "not_found",
		`{"op":"reopen","biz":"b","task":"none"}`:                          "not_found",
		// IDs and keys in use before kinds and states.
		`{"op":"declare","node":"a","parent":"r","kind":"end_event"}`: "exists",
		`{"op":"declare","node":"x","parent":"r","kind":"end_event"}`: "exists",
		`{"op":"declare","node":"a","parent":"q","kind":"end_event"}`: "exists",
		`{"op":"create","biz":"b","task":"t"}`:                        "exists",
		`{"op":"create","biz":"b","task":"new","id":"a"}`:             "exists",
		// Kind before version.
		`{"op":"fail","node":"p","retry_at":1,` + stale + `}`:               "invalid_argument",
		`{"op":"fail","node":"a","abandon":true,` + stale + `}`:             "invalid_argument",
		`{"op":"finish","node":"a","tolerate":true,` + stale + `}`:          "invalid_argument",
		`{"op":"finish","node":"a","loop":1,` + stale + `}`:                 "invalid_argument",
		`{"op":"fail","node":"a","ignore":true,"retry_at":1,` + stale + `}`: "invalid_argument",
		`{"op":"declare","parent":"r","kind":"end_event"}`:                  "invalid_argument",
		// Version before own state.
		`{"op":"start","node":"a",` + stale + `}`:       "version_mismatch",
		`{"op":"retry","node":"p",` + stale + `}`:       "version_mismatch",
		`{"op":"start","node":"p","loop":2}`:            "version_mismatch",
		`{"op":"reopen","biz":"b","task":"t","loop":2}`: "version_mismatch",
		// Own state, root or container, ancestors and children are one code,
		// and come before the flags and limits.
		`{"op":"retry","node":"r"}`:                        "invalid_transition",
		`{"op":"retry","node":"x"}`:                        "invalid_transition",
		`{"op":"loop","node":"p"}`:                         "invalid_transition",
		`{"op":"reset","node":"p"}`:                        "invalid_transition",
		`{"op":"reset","node":"r"}`:                        "invalid_transition",
		`{"op":"reopen","biz":"b","task":"t"}`:             "invalid_transition",
		`{"op":"skip","node":"p"}`:                         "invalid_transition",
		`{"op":"loop","node":"x"}`:                         "invalid_transition",
		`{"op":"start","node":"b"}`:                        "invalid_transition",
		`{"op":"finish","node":"p"}`:                       "invalid_transition",
		`{"op":"fail","node":"p"}`:                         "invalid_transition",
		`{"op":"resume","node":"r"}`:                       "invalid_transition",
		`{"op":"suspend","node":"s"}`:                      "invalid_transition",
		`{"op":"revoke","node":"l"}`:                       "invalid_transition",
		`{"op":"declare","parent":"q","kind":"end_event"}`: "invalid_transition",
		// Flags, then limits.
		`{"op":"retry","node":"a"}`: "not_retryable",
		`{"op":"reset","node":"a"}`: "not_retryable",
		`{"op":"reset","node":"l"}`: "loop_limit",
		`{"op":"skip","node":"a"}`:  "not_skippable",
		`{"op":"loop","node":"l"}`:  "loop_limit",
	}
	lines := slices.Sorted(maps.Keys(cases))
	for _, db := range []string{memory, filepath.Join(t.TempDir(), "a.db")} {
		for range 5 { // the grouping into commits differs from run to run
			in := refusedIn + strings.Join(lines, "\n")
			if db != memory {
				db = filepath.Join(t.TempDir(), "a.db")
			}
			answers := strings.Split(succeed(t, in, "apply", "-db", db), "\n")[strings.Count(refusedIn, "\n"):]
			for i, line := range lines {
				var got refused
				mustRead(t, []byte(answers[i]), &got)
				if got.OK || got.Code != cases[line] {
					t.Errorf("%s\non %s: %s\nwant %s", line, db, answers[i], cases[line])
				}
			}
		}
	}
}

func TestRefusalsNameTaskNodeAndState(t *testing.T) {
	in := refusedIn + `{"op":"start","node":"r"}`
	answers := strings.Split(strings.TrimSpace(succeed(t, in, "apply", "-db", memory)), "\n")
	last := answers[len(answers)-1]
	for _, part := range []string{`start node \"r\" (RUNNING)`, `task \"b\"/\"t\"`} {
		if !strings.Contains(last, part) {
			t.Errorf("%s does not say %s", last, part)
		}
	}
}
