package httpapi

import (
	"net"
	"sync"
)

// seats bound the requests in progress. One client gets at most half of them, so that
// no single client keeps all others out.
type seats struct {
	most int

	mu    sync.Mutex // protects everything below
	taken int
	by    map[string]int // seats of each client that has any
}

func newSeats(most int) *seats { return &seats{most: most, by: make(map[string]int)} }

// take takes a seat, if there is one for this client.
func (s *seats) take(client string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken >= s.most || s.by[client] >= max(1, s.most/2) {
		return false
	}
	s.taken++
	s.by[client]++
	return true
}

func (s *seats) leave(client string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	if s.by[client]--; s.by[client] == 0 {
		delete(s.by, client)
	}
}

// client is the owner of a request's share: the identity, or the address with
// [NoAuth].
func (x *exchange) client() string {
	if x.who != (Identity{}) {
		return "identity\x00" + x.who.App + "\x00" + x.who.User
	}
	host, _, err := net.SplitHostPort(x.r.RemoteAddr)
	if err != nil {
		host = x.r.RemoteAddr
	}
	return "address\x00" + host
}
