package boltstore_test

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

var soakFor = flag.Duration("soak", 0, "create, run and purge tasks for this long, with every commit on disk; 0: a few seconds without syncs")

// soak is work at a steady size: each generation creates and runs as many tasks
// as are kept, and purges the older ones.
type soak struct {
	tasks    int // kept, and made by each generation
	warmUp   int // generations
	measured int // generations after those, if no time is set
	lasts    time.Duration
	options  boltstore.Options
	noPurge  bool
}

// figures are the measurements after a generation that must not grow.
type figures struct {
	file, used   int64 // bytes
	heap, memory uint64
	goroutines   int
}

func (f figures) String() string {
	const mib = 1 << 20
	return fmt.Sprintf("file %.2f MiB, in use %.2f MiB, heap %.2f MiB, memory %.1f MiB, %d goroutines",
		float64(f.file)/mib, float64(f.used)/mib, float64(f.heap)/mib, float64(f.memory)/mib, f.goroutines)
}

// largest is the larger of each figure.
func (f figures) largest(g figures) figures {
	return figures{max(f.file, g.file), max(f.used, g.used), max(f.heap, g.heap), max(f.memory, g.memory), max(f.goroutines, g.goroutines)}
}

// beyond names the figures beyond their bounds: one and a half times the
// largest during the warm-up, plus one step in which the file or the memory
// grows.
func (f figures) beyond(warm figures, step int64) (names []string) {
	grew := func(name string, is, was, step int64) {
		if is > was+was/2+step {
			names = append(names, fmt.Sprintf("%s is %d, was at most %d", name, is, was))
		}
	}
	grew("file", f.file, warm.file, step)
	grew("file in use", f.used, warm.used, 0)
	grew("heap", int64(f.heap), int64(warm.heap), 1<<20)
	grew("memory", int64(f.memory), int64(warm.memory), 16<<20)
	if f.goroutines > warm.goroutines {
		names = append(names, fmt.Sprintf("goroutines are %d, were %d", f.goroutines, warm.goroutines))
	}
	return names
}

// run returns the figures that exceeded their bounds.
func (k *soak) run(t *testing.T) (grown []string) {
	t.Helper()
	ctx := t.Context()
	s := mustOpen(t, filepath.Join(t.TempDir(), "soak.db"), &k.options)
	step := int64(0)
	if k.lasts > 0 {
		step = 16 << 20 // bbolt's
	} else {
		s.NoSync()
	}
	e, err := engine.Open(ctx, s, &engine.Options{MaxLiveNodes: 64 * k.tasks})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	idle := runtime.NumGoroutine()
	begin := time.Now()
	var warm, worst, last figures
	var told time.Duration
	n := 0
	for ; n < k.warmUp+k.measured || time.Since(begin) < k.lasts; n++ {
		k.generation(t, e, n)
		if t.Failed() {
			return nil
		}
		last = measure(t, s, idle)
		if n < k.warmUp {
			warm = warm.largest(last)
			continue
		}
		worst = worst.largest(last)
		if grown = last.beyond(warm, step); len(grown) > 0 {
			break
		}
		if d := time.Since(begin).Truncate(time.Minute); d > told {
			told = d
			t.Logf("after %v, %d generations: %v", d, n+1, last)
		}
	}
	t.Logf("%d tasks kept, %d made in %v", k.tasks, n*k.tasks, time.Since(begin).Round(time.Millisecond))
	t.Logf("largest of %d generations of warm-up: %v", k.warmUp, warm)
	t.Logf("largest of those after it: %v", worst)
	if !k.noPurge {
		k.expectSound(t, s)
	}
	return grown
}

// generation creates and runs tasks from many goroutines, one of which
// sometimes purges.
func (k *soak) generation(t *testing.T, e *engine.Engine, n int) {
	var next atomic.Int64
	var wg sync.WaitGroup
	purge := func() {
		if k.noPurge {
			return
		}
		if _, err := e.Purge(context.Background(), engine.Retention{Keep: k.tasks}); err != nil {
			t.Error(err)
		}
	}
	for range 8 {
		wg.Go(func() {
			for i := int(next.Add(1)); i <= k.tasks && !t.Failed(); i = int(next.Add(1)) {
				if err := runTask(e, fmt.Sprintf("g%d-%d", n, i), func(...any) {}); err != nil {
					t.Error(err)
				}
				if i%(k.tasks/4) == 0 {
					purge()
				}
			}
		})
	}
	wg.Wait()
	purge()
}

// measure waits for goroutines that end soon.
func measure(t *testing.T, s *boltstore.Store, idle int) figures {
	stats, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 5000 {
		if runtime.NumGoroutine() <= idle {
			break
		}
		time.Sleep(time.Millisecond)
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return figures{stats.Bytes, stats.Bytes - stats.Free, m.HeapAlloc, m.Sys - m.HeapReleased, runtime.NumGoroutine()}
}

// expectSound checks the store, which holds the tasks that are kept.
func (k *soak) expectSound(t *testing.T, s *boltstore.Store) {
	t.Helper()
	kept := 0
	for q := (store.ListQuery{}); ; {
		page, err := s.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		kept += len(page.Tasks)
		if q.Cursor = page.Cursor; q.Cursor == "" {
			break
		}
	}
	if kept != k.tasks {
		t.Errorf("%d tasks are kept, want %d", kept, k.tasks)
	}
	if err := s.Check(t.Context(), func(p string) { t.Errorf("check: %s", p) }); err != nil {
		t.Error(err)
	}
}

func steady() *soak {
	return &soak{tasks: 120, warmUp: 5, measured: 10, options: boltstore.Options{OverlayTransitions: 500, FeedTransitions: 1000, JournalSize: 1 << 20}}
}

func TestFileAndMemoryStayBoundedAtASteadySize(t *testing.T) {
	k := steady()
	if k.lasts = *soakFor; k.lasts > 0 {
		k.tasks, k.options.OverlayTransitions, k.options.FeedTransitions = 2000, 10_000, 50_000
	}
	for _, what := range k.run(t) {
		t.Error(what)
	}
}

// Growth exceeds the bounds.
func TestSoakDetectsGrowth(t *testing.T) {
	for name, change := range map[string]func(k *soak){
		"nothing is purged":          func(k *soak) { k.noPurge = true },
		"the journal is not trimmed": func(k *soak) { k.options.FeedTransitions = 1 << 30 },
	} {
		t.Run(name, func(t *testing.T) {
			k := steady()
			change(k)
			if k.run(t) == nil {
				t.Error("nobody noticed")
			}
		})
	}
}
