package serving_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/examples/internal/serving"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorded is an engine with one task.
func recorded(t *testing.T) *engine.Engine {
	t.Helper()
	e, err := engine.Open(t.Context(), store.NewMemory(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	if _, err := e.Create(t.Context(), "2", "10", engine.ID("root")); err != nil {
		t.Fatal(err)
	}
	return e
}

// listen serves an engine to everybody.
func listen(t *testing.T, e *engine.Engine, addr string, hosts ...string) *serving.Server {
	t.Helper()
	s, err := serving.Listen(t.Context(), addr, httpapi.New(e, &httpapi.Options{Authenticator: httpapi.NoAuth{}, Hosts: hosts}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

const statusOf = "api/status?bk_biz_id=2&task_id=10"

func get(t *testing.T, url, host string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func TestAServerAnswersAtItsURL(t *testing.T) {
	e := recorded(t)
	for _, tt := range []struct {
		addr, url string
		loopback  bool
	}{
		{"127.0.0.1:0", "http://127.0.0.1:", true},
		{"localhost:0", "http://", true},
		{"127.8.8.8:0", "http://127.8.8.8:", true},
		{"0.0.0.0:0", "http://localhost:", false},
		{":0", "http://localhost:", false},
	} {
		s := listen(t, e, tt.addr)
		if !strings.HasPrefix(s.URL(), tt.url) || s.Loopback() != tt.loopback {
			t.Errorf("%s: %s, loopback %v", tt.addr, s.URL(), s.Loopback())
		}
		if resp := get(t, s.URL()+statusOf, ""); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", tt.addr, resp.Status)
		}
	}
}

func TestUnknownHostNamesAreRefusedWithoutAuthentication(t *testing.T) {
	e := recorded(t)
	for _, addr := range []string{"127.0.0.1:0", "0.0.0.0:0"} {
		s := listen(t, e, addr, "box")
		for host, status := range map[string]int{"rebound.example": 421, "rebound.example:80": 421, "box": 200, "BOX:9": 200} {
			resp := get(t, s.URL()+statusOf, host)
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != status || strings.Contains(string(body), "root") != (status == 200) {
				t.Errorf("%s, Host %s: %s %s", addr, host, resp.Status, body)
			}
		}
	}
}

func TestAnAddressInUseIsRefused(t *testing.T) {
	e := recorded(t)
	addr := strings.TrimSuffix(strings.TrimPrefix(listen(t, e, "127.0.0.1:0").URL(), "http://"), "/")
	for _, addr := range []string{addr, "127.0.0.1"} {
		if s, err := serving.Listen(t.Context(), addr, httpapi.New(e, nil)); err == nil || !strings.Contains(err.Error(), addr) {
			t.Errorf("%s: %v, %v", addr, s, err)
		}
	}
}

func TestCloseEndsStreamsAfterEarlierCommits(t *testing.T) {
	e := recorded(t)
	s := listen(t, e, "127.0.0.1:0")
	resp := get(t, s.URL()+"api/events?bk_biz_id=2&task_id=10", "")
	events := bufio.NewReader(resp.Body)
	for line := ""; line != "event: snapshot\n"; {
		var err error
		if line, err = events.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Start(t.Context(), "root"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.Ended():
		t.Error("it has ended already")
	default:
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	rest, err := io.ReadAll(events)
	if err != nil || !strings.Contains(string(rest), `"op":"start"`) {
		t.Errorf("%v, %s", err, rest)
	}
	<-s.Ended()
	if err := s.Close(); err != nil {
		t.Errorf("again: %v", err)
	}
	if _, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(s.URL(), "http://"), "/")); err == nil {
		t.Error("it listens after its end")
	}
}
