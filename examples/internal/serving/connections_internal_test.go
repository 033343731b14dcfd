package serving

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"testing"
)

// dial connects from an address of this machine.
func dial(t *testing.T, from, to string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// asks reports whether a request on a connection is answered.
func asks(c net.Conn) bool {
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return true
}

func TestAGreedyClientDoesNotKeepOthersOut(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	const most = 8
	connections := newConnections(l, most)
	server := &http.Server{Handler: http.NotFoundHandler()}
	ended := make(chan error)
	go func() { ended <- server.Serve(connections) }()
	t.Cleanup(func() {
		server.Close()
		<-ended
		connections.mu.Lock()
		defer connections.mu.Unlock()
		if connections.count != 0 || len(connections.by) != 0 {
			t.Errorf("%d connections of %d clients are left", connections.count, len(connections.by))
		}
	})
	addr := l.Addr().String()
	other := dial(t, "127.0.0.2", addr)
	if !asks(other) {
		t.Fatal("not answered")
	}
	var greedy []net.Conn
	for range 3 * most {
		c := dial(t, "127.0.0.3", addr)
		if !asks(c) {
			t.Error("a new connection is not answered")
		}
		greedy = append(greedy, c)
	}
	if !asks(other) {
		t.Error("the other client's connection was closed")
	}
	if asks(greedy[0]) {
		t.Error("the oldest of the greedy client's was not closed")
	}
	if !asks(greedy[len(greedy)-1]) {
		t.Error("the youngest of the greedy client's was closed")
	}
}
