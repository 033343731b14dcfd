package httpapi_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// dribble begins a request with a body that does not end.
func dribble(t *testing.T, addr, method, path string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", method, path)
	return c
}

func TestSlowBodiesDoNotBlockOthers(t *testing.T) {
	f := serve(t, &httpapi.Options{Authenticator: httpapi.NoAuth{}, MaxRequests: 2, ReadTimeout: time.Hour})
	f.recordExample()
	server := listen(t, f.handler)
	addr := server.Listener.Addr().String()
	for range 10 {
		for _, path := range []string{callPath, "/", "/api/tasks", "/nowhere"} {
			for _, method := range []string{"GET", "POST", "PUT"} {
				defer dribble(t, addr, method, path).Close()
			}
		}
	}
	resp, err := server.Client().Post(server.URL+callPath, "application/json", strings.NewReader(`{"bk_biz_id":"2","task_id":"10"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestABodyThatArrivesTooLateIsRefused(t *testing.T) {
	f := serve(t, &httpapi.Options{Authenticator: httpapi.NoAuth{}, ReadTimeout: 20 * time.Millisecond})
	f.recordExample()
	addr := listen(t, f.handler).Listener.Addr().String()
	for path, status := range map[string]string{callPath: "408", "/nowhere": "404", "/": "405"} {
		answer, err := io.ReadAll(dribble(t, addr, "POST", path))
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 "+status) {
			t.Errorf("%s: %v, %.1000s", path, err, answer)
		}
	}
}

// A body that arrived in time leaves no deadline for the stream that follows.
func TestAStreamOutlastsTheTimeForABody(t *testing.T) {
	f := serve(t, &httpapi.Options{Authenticator: httpapi.NoAuth{}, ReadTimeout: 50 * time.Millisecond, Heartbeat: 20 * time.Millisecond})
	f.recordExample()
	server := listen(t, f.handler)
	r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/api/events?bk_biz_id=2&task_id=10", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var beats int
	buf := make([]byte, 4096)
	for beats < 10 {
		n, err := resp.Body.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		beats += bytes.Count(buf[:n], []byte("still here"))
	}
}

// byName trusts the user name.
type byName struct{}

func (byName) Authenticate(_ *http.Request, g httpapi.Credentials) (httpapi.Identity, error) {
	return httpapi.Identity{User: g.Username}, nil
}

func TestOneClientLeavesRoomForOthers(t *testing.T) {
	f := serve(t, nil)
	f.recordExample()
	inside, leave := make(chan struct{}), make(chan struct{})
	reader := &flaky{Reader: f.engine, load: func(context.Context) { inside <- struct{}{}; <-leave }}
	f.handler = handlerOn(reader, &httpapi.Options{Authenticator: byName{}, MaxRequests: 4, MaxStreams: 4})
	ask := func(user string) int {
		return f.get(callPath, "bk_username", user, "bk_biz_id", "2", "task_id", "10").Code
	}
	codes := make(chan int, 3)
	for range 2 {
		go func() { codes <- ask("ann") }()
		<-inside
	}
	if code := ask("ann"); code != 429 {
		t.Errorf("a third of the same client: %d", code)
	}
	go func() { codes <- ask("bob") }()
	<-inside
	close(leave)
	for range 3 {
		if code := <-codes; code != 200 {
			t.Errorf("status %d", code)
		}
	}
}

// A slow reader, or memory used up by unread answers, only delays the same
// client's trees.
func TestOneClientsTreesLeaveRoomForOthers(t *testing.T) {
	f := serve(t, nil)
	f.recordExample()
	leave := make(chan struct{})
	inside := make(chan struct{}, 100)
	reader := &flaky{Reader: f.engine, load: func(context.Context) {
		inside <- struct{}{}
		<-leave
	}}
	f.handler = handlerOn(reader, &httpapi.Options{Authenticator: byName{}})
	ask := func(user string) int {
		return f.get(callPath, "bk_username", user, "bk_biz_id", "2", "task_id", "10").Code
	}
	codes := make(chan int, 100)
	for range 40 {
		go func() { codes <- ask("ann") }()
	}
	for range 8 {
		<-inside
	}
	go func() { codes <- ask("bob") }()
	<-inside // bob's request, since ann has used her share
	select {
	case <-inside:
		t.Error("a client reads more trees at once than its share")
	default:
	}
	close(leave)
	for range 41 {
		if code := <-codes; code != 200 {
			t.Errorf("status %d", code)
		}
	}
}

func TestTreesReadAtOnceAreBounded(t *testing.T) {
	f := serve(t, nil)
	f.recordExample()
	var now, most atomic.Int64
	enough := make(chan struct{}, 100)
	leave := make(chan struct{})
	reader := &flaky{Reader: f.engine, load: func(context.Context) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		enough <- struct{}{}
		<-leave
		now.Add(-1)
	}}
	f.handler = handlerOn(reader, &httpapi.Options{Authenticator: byName{}})
	var group sync.WaitGroup
	for i := range 40 {
		group.Go(func() {
			if w := f.get(callPath, "bk_username", fmt.Sprint(i%4), "bk_biz_id", "2", "task_id", "10"); w.Code != 200 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	for range 16 {
		<-enough
	}
	close(leave)
	group.Wait()
	if most.Load() > 16 {
		t.Errorf("%d trees were read at once", most.Load())
	}
}

func TestATaskThatIsNamedTwiceIsAnsweredOnce(t *testing.T) {
	f := serve(t, nil)
	f.recordExample()
	reader := &flaky{Reader: f.engine}
	f.handler = handlerOn(reader, nil)
	list := strings.TrimSuffix(strings.Repeat(`"10",10,`, 25), ",")
	w := f.do(postJSON(httpapi.DefaultPrefix+"/get_tasks_status", `{"bk_biz_id":2,"task_id_list":[`+list+`],"include_children_status":true}`))
	if n := strings.Count(w.Body.String(), `"status":{`); w.Code != 200 || n != 1 || reader.loads.Load() != 1 {
		t.Errorf("%d: %d answers, %d loads", w.Code, n, reader.loads.Load())
	}
}

// pieces is a client that keeps nothing and records the largest write.
type pieces struct {
	header  http.Header
	status  int
	bytes   int
	largest int
}

func (p *pieces) Header() http.Header    { return p.header }
func (p *pieces) WriteHeader(status int) { p.status = status }
func (p *pieces) Flush()                 {}
func (p *pieces) Write(b []byte) (int, error) {
	p.bytes += len(b)
	p.largest = max(p.largest, len(b))
	return len(b), nil
}

// recordHeavy records a task with long answers of every kind: names, error
// texts, and attempts of one node and of many.
func recordHeavy(f *fixture, task string) {
	f.Helper()
	text := strings.Repeat("x", state.MaxErrorBytes)
	name := strings.Repeat("n", state.MaxNameBytes)
	root := "heavy-" + task
	ops := []engine.Op{engine.Create("2", task, engine.ID(root), engine.Name(name)), engine.Start(root)}
	for i := range 200 {
		id := fmt.Sprintf("%s-%d", root, i)
		ops = append(ops, engine.Declare(root, state.ServiceActivity, engine.ID(id), engine.Name(name)),
			engine.Start(id), engine.Fail(id, text), engine.Retry(id), engine.Start(id), engine.Fail(id, text))
	}
	for range 150 {
		ops = append(ops, engine.Retry(root+"-0"), engine.Start(root+"-0"), engine.Fail(root+"-0", text))
	}
	for len(ops) > 0 {
		n := min(len(ops), 500)
		if _, err := f.engine.Record(f.Context(), ops[:n]...); err != nil {
			f.Fatal(err)
		}
		ops = ops[n:]
	}
}

func TestLongAnswersAreMadeInPieces(t *testing.T) {
	f := serve(t, nil)
	recordHeavy(f, "10")
	prefix := httpapi.DefaultPrefix
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for name, r := range map[string]*http.Request{
		"status":   request("GET", callPath, nil, "bk_biz_id", "2", "task_id", "10", "with_ex_data", "true"),
		"statuses": postJSON(prefix+"/get_tasks_status", `{"bk_biz_id":2,"task_id_list":[10],"include_children_status":true}`),
		"detail":   request("GET", prefix+"/get_task_node_detail", nil, "bk_biz_id", "2", "task_id", "10", "node_id", "heavy-10-0"),
		"task":     request("GET", "/api/task", nil, "bk_biz_id", "2", "task_id", "10"),
		"as of":    request("GET", "/api/task", nil, "bk_biz_id", "2", "task_id", "10", "as_of", "9999-01-01T00:00:00Z"),
		"all":      request("GET", "/api/status", nil, "bk_biz_id", "2", "task_id", "10"),
		"history":  request("GET", "/api/history", nil, "bk_biz_id", "2", "task_id", "10", "node_id", "heavy-10-0"),
		"timeline": request("GET", "/api/timeline", nil, "bk_biz_id", "2", "task_id", "10"),
		"events":   request("GET", "/api/events", nil, "bk_biz_id", "2", "task_id", "10").WithContext(ctx),
	} {
		p := &pieces{header: make(http.Header)}
		if name == "events" {
			time.AfterFunc(time.Second, f.handler.Shutdown)
		}
		f.handler.ServeHTTP(p, r)
		// A piece, and at most one text by which its last value exceeds it.
		if p.status != 200 || p.bytes < 150_000 || p.largest > 100_000 {
			t.Errorf("%s: status %d, %d bytes, the largest piece has %d", name, p.status, p.bytes, p.largest)
		}
	}
}

// broken fails to load the second of two tasks.
type broken struct{ store.Reader }

func (b broken) Load(ctx context.Context, ref store.Ref) (store.Snapshot, error) {
	if ref.Key.Task == "11" {
		return store.Snapshot{}, store.ErrFailed
	}
	return b.Reader.Load(ctx, ref)
}

func TestATruncatedAnswerDoesNotLookComplete(t *testing.T) {
	f := serve(t, nil)
	recordHeavy(f, "10")
	f.recordStory()
	server := listen(t, handlerOn(broken{f.engine}, nil))
	body := `{"bk_biz_id":2,"task_id_list":[10,11],"include_children_status":true}`
	resp, err := server.Client().Post(server.URL+httpapi.DefaultPrefix+"/get_tasks_status", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); resp.StatusCode != 200 || err == nil {
		t.Errorf("status %d, and %d bytes that end well", resp.StatusCode, len(got))
	}
}

func TestALongAnswerIsTheSameInPiecesAndCompressed(t *testing.T) {
	f := serve(t, nil)
	recordHeavy(f, "10")
	want, err := query.New(f.engine, &query.Options{Location: zone, Now: clock}).AppendJSON(t.Context(), nil, "2", "10")
	if err != nil {
		t.Fatal(err)
	}
	server := listen(t, f.handler)
	for _, compress := range []bool{true, false} {
		client := &http.Client{Transport: &http.Transport{DisableCompression: !compress}}
		defer client.CloseIdleConnections()
		resp, err := client.Get(server.URL + callPath + "?bk_biz_id=2&task_id=10")
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || inProcess(t, got) != string(want) || resp.Uncompressed != compress {
			t.Errorf("compressed %v: %v, %d bytes, want %d", resp.Uncompressed, err, len(got), len(want))
		}
	}
}

func TestStreamsOfOneClientHoldABoundedAmount(t *testing.T) {
	f := serve(t, nil)
	for _, task := range []string{"a", "b", "c"} {
		recordWide(f, "2", task, 1000)
	}
	f.handler = handlerOn(f.engine, &httpapi.Options{Authenticator: byName{}, MaxMemory: 1200 << 10})
	url := listen(t, f.handler).URL
	open := func(user, task string) int {
		r, err := http.NewRequestWithContext(t.Context(), "GET", url+"/api/events?bk_biz_id=2&task_id="+task+"&bk_username="+user, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp.StatusCode
	}
	for _, tt := range []struct {
		user, task string
		status     int
	}{{"ann", "a", 200}, {"ann", "b", 200}, {"ann", "a", 200}, {"ann", "c", 429}, {"bob", "c", 200}} {
		if got := open(tt.user, tt.task); got != tt.status {
			t.Errorf("%s, task %s: %d, want %d", tt.user, tt.task, got, tt.status)
		}
	}
}
