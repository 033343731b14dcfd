package enginetest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/store"
)

// Epoch is the first time of the clock of [Engine]: 2018-04-26 08:08:34 UTC.
var Epoch = time.Unix(1524730114, 0).UTC()

// Engine returns an engine on an empty store in memory, for tests of a runner. Its
// answers are the same in every run: its clock starts at [Epoch] and advances by a
// second with each request, and the IDs and versions that it generates are [ID] of
// 1, 2 and so on. It is closed when the test ends.
func Engine(t testing.TB) *engine.Engine {
	t.Helper()
	s := store.NewMemory()
	var readings, ids atomic.Int64
	e, err := engine.Open(context.Background(), s, &engine.Options{
		Now:   func() time.Time { return Epoch.Add(time.Duration(readings.Add(1)-1) * time.Second) },
		NewID: func() string { return ID(int(ids.Add(1))) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// ID is the n-th ID that [Engine] generates: n in 32 hexadecimal digits.
func ID(n int) string { return fmt.Sprintf("%032x", n) }
