//go:build unix

package pgstore_test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// proxy passes connections on to a server until a fault is armed, which then
// happens to the next thing that a client sends.
type proxy struct {
	listener net.Listener
	target   string
	serving  sync.WaitGroup

	mu    sync.Mutex // protects everything below
	fault func(client, server net.Conn, sent []byte)
	down  bool // nothing gets through any more
	conns map[net.Conn]bool
}

func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: target, conns: make(map[net.Conn]bool)}
	p.serving.Go(p.serve)
	t.Cleanup(func() {
		l.Close()
		p.setDown(true)
		p.serving.Wait()
	})
	return p
}

func (p *proxy) port() int { return p.listener.Addr().(*net.TCPAddr).Port }

// arm sets what happens to what a client sends next. The fault owns both ends.
func (p *proxy) arm(fault func(client, server net.Conn, sent []byte)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = fault
}

// setDown cuts all connections, and lets no new ones through if down.
func (p *proxy) setDown(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
	for c := range p.conns {
		c.Close()
	}
	clear(p.conns)
}

func (p *proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		if p.down {
			client.Close()
			server.Close()
		} else {
			p.conns[client], p.conns[server] = true, true
			p.serving.Go(func() { p.forward(client, server) })
			p.serving.Go(func() { io.Copy(client, server); client.Close() })
		}
		p.mu.Unlock()
	}
}

// forward passes on what a client sends.
func (p *proxy) forward(client, server net.Conn) {
	buffer := make([]byte, 1<<20)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			server.Close()
			return
		}
		p.mu.Lock()
		fault := p.fault
		p.fault = nil
		p.mu.Unlock()
		if fault != nil {
			fault(client, server, buffer[:n])
			return
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			client.Close()
			return
		}
	}
}
