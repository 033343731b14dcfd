package httpapi_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// listen serves over a real connection.
func listen(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server
}

// flaky is a reader that can be made to fail, panic, wait and count.
type flaky struct {
	store.Reader
	load  func(context.Context)
	err   error
	loads atomic.Int64
}

func (r *flaky) Load(ctx context.Context, ref store.Ref) (store.Snapshot, error) {
	r.loads.Add(1)
	if r.load != nil {
		r.load(ctx)
	}
	if r.err != nil {
		return store.Snapshot{}, r.err
	}
	return r.Reader.Load(ctx, ref)
}

func TestAnUnchangedTaskIsNotSentAgain(t *testing.T) {
	f := serve(t, nil)
	f.recordExample()
	reader := &flaky{Reader: f.engine}
	f.handler = handlerOn(reader, nil)
	for _, target := range []string{"10", exampleActivity} {
		for _, path := range []string{callPath, "/api/task"} {
			ask := func(tag string) *httptest.ResponseRecorder {
				r := request("GET", path, nil, "bk_biz_id", "2", "task_id", target)
				r.Header.Set("If-None-Match", tag)
				return f.do(r)
			}
			tag := ask("").Header().Get("ETag")
			if tag == "" {
				t.Fatalf("%s has no tag", path)
			}
			loads := reader.loads.Load()
			for _, list := range []string{tag, strings.TrimPrefix(tag, "W/"), `"other", ` + tag, "*"} {
				if w := ask(list); w.Code != 304 || w.Body.Len() > 0 || w.Header().Get("ETag") != tag {
					t.Errorf("%s, If-None-Match %s: %d %s", path, list, w.Code, w.Body)
				}
			}
			if n := reader.loads.Load() - loads; n != 0 {
				t.Errorf("%s: %d trees loaded to say that nothing changed", path, n)
			}
			f.record(engine.Retry(exampleActivity), engine.Start(exampleActivity), engine.Fail(exampleActivity, "again"))
			if w := ask(tag); w.Code != 200 || w.Header().Get("ETag") == tag {
				t.Errorf("%s after a change: %d, tag %s", path, w.Code, w.Header().Get("ETag"))
			}
		}
	}
	r := request("GET", callPath, nil, "bk_biz_id", "2", "task_id", "absent")
	r.Header.Set("If-None-Match", "*")
	if w := f.do(r); w.Code != 200 || refusal(t, w) == "" {
		t.Errorf("absent: %d", w.Code)
	}
}

func TestEachRepresentationHasItsOwnTag(t *testing.T) {
	f := serve(t, nil)
	f.recordExample()
	tags := make(map[string]string)
	note := func(what, encoding string) {
		r := request("GET", callPath, nil, "bk_biz_id", "2", "task_id", "10")
		r.Header.Set("Accept-Encoding", encoding)
		tag := f.do(r).Header().Get("ETag")
		if tag == "" || tags[tag] != "" {
			t.Errorf("%s has the tag %q, as has %s", what, tag, tags[tag])
		}
		tags[tag] = what
	}
	note("plain", "")
	note("gzip", "gzip")
	f.handler = handlerOn(f.engine, &httpapi.Options{Authenticator: httpapi.NoAuth{}, Query: &query.Options{Location: time.UTC}})
	note("another zone", "")
	f.handler = handlerOn(f.engine, &httpapi.Options{Authenticator: httpapi.NoAuth{}, Query: &query.Options{Fields: query.FieldElapsedTime}})
	if tag := f.get(callPath, "bk_biz_id", "2", "task_id", "10").Header().Get("ETag"); tag != "" {
		t.Errorf("an answer that depends on the time has the tag %q", tag)
	}
}

