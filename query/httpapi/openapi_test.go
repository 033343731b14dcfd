package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query/httpapi"
	reader "github.com/pipestatus/pipestatus/query/httpapi/client"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/wire"
)

// described is the description that a handler serves.
type described struct {
	OpenAPI    string
	Paths      map[string]map[string]json.RawMessage
	Components struct {
		PathItems map[string]map[string]json.RawMessage
		Responses map[string]json.RawMessage
		Schemas   map[string]any
	}
}

type operation struct {
	Parameters []struct{ Name, In string }
	Responses  map[string]struct {
		Ref     string `json:"$ref"`
		Content map[string]struct{ Schema any }
	}
}

func describe(t *testing.T, f *fixture) *described {
	t.Helper()
	w := f.get("/openapi.json")
	d := new(described)
	if err := json.Unmarshal(w.Body.Bytes(), d); err != nil || w.Code != 200 || !strings.HasPrefix(d.OpenAPI, "3.1.") {
		t.Fatalf("%d, %v, version %q", w.Code, err, d.OpenAPI)
	}
	return d
}

// item returns the part of the description at a path.
func (d *described) item(path string) map[string]json.RawMessage {
	item := d.Paths[path]
	if ref, ok := item["$ref"]; ok {
		var name string
		_ = json.Unmarshal(ref, &name) // an empty name has no item
		return d.Components.PathItems[strings.TrimPrefix(name, "#/components/pathItems/")]
	}
	return item
}

func methodsOf(item map[string]json.RawMessage) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(item)), func(name string) bool { return name == "parameters" })
}

func TestTheDescriptionCoversTheHandlersAnswers(t *testing.T) {
	f, _ := operable(t)
	d := describe(t, f)
	answered := f.handler.Paths()
	for path, methods := range answered {
		if got := methodsOf(d.item(path)); !slices.Equal(got, methods) {
			t.Errorf("%s answers %v, described are %v", path, methods, got)
		}
	}
	for path := range d.Paths {
		if answered[path] == nil {
			t.Errorf("%s is described and not answered", path)
		}
	}
	for path := range d.Paths {
		for _, method := range methodsOf(d.item(path)) {
			asked := strings.NewReplacer("{task_id}", "10", "{bk_biz_id}", "2").Replace(path)
			if asked == "/api/events" {
				continue // the request would not end
			}
			w := f.do(request(strings.ToUpper(method), asked, nil, "bk_username", "ann"))
			if w.Code == http.StatusNotFound || w.Code == http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d", method, path, w.Code)
			}
		}
	}
}

func TestAnswersAreAsDescribed(t *testing.T) {
	f, _ := operable(t)
	f.recordStory()
	f.record(engine.Fail("compile", "boom", engine.RetryAt(clock().Add(3600e9))))
	d := describe(t, f)
	asked := map[string]string{
		"bk_biz_id": "2", "task_id": "11", "node_id": "compile", "bk_username": "ann", "task_id_list": "[10,11,12]", "action": "pause", "with": "10",
		"with_ex_data": "true", "with_failed_node_info": "true", "with_auto_retry_status": "true", "include_children_status": "true",
	}
	for path := range d.Paths {
		for _, method := range methodsOf(d.item(path)) {
			var op operation
			if err := json.Unmarshal(d.item(path)[method], &op); err != nil {
				t.Fatal(path, err)
			}
			schema := op.Responses["200"].Content["application/json"].Schema
			if schema == nil || path == "/api/events" {
				continue
			}
			for _, task := range []string{"11", "10", "absent"} {
				for _, children := range []string{"true", "false"} {
					asked["task_id"], asked["include_children_status"] = task, children
					w := f.do(ask(method, path, asked))
					var answer any
					if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
						t.Fatal(path, err)
					}
					if w.Code != 200 {
						t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
					}
					for _, problem := range d.check(schema, answer, "") {
						t.Errorf("%s %s of task %s: %s", method, path, task, problem)
					}
				}
			}
		}
	}
	var refusal map[string]any
	if err := json.Unmarshal(f.get("/nowhere").Body.Bytes(), &refusal); err != nil {
		t.Fatal(err)
	}
	for _, problem := range d.check(map[string]any{"$ref": "#/components/schemas/Refusal"}, refusal, "") {
		t.Errorf("a refusal: %s", problem)
	}
}

// ask makes a request with parameters in path and query, or body.
func ask(method, path string, parameters map[string]string) *http.Request {
	var query []string
	inBody := make(map[string]any)
	for name, value := range parameters {
		if strings.Contains(path, "{"+name+"}") {
			path = strings.ReplaceAll(path, "{"+name+"}", value)
			continue
		}
		query = append(query, name, value)
		inBody[name] = value
	}
	if method == "get" {
		return request("GET", path, nil, query...)
	}
	body, _ := json.Marshal(inBody) // cannot fail for texts
	return postJSON(path, string(body))
}

// check reports the parts of a value that a schema does not describe. It knows
// enough of JSON Schema for this description.
func (d *described) check(schema, value any, at string) (problems []string) {
	s, _ := schema.(map[string]any)
	fail := func(format string, args ...any) {
		problems = append(problems, at+": "+fmt.Sprintf(format, args...))
	}
	if ref, ok := s["$ref"].(string); ok {
		target, ok := d.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")]
		if !ok {
			return []string{at + ": " + ref + " leads nowhere"}
		}
		return d.check(target, value, at)
	}
	for _, part := range listIn(s["allOf"]) {
		problems = append(problems, d.check(part, value, at)...)
	}
	if parts := listIn(s["anyOf"]); parts != nil {
		var all []string
		fits := slices.ContainsFunc(parts, func(part any) bool {
			found := d.check(part, value, at)
			all = append(all, found...)
			return len(found) == 0
		})
		if !fits {
			fail("fits none of %d: %v", len(parts), all)
		}
	}
	if want, ok := s["const"]; ok && !reflect.DeepEqual(want, value) {
		fail("is %v, not %v", value, want)
	}
	if choices := listIn(s["enum"]); choices != nil && !slices.Contains(choices, value) {
		fail("is %v, none of %v", value, choices)
	}
	if !hasType(s["type"], value) {
		fail("%v is no %v", value, s["type"])
	}
	switch value := value.(type) {
	case map[string]any:
		problems = append(problems, d.checkFields(s, value, at)...)
	case []any:
		for i, v := range value {
			problems = append(problems, d.check(s["items"], v, fmt.Sprintf("%s[%d]", at, i))...)
		}
	}
	return problems
}

