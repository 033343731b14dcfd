package engine_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

// BenchmarkTransitions measures durable transitions of writers, each on a
// separate task. On the bolt store, bbolt's Update of a 100-byte value under
// ascending keys runs in alternating slices of time, and x-bare is the ratio of
// the rates.
func BenchmarkTransitions(b *testing.B) {
	for _, writers := range []int{1, 8, 32, 256, 1024} {
		b.Run(fmt.Sprintf("writers=%d/store=memory", writers), func(b *testing.B) {
			s := store.NewMemory()
			defer s.Close()
			w := newWriters(b, s, writers)
			defer w.close()
			for b.Loop() {
				w.round()
			}
			w.report(b)
		})
		b.Run(fmt.Sprintf("writers=%d/store=bolt", writers), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "tasks.db")
			s, err := boltstore.Open(path, nil)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			w := newWriters(b, s, writers)
			defer w.close()
			bare := newBare(b)
			defer bare.db.Close()
			before := fileSize(b, path)
			for b.Loop() {
				w.round()
				b.StopTimer()
				bare.run(max(w.took/20, time.Millisecond))
				b.StartTimer()
			}
			w.report(b)
			b.ReportMetric(w.perSecond()/bare.perSecond(), "x-bare")
			b.ReportMetric(float64(fileSize(b, path)-before)/float64(w.done.Load()), "B-file/transition")
		})
	}
}

// writers work on a task each, in rounds of a few transitions each.
type writers struct {
	b      *testing.B
	engine *engine.Engine
	ctx    context.Context
	nodes  []string

	mu        sync.Mutex // protects latencies
	latencies []time.Duration
	done      atomic.Int64
	took      time.Duration // of all rounds
}

// perRound is the number of transitions of each writer in a round.
const perRound = 16

func newWriters(b *testing.B, s store.Store, n int) *writers {
	ctx := context.Background()
	e, err := engine.Open(ctx, s, nil)
	if err != nil {
		b.Fatal(err)
	}
	w := &writers{b: b, engine: e, ctx: ctx}
	for i := range n {
		root, err := e.Create(ctx, "2", fmt.Sprint(i))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := e.Start(ctx, root.Node); err != nil {
			b.Fatal(err)
		}
		node, err := e.Enter(ctx, root.Node, state.ServiceActivity)
		if err != nil {
			b.Fatal(err)
		}
		w.nodes = append(w.nodes, node.Node)
	}
	return w
}

func (w *writers) close() {
	if err := w.engine.Close(); err != nil {
		w.b.Error(err)
	}
}

// round makes every writer record its transitions, one after the other.
func (w *writers) round() {
	begin := time.Now()
	var wg sync.WaitGroup
	for _, node := range w.nodes {
		wg.Go(func() {
			latencies := make([]time.Duration, 0, perRound)
			for i := range perRound {
				op := w.engine.Finish
				if i%2 == 1 {
					op = w.engine.Loop
				}
				began := time.Now()
				if _, err := op(w.ctx, node); err != nil {
					w.b.Error(err)
					return
				}
				latencies = append(latencies, time.Since(began))
			}
			w.done.Add(perRound)
			w.mu.Lock()
			defer w.mu.Unlock()
			w.latencies = append(w.latencies, latencies...)
		})
	}
	wg.Wait()
	w.took += time.Since(begin)
}

func (w *writers) perSecond() float64 { return float64(w.done.Load()) / w.took.Seconds() }