func TestHEADIsGETWithoutBody(t *testing.T) {
	f := serve(t, nil)
	f.recordExample()
	server := listen(t, f.handler)
	// By default the client only asks for compression in a GET.
	server.Client().Transport.(*http.Transport).DisableCompression = true
	for _, path := range []string{callPath + "?bk_biz_id=2&task_id=10", "/", "/api/tasks", callPath, "/nowhere", "/api/events?bk_biz_id=2&task_id=absent"} {
		get, err := server.Client().Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		get.Body.Close()
		head, err := server.Client().Head(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(head.Body)
		head.Body.Close()
		for _, name := range []string{"Date", "X-Bkapi-Request-Id"} {
			get.Header.Del(name)
			head.Header.Del(name)
		}
		if head.StatusCode != get.StatusCode || len(body) > 0 || fmt.Sprint(head.Header) != fmt.Sprint(get.Header) {
			t.Errorf("%s:\nHEAD %d %v\nGET  %d %v", path, head.StatusCode, head.Header, get.StatusCode, get.Header)
		}
	}
}

func TestLargeAnswersAreCompressed(t *testing.T) {
	f := serve(t, nil)
	recordWide(f, "2", "10", 20)
	plain := f.get(callPath, "bk_biz_id", "2", "task_id", "10")
	for encoding, compressed := range map[string]bool{
		"": false, "gzip": true, "br, gzip;q=0.5": true, "*": true, "gzip;q=0": false, "gzip; q=0.0": false, "br": false, "identity": false, "gzip;q=x": false,
	} {
		r := request("GET", callPath, nil, "bk_biz_id", "2", "task_id", "10")
		r.Header.Set("Accept-Encoding", encoding)
		w := f.do(r)
		body := w.Body.Bytes()
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != compressed {
			t.Errorf("%q: compressed %v", encoding, got)
			continue
		}
		if compressed {
			z, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if body, err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(body, plain.Body.Bytes()) || w.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: %s", encoding, body)
		}
	}
	r := request("GET", callPath, nil, "bk_biz_id", "2", "task_id", "wide-10-1")
	r.Header.Set("Accept-Encoding", "gzip")
	if w := f.do(r); w.Header().Get("Content-Encoding") != "" {
		t.Error("a small answer is compressed")
	}
}

func TestEveryAnswerHasTheSafeHeaders(t *testing.T) {
	f := serve(t, nil)
	f.recordExample()
	for _, path := range []string{callPath + "?bk_biz_id=2&task_id=10", callPath, "/", "/api/tasks", "/nowhere"} {
		header := f.get(path).Header()
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
			"Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := header.Get(name); got != want {
				t.Errorf("%s: %s %q", path, name, got)
			}
		}
		policy := header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", path, policy)
		}
		if header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s is open to other origins", path)
		}
		if path != "/" && header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: Cache-Control %q", path, header.Get("Cache-Control"))
		}
	}
}

func TestMethodsAndPathsThatAreNotAnswered(t *testing.T) {
	f := serve(t, nil)
	for _, tt := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"PUT", callPath, 405, "GET, HEAD, POST"},
		{"OPTIONS", callPath, 405, "GET, HEAD, POST"},
		{"GET", httpapi.DefaultPrefix + "/get_tasks_status/", 405, "POST"},
		{"POST", "/api/tasks", 405, "GET, HEAD"},
		{"POST", "/", 405, "GET, HEAD"},
		{"GET", "/api", 404, ""},
		{"GET", httpapi.DefaultPrefix, 404, ""},
		{"GET", callPath + "x", 404, ""},
	} {
		w := f.do(request(tt.method, tt.path, nil))
		if refusal(t, w); w.Code != tt.status || w.Header().Get("Allow") != tt.allow {
			t.Errorf("%s %s: %d, Allow %q", tt.method, tt.path, w.Code, w.Header().Get("Allow"))
		}
	}
}

func TestBodiesAreBoundedAndOfKnownTypes(t *testing.T) {
	f := serve(t, &httpapi.Options{Authenticator: httpapi.NoAuth{}, MaxBody: 100})
	if w := f.do(postJSON(callPath, `{"x":"`+strings.Repeat("x", 100)+`"}`)); w.Code != 413 || refusal(t, w) != "the body has more than 100 bytes" {
		t.Errorf("a body too long: %d %s", w.Code, w.Body)
	}
	for _, kind := range []string{"text/plain", "multipart/form-data; boundary=x", "application/json; charset", ";"} {
		if w := f.do(post(callPath, kind, "x")); w.Code != 415 {
			t.Errorf("type %q: %d %s", kind, w.Code, w.Body)
		}
	}
}

func TestRequestsAtOnceAreBounded(t *testing.T) {
	f := serve(t, nil)
	f.recordExample()
	inside, leave := make(chan struct{}), make(chan struct{})
	reader := &flaky{Reader: f.engine, load: func(context.Context) { inside <- struct{}{}; <-leave }}
	f.handler = handlerOn(reader, &httpapi.Options{Authenticator: httpapi.NoAuth{}, MaxRequests: 1})
	first := make(chan int)
	go func() { first <- f.get(callPath, "bk_biz_id", "2", "task_id", "10").Code }()
	<-inside
	if w := f.get(callPath, "bk_biz_id", "2", "task_id", "10"); w.Code != 429 || w.Header().Get("Retry-After") == "" || refusal(t, w) == "" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	close(leave)
	if code := <-first; code != 200 {
		t.Errorf("the first: %d", code)
	}
	go func() { <-inside }()
	if w := f.get(callPath, "bk_biz_id", "2", "task_id", "10"); w.Code != 200 {
		t.Errorf("afterwards: %d %s", w.Code, w.Body)
	}
}

