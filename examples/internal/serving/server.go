package serving

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/pipestatus/pipestatus/query/httpapi"
)

// Server serves a handler until it is closed.
type Server struct {
	http  *http.Server
	addr  net.Addr
	ended chan struct{} // closed when Serve has returned
	err   error         // the reason, valid once ended is closed; nil after Close
}

// patience is how long Close waits for requests that are being answered.
const patience = 5 * time.Second

// maxHeader bounds the headers of a request, which hold credentials at most.
const maxHeader = 32 << 10

// Listen listens on a TCP address (port 0 for any free port) or on a socket,
// written unix:///PATH, that only its owner can open, and begins to serve h. It
// ignores errors of single connections.
func Listen(ctx context.Context, addr string, h *httpapi.Handler) (*Server, error) {
	l, err := listen(ctx, addr)
	if err != nil {
		return nil, err
	}
	s := &Server{
		// There is no time limit for a whole request or answer, because streams are
		// unlimited; the handler has its own limits.
		http: &http.Server{
			Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute,
			MaxHeaderBytes: maxHeader,
			ErrorLog:       log.New(io.Discard, "", 0),
		},
		addr: l.Addr(), ended: make(chan struct{}),
	}
	s.http.RegisterOnShutdown(h.Shutdown)
	go func() {
		defer close(s.ended)
		if err := s.http.Serve(newConnections(l, mostConnections)); !errors.Is(err, http.ErrServerClosed) {
			s.err = err
		}
	}()
	return s, nil
}

// URL is the address of the status page, or of the socket.
func (s *Server) URL() string {
	if s.addr.Network() == "unix" {
		return socketScheme + s.addr.String()
	}
	host, port, err := net.SplitHostPort(s.addr.String())
	if err != nil {
		return "http://" + s.addr.String() + "/"
	}
	if ip := net.ParseIP(host); ip.IsUnspecified() {
		host = "localhost" // it listens there too
	}
	return "http://" + net.JoinHostPort(host, port) + "/"
}

// Loopback reports whether only this machine can reach the address.
func (s *Server) Loopback() bool {
	tcp, ok := s.addr.(*net.TCPAddr)
	return !ok || tcp.IP.IsLoopback()
}

// Ended is closed when the server no longer serves.
func (s *Server) Ended() <-chan struct{} { return s.ended }

// Close ends streams after they have delivered earlier commits, waits a moment for
// answers in progress, and ends the rest. If the server had ended before, it returns
// that error.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close() // the remaining connections
	}
	<-s.ended
	return s.err
}
