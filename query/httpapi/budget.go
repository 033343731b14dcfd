package httpapi

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"
)

// budget is a number of bytes or seats, of which one client gets at most half. A client
// without a share gets any amount once all of it is available, before clients with a
// share. An eighth is reserved for small claims, which do not wait for large ones.
type budget struct {
	most int64

	mu      sync.Mutex // protects everything below
	taken   int64
	by      map[string]int64
	waiting []*claim            // in the order in which they came
	writing map[*claim]stalling // those whose answer is being written
}

// claim is a share of a budget, or the wish for one.
type claim struct {
	budget  *budget
	client  string
	bytes   int64
	granted chan struct{} // closed when it is granted
}

// stalling is a write that its client may not be reading.
type stalling struct {
	since time.Time
	cut   func() // ends it; must not block
}

func newBudget(most int64) *budget {
	return &budget{most: most, by: make(map[string]int64), writing: make(map[*claim]stalling)}
}

// large is the most that large claims have together.
func (b *budget) large() int64 { return b.most - b.most/8 }

func (b *budget) isLarge(bytes int64) bool { return bytes > max(1, b.most/256) }

// take waits for a share, and now and then ends the write that has stalled for
// longest. The error is errBusy or the context's.
func (b *budget) take(ctx context.Context, client string, bytes int64, patience time.Duration) (*claim, error) {
	c := b.ask(client, bytes)
	select {
	case <-c.granted:
		return c, nil
	default:
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	stalled := max(patience/6, time.Millisecond)
	tick := time.NewTicker(stalled)
	defer tick.Stop()
	for {
		select {
		case <-c.granted:
			return c, nil
		case <-tick.C:
			b.cut(stalled)
		case <-timer.C:
			c.end()
			return nil, errBusy
		case <-ctx.Done():
			c.end()
			return nil, ctx.Err()
		}
	}
}

// now takes a share without waiting, and returns nil if there is no room.
func (b *budget) now(client string, bytes int64) *claim {
	c := b.ask(client, bytes)
	select {
	case <-c.granted:
		return c
	default:
		c.end()
		return nil
	}
}

// ask makes a claim, which may be granted at once.
func (b *budget) ask(client string, bytes int64) *claim {
	c := &claim{budget: b, client: client, bytes: min(bytes, b.large()), granted: make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = append(b.waiting, c)
	b.serveLocked()
	return c
}

// cut ends the longest write, if it has taken this long.
func (b *budget) cut(long time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var oldest *claim
	for c, w := range b.writing {
		if oldest == nil || w.since.Before(b.writing[oldest].since) {
			oldest = c
		}
	}
	if oldest == nil || time.Since(b.writing[oldest].since) < long {
		return
	}
	b.writing[oldest].cut()
	delete(b.writing, oldest)
}

// write calls f, which writes to the client. During the call, cut may be called to
// make f return, if others wait for the claim's bytes. A nil claim has no bytes.
func (c *claim) write(f func() error, cut func()) error {
	if c == nil {
		return f()
	}
	b := c.budget
	b.mu.Lock()
	b.writing[c] = stalling{time.Now(), cut}
	b.mu.Unlock()
	err := f()
	b.mu.Lock()
	delete(b.writing, c)
	b.mu.Unlock()
	return err
}

// end releases a share, or withdraws a waiting claim. It does nothing on nil.
func (c *claim) end() {
	if c == nil {
		return
	}
	b := c.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-c.granted:
		b.taken -= c.bytes
		if b.by[c.client] -= c.bytes; b.by[c.client] == 0 {
			delete(b.by, c.client)
		}
	default:
		b.waiting = slices.DeleteFunc(b.waiting, func(other *claim) bool { return other == c })
	}
	b.serveLocked()
}

// serveLocked grants waiting claims: first those of clients without a share, in the
// order of their arrival, then the others. A client that has used up its share does
// not delay others.
func (b *budget) serveLocked() {
	var full [2]bool // for small claims, and for large ones
	for _, first := range [...]bool{true, false} {
		b.waiting = slices.DeleteFunc(b.waiting, func(c *claim) bool {
			own := b.by[c.client]
			size, most := 0, b.most
			if b.isLarge(c.bytes) {
				size, most = 1, b.large()
			}
			if first != (own == 0) || full[size] || own > 0 && own+c.bytes > b.most/2 {
				return false
			}
			if full[size] = b.taken+c.bytes > most; full[size] {
				return false
			}
			b.taken += c.bytes
			b.by[c.client] += c.bytes
			close(c.granted)
			return true
		})
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
