package engine

import (
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/pipestatus/pipestatus/state"
)

// newID is a UUID of version 7 as 32 hexadecimal digits: time-ordered keys
// measured half the index cost of random ones.
func newID() string { return state.VersionOf(newUUID()).String() }

// newUUID is a UUID of version 7: when it was made, in 48 bits of milliseconds
// and 12 of parts of one, and 62 random bits. The times of one process ascend. It
// is made here because a general generator, which reads its random bytes one by
// one from a stream that is on the heap, took 5 % of a transition.
func newUUID() (id [16]byte) {
	at := moments.next(time.Now())
	binary.BigEndian.PutUint64(id[:8], at>>12<<16|version7|at&(1<<12-1))
	binary.BigEndian.PutUint64(id[8:], variant|rand.Uint64()>>2)
	return id
}

// What a UUID has in fixed places.
const (
	version7 = 7 << 12
	variant  = 1 << 63
)

// moments are those of the IDs made so far.
var moments ascending

// ascending hands out numbers that ascend.
type ascending struct{ last atomic.Uint64 }

// next is t in milliseconds, followed by 12 bits that divide one into 3,907
// parts, or 1 more than the last number if that is not less.
func (a *ascending) next(t time.Time) uint64 {
	at := uint64(t.UnixMilli())<<12 | uint64(t.Nanosecond()%1_000_000)>>8
	for {
		last := a.last.Load()
		at = max(at, last+1)
		if a.last.CompareAndSwap(last, at) {
			return at
		}
	}
}