func (d *described) checkFields(s map[string]any, value map[string]any, at string) (problems []string) {
	for _, name := range listIn(s["required"]) {
		if _, ok := value[name.(string)]; !ok {
			problems = append(problems, fmt.Sprintf("%s: has no %v", at, name))
		}
	}
	fields, described := s["properties"].(map[string]any)
	for name, v := range value {
		switch {
		case fields[name] != nil:
			problems = append(problems, d.check(fields[name], v, at+"."+name)...)
		case s["additionalProperties"] != nil:
			problems = append(problems, d.check(s["additionalProperties"], v, at+"."+name)...)
		case described && at != "": // the envelope is described in two parts
			problems = append(problems, at+": "+name+" is not described")
		}
	}
	return problems
}

func listIn(v any) []any { list, _ := v.([]any); return list }

func hasType(want, value any) bool {
	if want == nil {
		return true
	}
	if list := listIn(want); list != nil {
		return slices.ContainsFunc(list, func(w any) bool { return hasType(w, value) })
	}
	switch v := value.(type) {
	case nil:
		return want == "null"
	case bool:
		return want == "boolean"
	case string:
		return want == "string"
	case float64:
		return want == "number" || want == "integer" && v == float64(int64(v))
	case []any:
		return want == "array"
	}
	return want == "object"
}

func TestTheCheckOfTheDescriptionFindsErrors(t *testing.T) {
	f, _ := operable(t)
	d := describe(t, f)
	status := map[string]any{"$ref": "#/components/schemas/Status"}
	good := `{"retry":0,"name":"","finish_time":"","skip":false,"start_time":"","children":{},"state":"FAILED","version":"","id":"x","loop":1}`
	for body, fits := range map[string]bool{
		good: true,
		strings.Replace(good, `"FAILED"`, `"READY"`, 1):                                  false,
		strings.Replace(good, `"loop":1`, `"loop":"1"`, 1):                               false,
		strings.Replace(good, `"loop":1`, `"loop":1.5`, 1):                               false,
		strings.Replace(good, `,"loop":1`, ``, 1):                                        false,
		strings.Replace(good, `"loop":1`, `"loop":1,"more":1`, 1):                        false,
		strings.Replace(good, `"children":{}`, `"children":{"a":`+good+`}`, 1):           true,
		strings.Replace(good, `"children":{}`, `"children":{"a":{"state":"FAILED"}}`, 1): false,
	} {
		var value any
		if err := json.Unmarshal([]byte(body), &value); err != nil {
			t.Fatal(err)
		}
		if problems := d.check(status, value, "data"); (len(problems) == 0) != fits {
			t.Errorf("%s: %v", body, problems)
		}
	}
}

// The description covers the client's requests, so that clients can be written
// in other languages.
func TestTheDescriptionCoversTheClientsRequests(t *testing.T) {
	f := serve(t, &httpapi.Options{
		Authenticator:  httpapi.NoAuth{},
		AuthorizeStore: func(context.Context, httpapi.Identity, string) bool { return true },
	})
	f.recordExample()
	d := describe(t, f)
	var asked []*url.URL
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL)
		f.handler.ServeHTTP(w, r)
	}))
	defer server.Close()
	c, err := reader.New(server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	at, ctx := state.UnixInstant(1_600_000_000, 0), t.Context()
	span := store.Span{Since: at, Until: at}
	key := state.Key{Business: "2", Task: "10"}
	c.Load(ctx, store.ByNodeKey("2", "10", "k")) // not found, which is as good here
	c.Locate(ctx, store.ByNode(exampleActivity))
	c.List(ctx, store.ListQuery{
		Business: "2", Name: "n", Labels: state.LabelsOf(map[string]string{"a": "b"}), Shown: []state.State{state.Failed},
		Unfinished: true, HasFailures: true, OldestFirst: true, Recorded: span, Started: span, Finished: span, Limit: 5,
	})
	c.Transitions(ctx, key, 1, 5)
	c.Feed(ctx, store.Position{}, 5)
	paths := make(map[string]bool)
	for _, u := range asked {
		paths[u.Path] = true
		var op operation
		if err := json.Unmarshal(d.item(u.Path)["get"], &op); err != nil {
			t.Fatalf("%s: %v", u.Path, err)
		}
		for name := range u.Query() {
			if !slices.ContainsFunc(op.Parameters, func(p struct{ Name, In string }) bool { return p.Name == name && p.In == "query" }) {
				t.Errorf("%s: parameter %s is not described", u.Path, name)
			}
		}
	}
	if len(paths) < 5 {
		t.Errorf("the client asked %v", paths)
	}
	text := f.get("/openapi.json").Body.String()
	version := fmt.Sprintf(`"schema": {"type": "integer", "const": %d}`, wire.Version)
	if n := strings.Count(text, `{"name": "version", "in": "query"`); n < 6 || strings.Count(text, version) != n {
		t.Errorf("%d calls take a version, %d times it is %d", n, strings.Count(text, version), wire.Version)
	}
}
