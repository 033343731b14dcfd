package httpapi_test

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/query/httpapi"
)

// asked is a request with a Host header over a connection to a local address.
func asked(host, local string) *http.Request {
	r := request("GET", callPath, nil, "bk_biz_id", "2", "task_id", "10")
	r.Host = host
	if local == "" {
		return r
	}
	addr := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(local))
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(addr)))
}

func TestWithoutCredentialsOnlyKnownHostNamesAreAnswered(t *testing.T) {
	const loopback, outside, mapped = "127.0.0.1:8080", "10.1.2.3:8080", "[::ffff:127.0.0.1]:8080"
	for _, tt := range []struct {
		host, local string
		hosts       []string
		answered    bool
	}{
		{"localhost", loopback, nil, true},
		{"localhost:8080", loopback, nil, true},
		{"LOCALHOST.:8080", loopback, nil, true},
		{"127.0.0.1", loopback, nil, true},
		{"127.0.0.1:8080", loopback, nil, true},
		{"127.9.9.9:1", loopback, nil, true},
		{"[::1]", "[::1]:8080", nil, true},
		{"[::1]:8080", "[::1]:8080", nil, true},
		{"[::ffff:127.0.0.1]:8080", mapped, nil, true},

		{"", loopback, nil, false},
		{":8080", loopback, nil, false},
		{"rebound.example", loopback, nil, false},
		{"rebound.example:8080", loopback, nil, false},
		{"rebound.example", "", nil, false},
		{"localhost.rebound.example", loopback, nil, false},
		{"127.0.0.1.rebound.example", loopback, nil, false},
		{"rebound.example@localhost", loopback, nil, false},
		{"localhost:8080:8080", loopback, nil, false},
		{"[::1", loopback, nil, false},
		{"[localhost]", loopback, nil, false},
		{"2130706433", loopback, nil, false},
		{"127.1", loopback, nil, false},
		{"0x7f.0.0.1", loopback, nil, false},
		{"*", loopback, nil, false},

		// Names that lead to no loopback address: a request with such a name
		// has not come over loopback.
		{"10.1.2.3:8080", outside, nil, true},
		{"[2001:db8::1]:8080", outside, nil, true},
		{"10.1.2.3:8080", loopback, nil, false},
		{"10.1.2.3:8080", mapped, nil, false},
		{"0.0.0.0:8080", loopback, nil, false},
		{"build-box:8080", outside, nil, false},

		{"build-box:8080", outside, []string{"other", "Build-Box"}, true},
		{"build-box.:8080", loopback, []string{"build-box"}, true},
		{"10.1.2.3:8080", loopback, []string{"10.1.2.3"}, true},
		{"[2001:db8::1]:80", loopback, []string{"2001:db8::1"}, true},
		{"localhost", loopback, []string{"build-box"}, true},
		{"rebound.example", loopback, []string{"build-box"}, false},
		{"rebound.example", loopback, []string{"*"}, true},
		{"", loopback, []string{"*"}, true},
	} {
		for _, open := range []httpapi.Authenticator{httpapi.NoAuth{}, &httpapi.NoAuth{}} {
			f := serve(t, &httpapi.Options{Authenticator: open, Hosts: tt.hosts})
			f.recordExample()
			for _, path := range []string{callPath, "/", "/api/tasks", "/api/events", "/nowhere"} {
				r := asked(tt.host, tt.local)
				r.URL.Path = path
				if path == "/api/events" {
					r.Method = http.MethodHead
				}
				w := f.do(r)
				if tt.answered != (w.Code != http.StatusMisdirectedRequest) {
					t.Errorf("Host %q at %s, hosts %q, %s: %d %s", tt.host, tt.local, tt.hosts, path, w.Code, w.Body)
				}
				if tt.answered || path == "/api/events" {
					continue
				}
				if m := refusal(t, w); !strings.Contains(m, "Host") || strings.Contains(w.Body.String(), exampleRoot) {
					t.Errorf("Host %q: message %q", tt.host, m)
				}
			}
		}
	}
}

func TestWithCredentialsEveryHostNameIsAnsweredByDefault(t *testing.T) {
	apps := &httpapi.Applications{Secrets: map[string]string{"app": "s"}, Trusted: []string{"app"}}
	for _, tt := range []struct {
		hosts  []string
		host   string
		status int
	}{
		{nil, "status.example", 200},
		{nil, "", 200},
		{[]string{"status.example"}, "status.example:443", 200},
		{[]string{"status.example"}, "localhost", 200},
		{[]string{"status.example"}, "other.example", 421},
	} {
		f := serve(t, &httpapi.Options{Authenticator: apps, Hosts: tt.hosts})
		f.recordExample()
		r := credentials{"app", "s", "", "ann"}.requests()["query"]
		r.Host = tt.host
		if w := f.do(r); w.Code != tt.status {
			t.Errorf("hosts %q, Host %q: %d %s", tt.hosts, tt.host, w.Code, w.Body)
		}
	}
}

func TestTheHostIsCheckedOnARealConnection(t *testing.T) {
	f := serve(t, nil)
	f.recordExample()
	server := listen(t, f.handler)
	for host, status := range map[string]int{"": 200, "localhost": 200, "rebound.example": 421, "10.1.2.3": 421} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+callPath+"?bk_biz_id=2&task_id=10", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host // "" means that of the URL
		resp, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("Host %q: %s", host, resp.Status)
		}
	}
}
