package engine

import (
	"encoding/hex"
	"slices"
	"sync"
	"testing"
	"time"
)

// The IDs of one goroutine ascend without duplicates, even if it makes many in
// a moment.
func TestGeneratedIDsAscendAndAreUUIDs(t *testing.T) {
	const each = 20_000
	before := time.Now()
	made := make([][]string, 4)
	var all sync.WaitGroup
	for i := range made {
		all.Go(func() {
			for range each {
				made[i] = append(made[i], newID())
			}
		})
	}
	all.Wait()
	after := time.Now()
	for _, ids := range made {
		if !slices.IsSorted(ids) {
			t.Error("the IDs of one goroutine do not ascend")
		}
	}
	ids := slices.Concat(made...)
	slices.Sort(ids)
	if n := len(slices.Compact(slices.Clone(ids))); n != len(made)*each {
		t.Errorf("%d different IDs of %d", n, len(made)*each)
	}
	for _, id := range ids {
		b, err := hex.DecodeString(id)
		if err != nil || len(b) != 16 || b[6]>>4 != 7 || b[8]>>6 != 2 {
			t.Fatalf("%q is no UUID of version 7", id)
		}
		var ms int64
		for _, b := range b[:6] {
			ms = ms<<8 | int64(b)
		}
		// With many IDs in a moment the times run ahead, by a millisecond for
		// 4,096 IDs.
		if ms < before.UnixMilli() || ms > after.UnixMilli()+int64(len(ids))/4096+1 {
			t.Fatalf("%q is of %d, made from %d to %d", id, ms, before.UnixMilli(), after.UnixMilli())
		}
	}
}
