package engine_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

var storedTasks = flag.Int("stored", 5_000, "tasks of 20 nodes that BenchmarkGrowth stores, in addition to 1,000")

// wholeTask is a task of 20 nodes from its creation to its end, in one batch of
// 60 operations.
func wholeTask(task string) []engine.Op {
	root := task + " root"
	ops := []engine.Op{engine.Create("2", task, engine.ID(root)), engine.Start(root)}
	for i := range 19 {
		id := fmt.Sprint(task, ".", i)
		ops = append(ops, engine.Declare(root, state.ServiceActivity, engine.ID(id)), engine.Start(id), engine.Finish(id))
	}
	return append(ops, engine.Finish(root))
}

// benchStore opens an engine on a bolt file, both closed at the end.
func benchStore(b *testing.B, path string) (*boltstore.Store, *engine.Engine) {
	b.Helper()
	s, err := boltstore.Open(path, nil)
	if err != nil {
		b.Fatal(err)
	}
	e, err := engine.Open(context.Background(), s, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		e.Close()
		s.Close()
	})
	return s, e
}

// fillStore records whole tasks, a hundred at a time.
func fillStore(b *testing.B, e *engine.Engine, name string, tasks int) {
	b.Helper()
	for done := 0; done < tasks; {
		var pending []*engine.Pending
		for range min(100, tasks-done) {
			pending = append(pending, e.Submit(wholeTask(fmt.Sprint(name, done))...))
			done++
		}
		for _, p := range pending {
			if _, err := p.Wait(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkWholeTasks measures durable tasks given as one batch each.
func BenchmarkWholeTasks(b *testing.B) {
	for _, n := range []int{1, 8, 32, 256, 1024} {
		b.Run(fmt.Sprintf("writers=%d/store=bolt", n), func(b *testing.B) {
			_, e := benchStore(b, filepath.Join(b.TempDir(), "tasks.db"))
			w := &writers{b: b}
			round := 0
			for b.Loop() {
				var wg sync.WaitGroup
				for i := range n {
					wg.Go(func() {
						ops := wholeTask(fmt.Sprint(round, "/", i))
						begin := time.Now()
						if _, err := e.Record(b.Context(), ops...); err != nil {
							b.Error(err)
						}
						took := time.Since(begin)
						w.done.Add(int64(len(ops)))
						w.mu.Lock()
						defer w.mu.Unlock()
						w.latencies = append(w.latencies, took)
					})
				}
				wg.Wait()
				round++
			}
			w.took = b.Elapsed()
			w.report(b)
		})
	}
}

// BenchmarkWatch measures how fast consumers read past transitions.
func BenchmarkWatch(b *testing.B) {
	_, e := benchStore(b, filepath.Join(b.TempDir(), "tasks.db"))
	fillStore(b, e, "t", 200)
	last := e.Position().Sequence
	for _, consumers := range []int{1, 100} {
		b.Run(fmt.Sprintf("consumers=%d", consumers), func(b *testing.B) {
			for b.Loop() {
				var wg sync.WaitGroup
				for range consumers {
					wg.Go(func() {
						for tr, err := range e.Watch(b.Context(), store.Position{}) {
							if err != nil {
								b.Error(err)
								return
							}
							if tr.Sequence == last {
								return
							}
						}
					})
				}
				wg.Wait()
			}
			b.ReportMetric(float64(b.N)*float64(consumers)*float64(last)/b.Elapsed().Seconds(), "transitions/s")
		})
	}
}

// BenchmarkGrowth measures the same with a thousand tasks stored and with the
// number of tasks in -stored.
func BenchmarkGrowth(b *testing.B) {
	for _, stored := range []int{1_000, *storedTasks} {
		s, e := benchStore(b, filepath.Join(b.TempDir(), "tasks.db"))
		fillStore(b, e, "t", stored)
		name := fmt.Sprintf("stored=%d/", stored)
		b.Run(name+"load", func(b *testing.B) {
			i := 0
			for b.Loop() {
				i = (i*7919 + 104_729) % stored
				if _, err := s.Load(b.Context(), store.ByKey("2", fmt.Sprint("t", i))); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"list", func(b *testing.B) {
			for b.Loop() {
				if _, err := s.List(b.Context(), store.ListQuery{Limit: 100}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"commit", func(b *testing.B) {
			for n := 0; b.Loop(); n++ {
				if _, err := e.Create(b.Context(), "2", fmt.Sprint("new", n)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkOpen measures opening a file after its store was closed, and after
// its process was killed.
func BenchmarkOpen(b *testing.B) {
	for _, after := range []string{"close", "kill"} {
		b.Run("after="+after, func(b *testing.B) {
			dir := b.TempDir()
			path := filepath.Join(dir, "tasks.db")
			s, e := benchStore(b, path)
			fillStore(b, e, "t", 1_000)
			if after == "kill" {
				killed := filepath.Join(dir, "killed.db")
				copyPair(b, killed, path)
				path = killed
			} else {
				e.Close()
				s.Close()
			}
			for b.Loop() {
				s, err := boltstore.Open(path, nil)
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if after == "kill" {
					// A copy, because Close would write the journal back.
					again := path + "."
					copyPair(b, again, path)
					s.Close()
					path = again
				} else {
					s.Close()
				}
				b.StartTimer()
			}
		})
	}
}

// copyPair copies a store's file and its journal.
func copyPair(b *testing.B, to, from string) {
	b.Helper()
	copyFile(b, to, from)
	copyFile(b, to+"-journal", from+"-journal")
}

func copyFile(b *testing.B, to, from string) {
	b.Helper()
	src, err := os.Open(from)
	if err != nil {
		b.Fatal(err)
	}
	defer src.Close()
	dst, err := os.Create(to)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.Copy(dst, src); err != nil {
		b.Fatal(err)
	}
	if err := dst.Close(); err != nil {
		b.Fatal(err)
	}
}
