package runner

import (
	"strings"
	"testing"
)

func TestMalformedJSONIsReportedWithItsLine(t *testing.T) {
	for data, want := range map[string]string{
		"":                                       "line 1: the JSON is not complete",
		"{\n\"id\": \"p\",\n":                    "line 3: the JSON is not complete",
		"{\n\"id\": p}":                          "line 2: invalid character",
		"{\n\n\"id\": 7}":                        "line 3: id is a JSON number",
		"{\"id\": \"p\"} {}":                     "line 1: something follows the definition",
		`{"activities": {"a": {}, "a": {}}}`:     "activities.a: stands there twice",
		`{"flows":{"f":{"id":"x","id":"f"}}}`:    "flows.f.id: stands there twice",
		`{"start_event": {"outgoing": {"a":1}}}`: "neither the ID of a flow nor a list",
	} {
		if got := strings.Join(problemsOf(t, []byte(data)), "\n"); !strings.Contains(got, want) {
			t.Errorf("%s: problems are %q, want %q", data, got, want)
		}
	}
}

func TestADefinitionMayHaveNullsAndFieldsOfOtherPrograms(t *testing.T) {
	def, err := parseDefinition([]byte(`{
		"id": "p", "name": null, "line": [], "location": [{"id": "s", "x": 1}], "data": null,
		"start_event": {"id": "s", "name": null, "type": "EmptyStartEvent", "incoming": null, "outgoing": "f"},
		"end_event": {"id": "e", "name": null, "type": "EmptyEndEvent", "incoming": "g", "outgoing": null},
		"activities": {"a": {
			"id": "a", "name": null, "type": "ServiceActivity", "incoming": "f", "outgoing": ["g"],
			"timeout": null, "optional": false, "retryable": null, "auto_retry": null,
			"component": {"code": "shell", "global_outputs": {}, "inputs": {"command": {"type": "plain", "value": "true"}}}
		}},
		"gateways": null,
		"flows": {
			"f": {"id": "f", "source": "s", "target": "a", "is_default": false},
			"g": {"id": "g", "source": "a", "target": "e", "is_default": false}
		}
	}`), false)
	if err != nil {
		t.Fatal(err)
	}
	if a := def.nodes["a"]; line(t, a) != "true" || a.noRetry || a.timeout != 0 || a.next[0].to != def.root.end {
		t.Errorf("the activity is %+v", a)
	}
}
