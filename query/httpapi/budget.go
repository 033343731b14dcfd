package httpapi

import (
	"context"
	"slices"
	"sync"
	"time"
)

// budget is so many bytes, of which one client gets half at most. A client that
// has none gets any amount once all of it is there.
type budget struct {
	most int64

	mu      sync.Mutex // protects everything below
	taken   int64
	by      map[string]int64
	waiting []*claim // in the order in which they came
}

// claim is a share of a budget, or the wish for one.
type claim struct {
	budget  *budget
	client  string
	bytes   int64
	granted chan struct{} // closed when it is granted
}

func newBudget(most int64) *budget { return &budget{most: most, by: make(map[string]int64)} }

// take waits for a share. The error is errBusy or the context's.
func (b *budget) take(ctx context.Context, client string, bytes int64, patience time.Duration) (*claim, error) {
	c := &claim{budget: b, client: client, bytes: min(bytes, b.most), granted: make(chan struct{})}
	b.mu.Lock()
	b.waiting = append(b.waiting, c)
	b.serveLocked()
	b.mu.Unlock()
	select {
	case <-c.granted:
		return c, nil
	default:
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	err := error(errBusy)
	select {
	case <-c.granted:
		return c, nil
	case <-timer.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	c.end()
	return nil, err
}

// end gives a share back, or the wish for one up. It does nothing on nil.
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

// serveLocked grants what can be granted, in order. A client that has used up
// its share holds up nobody else.
func (b *budget) serveLocked() {
	full := false
	b.waiting = slices.DeleteFunc(b.waiting, func(c *claim) bool {
		own := b.by[c.client]
		if full || own > 0 && own+c.bytes > b.most/2 {
			return false
		}
		if full = b.taken+c.bytes > b.most; full {
			return false
		}
		b.taken += c.bytes
		b.by[c.client] += c.bytes
		close(c.granted)
		return true
	})
}
