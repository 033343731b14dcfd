package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/state"
)

func TestAStreamHasHeartbeatsThatAskForPermissionAgain(t *testing.T) {
	var revoked atomic.Bool
	f := serve(t, &httpapi.Options{
		Authenticator: httpapi.NoAuth{}, Heartbeat: time.Millisecond,
		Authorize: func(context.Context, httpapi.Identity, string) bool { return !revoked.Load() },
	})
	f.recordExample()
	server := listen(t, f.handler)
	s := subscribe(t, server.URL, "2", "10", "")
	s.must(t, "snapshot")
	for range 3 {
		if e, err := s.next(); err != nil || e.comment == "" {
			t.Fatalf("%+v, %v", e, err)
		}
	}
	revoked.Store(true)
	for {
		if _, err := s.next(); err != nil {
			break
		}
	}
}

// verdicts is an authenticator whose answer can be changed.
type verdicts struct {
	asked atomic.Int64
	who   atomic.Pointer[httpapi.Identity]
	err   atomic.Pointer[error]
}

func (v *verdicts) Authenticate(*http.Request, httpapi.Credentials) (httpapi.Identity, error) {
	v.asked.Add(1)
	if err := v.err.Load(); err != nil {
		return httpapi.Identity{}, *err
	}
	return *v.who.Load(), nil
}

func (v *verdicts) be(user string) { v.who.Store(&httpapi.Identity{User: user}) }

func (v *verdicts) fail(err error) { v.err.Store(&err) }

func TestAStreamEndsWhenItsCredentialsDo(t *testing.T) {
	for name, end := range map[string]func(*verdicts){
		"not valid any more": func(v *verdicts) { v.fail(fmt.Errorf("late: %w", &httpapi.AuthError{Message: "expired"})) },
		"of somebody else":   func(v *verdicts) { v.be("bob") },
	} {
		t.Run(name, func(t *testing.T) {
			v := new(verdicts)
			v.be("ann")
			f := serve(t, &httpapi.Options{Authenticator: v, Heartbeat: time.Millisecond})
			f.recordExample()
			s := subscribe(t, listen(t, f.handler).URL, "2", "10", "")
			s.must(t, "snapshot")
			end(v)
			for {
				e, err := s.next()
				if err != nil {
					break
				}
				if e.comment == "" {
					t.Fatalf("event %+v", e)
				}
			}
		})
	}
}

func TestAStreamSurvivesAnUnavailableVerifier(t *testing.T) {
	v := new(verdicts)
	v.be("ann")
	f := serve(t, &httpapi.Options{Authenticator: v, Heartbeat: time.Millisecond})
	f.recordExample()
	s := subscribe(t, listen(t, f.handler).URL, "2", "10", "")
	s.must(t, "snapshot")
	v.fail(errors.New("the verifier is down"))
	for asked := v.asked.Load(); v.asked.Load() < asked+3; {
		if e, err := s.next(); err != nil || e.comment == "" {
			t.Fatalf("%+v, %v", e, err)
		}
	}
	f.record(engine.Retry(exampleActivity))
	s.must(t, "transition")
}

func TestShutdownEndsStreamsAndRefusesNewOnes(t *testing.T) {
	f := serve(t, nil)
	f.recordExample()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: f.handler}
	server.RegisterOnShutdown(f.handler.Shutdown)
	served := make(chan error)
	go func() { served <- server.Serve(listener) }()
	s := subscribe(t, "http://"+listener.Addr().String(), "2", "10", "")
	s.must(t, "snapshot")
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if e, err := s.next(); err == nil {
		t.Errorf("the stream continues: %+v", e)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
	f.handler.Shutdown()
	if w := f.get("/api/events", "bk_biz_id", "2", "task_id", "10"); w.Code != 503 {
		t.Errorf("afterwards: %d %s", w.Code, w.Body)
	}
	if w := f.get("/api/task", "bk_biz_id", "2", "task_id", "10"); w.Code != 200 {
		t.Errorf("other requests: %d %s", w.Code, w.Body)
	}
}

func TestShutdownEndsStreamsAfterEarlierCommits(t *testing.T) {
	for range 20 {
		f := serve(t, nil)
		f.recordExample()
		server := listen(t, f.handler)
		s := subscribe(t, server.URL, "2", "10", "")
		s.must(t, "snapshot")
		f.record(engine.Retry(exampleActivity))
		f.handler.Shutdown()
		if e := s.must(t, "transition"); e.id != 9 {
			t.Errorf("the last event is %+v", e)
		}
		if e, err := s.next(); err == nil {
			t.Errorf("the stream continues: %+v", e)
		}
	}
}

func TestStreamsEndWithTheEngine(t *testing.T) {
	f := serve(t, nil)
	f.recordExample()
	server := listen(t, f.handler)
	s := subscribe(t, server.URL, "2", "10", "")
	s.must(t, "snapshot")
	f.engine.Close()
	if e, err := s.next(); err == nil {
		t.Errorf("the stream continues: %+v", e)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	f := serve(t, &httpapi.Options{Authenticator: httpapi.NoAuth{}, MaxStreams: 1, MaxRequests: 1})
	f.recordExample()
	server := listen(t, f.handler)
	s := subscribe(t, server.URL, "2", "10", "")
	s.must(t, "snapshot")
	if w := f.get("/api/events", "bk_biz_id", "2", "task_id", "10"); w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := f.get("/api/task", "bk_biz_id", "2", "task_id", "10"); w.Code != 200 {
		t.Errorf("a stream counts as a request: %d %s", w.Code, w.Body)
	}
}

func TestAClientThatDoesNotReadIsCutWithoutAffectingOthers(t *testing.T) {
	var log lockedBuffer
	f := serve(t, &httpapi.Options{
		Authenticator: httpapi.NoAuth{}, WriteTimeout: 50 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	f.begin("1")
	f.begin("2")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: f.handler, ConnState: shrink}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	url := "http://" + listener.Addr().String()

	slow, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	slow.(*net.TCPConn).SetReadBuffer(4 << 10)
	fmt.Fprintf(slow, "GET /api/events?bk_biz_id=2&task_id=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")

	quick := subscribe(t, url, "2", "2", "")
	quick.must(t, "snapshot")
	text := strings.Repeat("x", state.MaxErrorBytes)
	for n := 0; !strings.Contains(log.String(), "i/o timeout"); n++ {
		f.record(engine.Fail("node-1", text), engine.Retry("node-1"), engine.Start("node-1"))
		f.record(engine.Fail("node-2", "x"), engine.Retry("node-2"), engine.Start("node-2"))
		for range 3 {
			quick.must(t, "transition")
		}
	}
}

// shrink makes the kernel's buffer of a connection small.
func shrink(c net.Conn, s http.ConnState) {
	if tcp, ok := c.(*net.TCPConn); ok && s == http.StateNew {
		tcp.SetWriteBuffer(4 << 10)
	}
}

// lockedBuffer is written by the server and read by the test.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