// report reports the rate of transitions instead of rounds.
func (w *writers) report(b *testing.B) {
	slices.SortFunc(w.latencies, cmp.Compare[time.Duration])
	at := func(percent int) float64 {
		return float64(w.latencies[(len(w.latencies)-1)*percent/100].Nanoseconds())
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(at(50), "p50-ns")
	b.ReportMetric(at(99), "p99-ns")
	b.ReportMetric(w.perSecond(), "transitions/s")
}

// bare is the yardstick: a bbolt file with one Update for each value.
type bare struct {
	b    *testing.B
	db   *bolt.DB
	n    uint64
	took time.Duration
}

func newBare(b *testing.B) *bare {
	db, err := bolt.Open(filepath.Join(b.TempDir(), "bare.db"), 0o600, &bolt.Options{FreelistType: bolt.FreelistMapType})
	if err != nil {
		b.Fatal(err)
	}
	return &bare{b: b, db: db}
}

// run updates for about the given time, at least once.
func (y *bare) run(atLeast time.Duration) {
	value := make([]byte, 100)
	for begin := time.Now(); ; {
		err := y.db.Update(func(tx *bolt.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists([]byte("bare"))
			if err != nil {
				return err
			}
			bucket.FillPercent = 0.9
			return bucket.Put(fmt.Appendf(nil, "%016x", y.n), value)
		})
		if err != nil {
			y.b.Fatal(err)
		}
		y.n++
		if took := time.Since(begin); took >= atLeast {
			y.took += took
			return
		}
	}
}

func (y *bare) perSecond() float64 { return float64(y.n) / y.took.Seconds() }

func fileSize(b *testing.B, path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	return info.Size()
}

// BenchmarkLoad measures the beginning of a query: loading a tree from memory,
// and from the store.
func BenchmarkLoad(b *testing.B) {
	for _, nodes := range []int{100, 1_000, 10_000} {
		b.Run(fmt.Sprintf("nodes=%d/from=memory", nodes), func(b *testing.B) {
			e, root := grown(b, nodes)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Load(b.Context(), store.ByNode(root)); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("nodes=%d/from=bolt", nodes), func(b *testing.B) {
			e, root := grown(b, nodes)
			other, err := e.Create(b.Context(), "2", "other")
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				// Two trees do not fit into memory, so each is read again and
				// again.
				for _, id := range []string{other.Node, root} {
					if _, err := e.Load(b.Context(), store.ByNode(id)); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// grown is an engine that keeps one tree in memory, on a written-back file with
// a task of so many nodes.
func grown(b *testing.B, nodes int) (e *engine.Engine, root string) {
	path, ctx := filepath.Join(b.TempDir(), "tasks.db"), context.Background()
	open := func() (*boltstore.Store, *engine.Engine) {
		s, err := boltstore.Open(path, nil)
		if err != nil {
			b.Fatal(err)
		}
		e, err := engine.Open(ctx, s, &engine.Options{MaxLiveNodes: 1})
		if err != nil {
			b.Fatal(err)
		}
		return s, e
	}
	s, e := open()
	root = "root"
	ops := []engine.Op{engine.Create("2", "10", engine.ID(root)), engine.Start(root)}
	for range nodes - 1 {
		ops = append(ops, engine.Declare(root, state.ServiceActivity))
	}
	if _, err := e.Record(ctx, ops...); err != nil {
		b.Fatal(err)
	}
	e.Close()
	s.Close()
	s, e = open()
	b.Cleanup(func() {
		e.Close()
		s.Close()
	})
	return e, root
}

// BenchmarkGivenIDs measures the cost of naming nodes: 256 writers declare nodes
// with generated IDs, with given IDs that ascend like these, and with random ones,
// by turns in separate tasks. x-ascending and x-random are the ratios of the rates
// to that with generated IDs. The time to make the given IDs does not count.
func BenchmarkGivenIDs(b *testing.B) {
	const writers, each = 256, 16
	path := filepath.Join(b.TempDir(), "tasks.db")
	s, err := boltstore.Open(path, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	e, err := engine.Open(b.Context(), s, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	round := 0
	turn := func(id func(n int) string) time.Duration {
		round++
		var opts [writers * each][]engine.Option
		for n := range opts {
			if id != nil {
				opts[n] = []engine.Option{engine.ID(id(n))}
			}
		}
		var next atomic.Int64
		var wg sync.WaitGroup
		begin := time.Now()
		for w := range writers {
			wg.Go(func() {
				task := fmt.Sprintf("%d.%d", round, w)
				root, err := e.Create(b.Context(), "2", task)
				for i := 0; i < each && err == nil; i++ {
					_, err = e.Declare(b.Context(), root.Node, state.EndEvent, opts[next.Add(1)-1]...)
				}
				if err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
		return time.Since(begin)
	}
	// Both kinds are as long as generated IDs.
	ascending := func(n int) string { return fmt.Sprintf("%012x%020x", time.Now().UnixMilli(), round<<20+n) }
	random := func(int) string { return fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64()) }
	var generated, given, scattered []time.Duration
	for b.Loop() {
		generated = append(generated, turn(nil))
		given = append(given, turn(ascending))
		scattered = append(scattered, turn(random))
	}
	median := func(all []time.Duration) float64 {
		slices.Sort(all)
		return all[len(all)/2].Seconds()
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(writers*each/median(generated), "generated/s")
	b.ReportMetric(median(generated)/median(given), "x-ascending")
	b.ReportMetric(median(generated)/median(scattered), "x-random")
}
