package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const callPath = httpapi.DefaultPrefix + "/get_task_status/"

var (
	zone  = time.FixedZone("", 8*3600)
	clock = func() time.Time { return time.Date(2018, 4, 26, 16, 9, 0, 0, zone) }
)

// fixture is an engine on a store in memory behind a handler.
type fixture struct {
	*testing.T
	engine  *engine.Engine
	handler *httpapi.Handler
}

// serve makes a handler; o may be nil for one that admits every caller.
func serve(t *testing.T, o *httpapi.Options) *fixture {
	t.Helper()
	e, err := engine.Open(t.Context(), store.NewMemory(), &engine.Options{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return &fixture{t, e, handlerOn(e, o)}
}

func handlerOn(r store.Reader, o *httpapi.Options) *httpapi.Handler {
	if o == nil {
		o = &httpapi.Options{Authenticator: httpapi.NoAuth{}}
	}
	if o.Query == nil {
		o.Query = &query.Options{Location: zone, Now: clock}
	}
	if o.Key == nil {
		o.Key = []byte(testKey)
	}
	return httpapi.New(r, o)
}

const testKey = "a key that tests know"

func (f *fixture) record(ops ...engine.Op) {
	f.Helper()
	for _, op := range ops {
		if _, err := f.engine.Record(f.Context(), op); err != nil {
			f.Fatal(err)
		}
	}
}

// The task of the specification's example: a start event that finished and an
// activity that failed.
const (
	exampleRoot     = "5a1622f9f43e3429acb604e18dbd100a"
	exampleStart    = "62d4784e20483f1585149ce90ed954c9"
	exampleActivity = "e8b128dff46637368b9b1bd921abc14e"
)

func (f *fixture) recordExample() {
	f.Helper()
	at := engine.At(time.Unix(1524730114, 0))
	later := engine.At(time.Unix(1524730126, 0))
	f.record(
		engine.Create("2", "10", engine.ID(exampleRoot), at),
		engine.Start(exampleRoot, at),
		engine.Declare(exampleRoot, state.StartEvent, engine.ID(exampleStart), engine.NewVersion("7447cc2801b630f497768493c02fb488"), at),
		engine.Start(exampleStart, at),
		engine.Finish(exampleStart, at),
		engine.Declare(exampleRoot, state.ServiceActivity, engine.ID(exampleActivity), engine.NewVersion("914d35fe7d143c2186e6d3532870b37d"), at),
		engine.Start(exampleActivity, at),
		engine.Fail(exampleActivity, "<b>no route</b> & more", later),
	)
}

// recordFlow adds a labeled task that waits for a person, whose nodes have keys
// and edges, one of which leads back.
func (f *fixture) recordFlow() {
	f.Helper()
	version := func(n int) engine.Option { return engine.NewVersion(fmt.Sprintf("%032x", n)) }
	at, in := engine.At(time.Unix(1524730130, 0)), engine.In("2", "12")
	f.record(
		engine.Create("2", "12", engine.ID("root-12"), engine.Labels(map[string]string{"env": "prod", "<a>": ""}), at),
		engine.Start("", in, at),
		engine.Declare("", state.ServiceActivity, engine.ID("n1"), engine.Key("build"), version(1), in, at),
		engine.Declare("", state.ServiceActivity, engine.ID("n2"), engine.Key("test"), engine.After("build"), version(2), in, at),
		engine.Declare("", state.ServiceActivity, engine.ID("n3"), engine.Key("ship"), engine.After("build", "test"), version(3), in, at),
		engine.Start("build", in, at), engine.Finish("build", in, at),
		engine.Start("test", in, engine.From("build"), at), engine.Finish("test", in, at),
		engine.Loop("build", in, engine.From("test"), version(4), at),
		engine.Suspend("ship", in, engine.Note("waits for QA"), at),
	)
}

// recordStory adds a task with a retry, a skip and a loop.
func (f *fixture) recordStory() {
	f.Helper()
	version := func(n int) string { return fmt.Sprintf("%032x", n) }
	at := func(sec int64) engine.Option { return engine.At(time.Unix(1524730120+sec, 0)) }
	f.record(
		engine.Create("2", "11", engine.ID("root-11"), engine.Name("Deploy"), at(0)),
		engine.Start("root-11", at(1)),
		engine.Declare("root-11", state.Subprocess, engine.ID("sub"), engine.Name("Build"), engine.NewVersion(version(1)), at(1)),
		engine.Start("sub", at(2)),
		engine.Declare("sub", state.ServiceActivity, engine.ID("compile"), engine.Name("compile"), engine.NewVersion(version(2)), at(2)),
		engine.Start("compile", at(3)),
		engine.Fail("compile", "exit 1", at(5)),
		engine.Retry("compile", engine.NewVersion(version(3)), at(6), engine.Actor("ann")),
		engine.Start("compile", at(6)),
		engine.Fail("compile", "exit 2", at(9)),
		engine.Skip("compile", engine.NewVersion(version(4)), at(10), engine.Actor("bob")),
		engine.Loop("compile", engine.NewVersion(version(5)), at(12)),
	)
}

// get is a request without body.
func (f *fixture) get(path string, query ...string) *httptest.ResponseRecorder {
	f.Helper()
	return f.do(request(http.MethodGet, path, nil, query...))
}

func (f *fixture) do(r *http.Request) *httptest.ResponseRecorder {
	f.Helper()
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r)
	return w
}

// request makes a request with query parameters given as name, value, name,
// value.
func request(method, path string, body io.Reader, query ...string) *http.Request {
	values := make(url.Values)
	for i := 0; i < len(query); i += 2 {
		values.Add(query[i], query[i+1])
	}
	if len(values) > 0 {
		path += "?" + values.Encode()
	}
	r := httptest.NewRequestWithContext(context.Background(), method, path, body)
	r.Host = "localhost"
	r.Header.Set("X-Bkapi-Request-Id", "asked-by-a-test")
	r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	return r
}

func post(path, contentType, body string) *http.Request {
	r := request(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	return r
}

func postJSON(path, body string) *http.Request { return post(path, "application/json", body) }

// refusal returns the message of an answer, which must be the envelope without
// data.
func refusal(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	message, _ := refused(t, w)
	return message
}

// refused returns the message and the code of a refusal.
func refused(t *testing.T, w *httptest.ResponseRecorder) (message string, code int) {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &fields); err != nil {
		t.Fatalf("the answer %q is no JSON: %v", w.Body, err)
	}
	message, _ = fields["message"].(string)
	number, _ := fields["code"].(float64)
	data, given := fields["data"]
	if fields["result"] != false || message == "" || number == 0 || !given || data != nil || !named(fields) || len(fields) != 6 {
		t.Fatalf("the answer %s is no refusal", w.Body)
	}
	return message, int(number)
}

// named reports whether an envelope has the ID of its request.
func named(fields map[string]any) bool {
	request, _ := fields["request_id"].(string)
	trace, _ := fields["trace_id"].(string)
	return request != "" && trace != ""
}

// names are the fields that differ from answer to answer.
var names = regexp.MustCompile(`"(request_id|trace_id|position)":"[^"]*"`)

// plain returns an answer without the names.
func plain(body []byte) []byte { return names.ReplaceAll(body, []byte(`"$1":""`)) }

// inProcess returns the answer of a call without HTTP.
func inProcess(t *testing.T, body []byte) string {
	t.Helper()
	head, ok := bytes.CutSuffix(plain(body), []byte(`,"code":0,"message":"","request_id":"","trace_id":""}`))
	if !ok {
		t.Fatalf("the answer %s has no envelope", body)
	}
	return string(head) + "}"
}

// golden compares JSON, indented, with a file.
func golden(t *testing.T, name string, body []byte) {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, plain(body), "", "  "); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	out.WriteByte('\n')
	file := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
