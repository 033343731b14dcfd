package feed

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff computes the pauses of a consumer whose peer fails. Each pause is twice
// as long as the previous one, up to a limit, and half of it is random. The zero
// Backoff makes no pauses: set both bounds. It is not safe for concurrent use.
type Backoff struct {
	Min, Max time.Duration
	failures int
}

// Failures is the number of pauses since the last Reset.
func (b *Backoff) Failures() int { return b.failures }

// Reset says that the peer works: the next pause is short again.
func (b *Backoff) Reset() { b.failures = 0 }

// Next returns the length of the next pause.
func (b *Backoff) Next() time.Duration {
	longest := b.Max
	if b.failures < 30 && b.Min <= b.Max>>b.failures {
		longest = b.Min << b.failures
	}
	b.failures++
	return longest/2 + rand.N(longest/2+1)
}

// Sleep waits, or returns the context's error if the context ends first.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
