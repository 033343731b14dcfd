package serving

import (
	"net"
	"slices"
	"sync"
)

// mostConnections bounds the connections of a server: enough for many clients,
// and few enough for the files that a process may have open.
const mostConnections = 4096

// connections is a listener with a bound on its open connections. Beyond it, a new
// connection closes the oldest one of the client with the most connections, so that
// no client can keep the others out.
type connections struct {
	net.Listener
	most int

	mu    sync.Mutex // protects everything below
	count int
	by    map[string][]*connection // of each client, oldest first
}

type connection struct {
	net.Conn
	of     *connections
	client string
}

func newConnections(l net.Listener, most int) *connections {
	return &connections{Listener: l, most: most, by: make(map[string][]*connection)}
}

// Accept implements [net.Listener].
func (l *connections) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &connection{Conn: accepted, of: l, client: clientOf(accepted)}
	if excess := l.add(c); excess != nil {
		_ = excess.Close() // its client will notice
	}
	return c, nil
}

func clientOf(c net.Conn) string {
	host, _, err := net.SplitHostPort(c.RemoteAddr().String())
	if err != nil {
		return "" // a socket of this machine
	}
	return host
}

// add returns the connection to close, or nil.
func (l *connections) add(c *connection) (excess *connection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.by[c.client] = append(l.by[c.client], c)
	if l.count++; l.count <= l.most {
		return nil
	}
	var largest []*connection
	for _, list := range l.by {
		if len(list) > len(largest) {
			largest = list
		}
	}
	return largest[0]
}

// Close implements [net.Conn].
func (c *connection) Close() error {
	c.of.remove(c)
	return c.Conn.Close()
}

func (l *connections) remove(c *connection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := slices.Index(l.by[c.client], c)
	if at < 0 {
		return // closed before
	}
	l.count--
	if l.by[c.client] = slices.Delete(l.by[c.client], at, at+1); len(l.by[c.client]) == 0 {
		delete(l.by, c.client)
	}
}
