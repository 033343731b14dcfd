package boltstore

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// A commit that maps a larger file waits for the present readers, and new
// readers wait for it. No goroutine may hold a lock that both need.
func TestFileOutgrowsItsMappingDuringReadsAndAWriteBack(t *testing.T) {
	s := openQuick(t, filepath.Join(t.TempDir(), "grows.db"), &Options{OverlayTransitions: 512, mapped: 1 << 15})
	e, err := engine.Open(t.Context(), s, &engine.Options{MaxLiveNodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var written, readers sync.WaitGroup
	var stop atomic.Bool
	const tasks = 25
	for i := range 4 {
		readers.Go(func() {
			for n := 0; !stop.Load(); n++ {
				if _, err := s.List(t.Context(), store.ListQuery{Limit: 5}); err != nil {
					t.Error(err)
				}
				_, _ = s.Load(t.Context(), store.ByKey("2", fmt.Sprint(i, "/", n%tasks)))
			}
		})
	}
	text := strings.Repeat("long ", 1000)
	for i := range 8 {
		written.Go(func() {
			for n := range tasks {
				root := fmt.Sprint("root ", i, "/", n)
				requests := [][]engine.Op{{engine.Create("2", fmt.Sprint(i, "/", n), engine.ID(root)), engine.Start(root)}}
				for leaf := range 10 {
					id := fmt.Sprint("leaf ", i, "/", n, "/", leaf)
					requests = append(requests, []engine.Op{
						engine.Declare(root, state.ServiceActivity, engine.ID(id)), engine.Start(id), engine.Fail(id, text),
					})
				}
				for _, ops := range requests {
					if _, err := e.Record(t.Context(), ops...); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	written.Wait()
	stop.Store(true)
	readers.Wait()
	if s.last < 8*tasks*32 {
		t.Errorf("%d transitions", s.last)
	}
}
