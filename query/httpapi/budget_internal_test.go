package httpapi

import (
	"errors"
	"testing"
	"time"
)

func claimed(t *testing.T, b *budget, client string, bytes int64) *claim {
	t.Helper()
	c, err := b.take(t.Context(), client, bytes, 0)
	if err != nil {
		t.Fatalf("%d bytes for %s: %v", bytes, client, err)
	}
	return c
}

// wish is a waiting claim.
func wish(t *testing.T, b *budget, client string, bytes int64) <-chan *claim {
	t.Helper()
	b.mu.Lock()
	before := len(b.waiting)
	b.mu.Unlock()
	got := make(chan *claim, 1)
	go func() {
		c, _ := b.take(t.Context(), client, bytes, time.Minute)
		got <- c
	}()
	for {
		b.mu.Lock()
		waits := len(b.waiting) > before
		b.mu.Unlock()
		if waits {
			return got
		}
		time.Sleep(time.Millisecond)
	}
}

func TestClientsWithoutAShareAreServedFirst(t *testing.T) {
	b := newBudget(800)
	held := []*claim{claimed(t, b, "ann", 300), claimed(t, b, "bob", 300), claimed(t, b, "dan", 100)}
	more := wish(t, b, "ann", 100)
	first := wish(t, b, "cy", 100)
	held[2].end() // has room for one of them
	c := <-first
	select {
	case <-more:
		t.Error("a client that has something went first")
	default:
	}
	c.end()
	(<-more).end()
	held[0].end()
	held[1].end()
}

func TestSmallClaimsDoNotWaitForLargeOnes(t *testing.T) {
	b := newBudget(1024)
	held := []*claim{claimed(t, b, "ann", 512), claimed(t, b, "bob", 384)}
	large := wish(t, b, "cy", 100)
	for range 100 {
		claimed(t, b, "dan", 1).end()
	}
	if c, err := b.take(t.Context(), "dan", 100, 0); !errors.Is(err, errBusy) {
		t.Errorf("a large claim took what is kept for small ones: %v", err)
		c.end()
	}
	for _, c := range held {
		c.end()
	}
	(<-large).end()
}

// A waiting claim ends the write that has stalled longest, and no other.
func TestAStalledWriteIsCutWhenOthersWait(t *testing.T) {
	b := newBudget(1024)
	held := [2]*claim{claimed(t, b, "ann", 448), claimed(t, b, "bob", 448)}
	var cuts [2]chan struct{}
	done := make(chan int, 2)
	for i, c := range held {
		cuts[i] = make(chan struct{})
		begun := make(chan struct{})
		go func() {
			_ = c.write(func() error { close(begun); <-cuts[i]; return nil }, func() { close(cuts[i]) })
			c.end()
			done <- i
		}()
		<-begun
	}
	c, err := b.take(t.Context(), "cy", 400, 3*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if i := <-done; i != 0 {
		t.Errorf("write %d was cut first", i)
	}
	select {
	case <-cuts[1]:
		t.Error("a second write was cut for one that waits")
	default:
		close(cuts[1])
	}
	<-done
	c.end()
	if b.taken != 0 || len(b.by) != 0 || len(b.writing) != 0 || len(b.waiting) != 0 {
		t.Errorf("what is left: %d bytes, %v, %v, %v", b.taken, b.by, b.writing, b.waiting)
	}
}
