//go:build unix

package pgstore_test

import (
	"bytes"
	"net"
	"sync"
	"testing"
)

// proxy forwards connections to a server. An armed fault affects the next
// message of a client, or its answer.
type proxy struct {
	listener net.Listener
	target   string
	serving  sync.WaitGroup

	mu    sync.Mutex // protects everything below
	fault func(client, server net.Conn, sent []byte)
	alter func(answer []byte) []byte // what the client gets instead of an answer
	sent  int                        // number of messages from clients
	down  bool                       // forward nothing
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

// arm sets a fault for a client's next message. The fault owns both ends.
func (p *proxy) arm(fault func(client, server net.Conn, sent []byte)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = fault
}

// armAnswer sets a fault for the next answer that ends with a commit: all
// messages up to the one that says that the server is ready again.
func (p *proxy) armAnswer(alter func(answer []byte) []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.alter = alter
}

// sends returns the number of messages from clients.
func (p *proxy) sends() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent
}

// setDown cuts all connections, and refuses new ones if down is true.
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
			p.serving.Go(func() { p.backward(client, server) })
		}
		p.mu.Unlock()
	}
}

// forward forwards a client's messages.
func (p *proxy) forward(client, server net.Conn) {
	buffer := make([]byte, 1<<20)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			server.Close()
			return
		}
		p.mu.Lock()
		p.sent++
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

// backward forwards a server's answers.
func (p *proxy) backward(client, server net.Conn) {
	defer client.Close()
	buffer := make([]byte, 1<<20)
	var answer []byte
	for {
		n, err := server.Read(buffer)
		p.mu.Lock()
		alter := p.alter
		if answer = append(answer, buffer[:n]...); alter != nil && err == nil {
			if !bytes.Equal(answer[max(0, len(answer)-6):len(answer)-1], []byte("Z\x00\x00\x00\x05")) {
				p.mu.Unlock()
				continue
			}
			if bytes.HasSuffix(answer, []byte("COMMIT\x00"+ready)) || bytes.HasSuffix(answer, []byte("CALL\x00"+ready)) {
				answer, p.alter = alter(answer), nil
			}
		}
		p.mu.Unlock()
		if _, failed := client.Write(answer); failed != nil || err != nil {
			return
		}
		answer = answer[:0]
	}
}

// ready is the message of a server that is outside of a transaction.
const ready = "Z\x00\x00\x00\x05I"
