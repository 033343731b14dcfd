package engine

import (
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/pipestatus/pipestatus/state"
)

// newID makes a UUID of version 7 as 32 hexadecimal digits: keys that ascend
// with time measured half the index cost of random ones.
func newID() string { return state.VersionOf(newUUID()).String() }

// newUUID makes a UUID of version 7: its time, in 48 bits of milliseconds and
// 12 bits of fractions of one, and 62 random bits. The times ascend within a
// process. A general generator, which reads its random bytes one by one from a
// stream on the heap, took 5 % of a transition.
func newUUID() (id [16]byte) {
	at := moments.next(time.Now())
	binary.BigEndian.PutUint64(id[:8], at>>12<<16|version7|at&(1<<12-1))
	binary.BigEndian.PutUint64(id[8:], variant|rand.Uint64()>>2)
	return id
}

// The fixed bits of a UUID.
const (
	version7 = 7 << 12
	variant  = 1 << 63
)

// moments has the times of the IDs made so far.
var moments ascending

// ascending hands out numbers that ascend.
type ascending struct{ last atomic.Uint64 }

// next returns t in milliseconds, followed by 12 bits that divide one into
// 3,907 parts. It returns 1 more than the last number if that is greater.
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