// blockingClock blocks every caller that reads the time, in the middle of an
// answer.
type blockingClock struct{ asked, answer chan struct{} }

func (c *blockingClock) now() time.Time {
	c.asked <- struct{}{}
	<-c.answer
	return clock()
}

func TestLargeAnswersAtOnceAreBounded(t *testing.T) {
	f := serve(t, nil)
	f.recordExample()
	recordWide(f, "2", "wide", 1001)
	c := &blockingClock{make(chan struct{}), make(chan struct{})}
	f.handler = handlerOn(f.engine, &httpapi.Options{
		Authenticator: httpapi.NoAuth{}, MaxMemory: 9 << 20, WriteTimeout: 20 * time.Millisecond,
		Query: &query.Options{Location: zone, Now: c.now, Fields: query.FieldElapsedTime},
	})
	first := make(chan int)
	go func() { first <- f.get(callPath, "bk_biz_id", "2", "task_id", "wide").Code }()
	<-c.asked
	w := f.get(callPath, "bk_biz_id", "2", "task_id", "wide")
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || refusal(t, w) == "" {
		t.Errorf("a second large one: %d %s", w.Code, w.Body)
	}
	small := make(chan int)
	go func() { small <- f.get(callPath, "bk_biz_id", "2", "task_id", "10").Code }()
	<-c.asked // so a small one has its turn
	close(c.answer)
	if a, b := <-first, <-small; a != 200 || b != 200 {
		t.Errorf("the first %d, the small one %d", a, b)
	}
}

// recordWide records a running task with so many nodes.
func recordWide(f *fixture, business, task string, nodes int) {
	f.Helper()
	root := "wide-" + task
	ops := []engine.Op{engine.Create(business, task, engine.ID(root), engine.Name("Wide")), engine.Start(root)}
	for i := 1; i < nodes; i++ {
		ops = append(ops, engine.Declare(root, state.ServiceActivity, engine.ID(fmt.Sprintf("%s-%d", root, i))))
	}
	if _, err := f.engine.Record(f.Context(), ops...); err != nil {
		f.Fatal(err)
	}
}

func TestAPanicCostsOneRequest(t *testing.T) {
	var log bytes.Buffer
	f := serve(t, nil)
	f.recordExample()
	var none *flaky
	reader := &flaky{Reader: f.engine, load: func(context.Context) { none.loads.Add(1) }}
	f.handler = handlerOn(reader, &httpapi.Options{Authenticator: httpapi.NoAuth{}, Logger: slog.New(slog.NewTextHandler(&log, nil)), MaxRequests: 1})
	for range 3 {
		w := f.get(callPath, "bk_biz_id", "2", "task_id", "10")
		if m := refusal(t, w); w.Code != 500 || m != "internal error" {
			t.Errorf("%d %q", w.Code, m)
		}
	}
	if !strings.Contains(log.String(), "transport_test.go") {
		t.Errorf("no stack in the log: %s", log.String())
	}
	reader.load = nil
	if w := f.get(callPath, "bk_biz_id", "2", "task_id", "10"); w.Code != 200 {
		t.Errorf("afterwards: %d %s", w.Code, w.Body)
	}
}

func TestErrorsOfTheStoreAreServerErrors(t *testing.T) {
	f := serve(t, nil)
	for _, tt := range []struct {
		err    error
		status int
	}{
		{store.ErrClosed, 503},
		{fmt.Errorf("bolt: %w: /var/lib/x", store.ErrFailed), 503},
		{fmt.Errorf("bolt: %w: /var/lib/x", store.ErrCorrupt), 500},
		{errors.New("/var/lib/x"), 500},
	} {
		f.handler = handlerOn(&flaky{Reader: f.engine, err: tt.err}, nil)
		w := f.get(callPath, "bk_biz_id", "2", "task_id", "10")
		if m := refusal(t, w); w.Code != tt.status || strings.Contains(m, "/var") || (w.Header().Get("Retry-After") != "") != (tt.status == 503) {
			t.Errorf("%v: %d %q", tt.err, w.Code, m)
		}
	}
}

func TestAClientThatLeftIsNotAnswered(t *testing.T) {
	var log bytes.Buffer
	f := serve(t, nil)
	f.handler = handlerOn(f.engine, &httpapi.Options{Authenticator: httpapi.NoAuth{}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := f.do(request("GET", callPath, nil, "bk_biz_id", "2", "task_id", "10").WithContext(ctx))
	if w.Body.Len() > 0 || !strings.Contains(log.String(), "status=499") {
		t.Errorf("%s, log %s", w.Body, log.String())
	}
}
