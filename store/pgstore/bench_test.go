//go:build unix

package pgstore_test

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/pgstore"
	"github.com/pipestatus/pipestatus/store/pgstore/pgtest"
)

// durable makes a server that keeps what it says it keeps, for measurements.
var durable = sync.OnceValues(func() (s *pgtest.Server, err error) {
	s, err = pgtest.New("shared_buffers=256MB", "max_wal_size=4GB")
	durableServer = s
	return s, err
})

var durableServer *pgtest.Server // nil if nothing was measured

func removeDurable() {
	if durableServer != nil {
		durableServer.Remove()
	}
}

func durablePool(b *testing.B) *pgxpool.Pool {
	b.Helper()
	s, err := durable()
	if err != nil {
		b.Fatal(err)
	}
	pool, err := pgxpool.New(context.Background(), s.ConnString()+" pool_max_conns=4")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	return pool
}

// fleet is engines on one database, as in processes of their own.
func fleet(b *testing.B, processes int, spoil func(*pgstore.Store)) []*engine.Engine {
	b.Helper()
	schema := newSchema()
	engines := make([]*engine.Engine, processes)
	for i := range engines {
		pool := durablePool(b)
		s := open(b, pool, pgstore.Options{Schema: schema})
		if spoil != nil {
			spoil(s)
		}
		engines[i] = newEngine(b, s)
	}
	return engines
}

// write lets writers loop an activity each, of their own tasks.
func write(b *testing.B, engines []*engine.Engine, writers int) {
	b.Helper()
	ctx := context.Background()
	for w := range writers {
		e, task := engines[w%len(engines)], fmt.Sprint("t", w)
		_, err := e.Record(ctx, engine.Create("2", task, engine.ID(task)), engine.Start(task),
			engine.Declare(task, state.ServiceActivity, engine.ID(task+".n")), engine.Start(task+".n"), engine.Finish(task+".n"))
		if err != nil {
			b.Fatal(err)
		}
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			e, node := engines[w%len(engines)], fmt.Sprintf("t%d.n", w)
			for i := 0; left.Add(-1) >= 0; i++ {
				op := engine.Loop(node)
				if i%2 == 1 {
					op = engine.Finish(node)
				}
				if _, err := e.Record(ctx, op); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "transitions/s")
}

func BenchmarkDurableTransitions(b *testing.B) {
	for _, processes := range []int{1, 4} {
		for _, writers := range []int{1, 32, 256, 1024} {
			if writers < processes {
				continue
			}
			b.Run(fmt.Sprintf("processes=%d/writers=%d", processes, writers), func(b *testing.B) {
				write(b, fleet(b, processes, nil), writers)
			})
		}
	}
}

// BenchmarkOrderOfTheFeed is what it costs to give sequences out one commit at
// a time, with their lock held to the end of the commit and, for comparison, of
// its sync. With one writer a process a transition is a commit.
func BenchmarkOrderOfTheFeed(b *testing.B) {
	for _, locked := range []string{"to the commit", "to the disk"} {
		for _, processes := range []int{1, 4, 16} {
			b.Run(fmt.Sprintf("processes=%d/locked=%s", processes, locked), func(b *testing.B) {
				write(b, fleet(b, processes, func(s *pgstore.Store) {
					if locked == "to the disk" {
						s.WriteDurably()
					}
				}), processes)
			})
		}
	}
}

var tps = regexp.MustCompile(`tps = ([0-9.]+)`)

// BenchmarkSimpleUpdate is pgbench's, on the same server: the yardstick.
func BenchmarkSimpleUpdate(b *testing.B) {
	s, err := durable()
	if err != nil {
		b.Fatal(err)
	}
	bench := func(b *testing.B, args ...string) string {
		b.Helper()
		args = append(args, "-h", s.Dir, "-p", strconv.Itoa(s.Port), "-U", "postgres", "postgres")
		output, err := exec.Command(s.Program("pgbench"), args...).CombinedOutput()
		if err != nil {
			b.Fatalf("pgbench: %v\n%s", err, output)
		}
		return string(output)
	}
	bench(b, "-i", "-q", "-s", "10")
	for _, clients := range []int{1, 16, 32} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			n := max(b.N, 1_000) / clients // fewer say nothing
			found := tps.FindStringSubmatch(bench(b, "-n", "-N", "-M", "prepared", "-c", strconv.Itoa(clients), "-j", "2", "-t", strconv.Itoa(n)))
			if found == nil {
				b.Fatal("pgbench says nothing")
			}
			v, err := strconv.ParseFloat(found[1], 64)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(v, "transitions/s")
		})
	}
}

// grow makes finished tasks of 20 nodes each.
func grow(b *testing.B, e *engine.Engine, tasks int) {
	b.Helper()
	var wg sync.WaitGroup
	slots := make(chan struct{}, 64)
	for i := range tasks {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			root, err := e.Create(context.Background(), "2", strconv.Itoa(i))
			if err == nil {
				_, err = e.Start(context.Background(), root.Node)
			}
			for range 19 {
				if err != nil {
					break
				}
				var n engine.Result
				if n, err = e.Enter(context.Background(), root.Node, state.ServiceActivity); err == nil {
					_, err = e.Finish(context.Background(), n.Node)
				}
			}
			if err == nil {
				_, err = e.Finish(context.Background(), root.Node)
			}
			if err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
}

// BenchmarkBytesPerNode reports what a node of a finished task of 20 takes on
// disk, all tables and indexes included, and each of them.
func BenchmarkBytesPerNode(b *testing.B) {
	const tasks = 2_000
	for b.Loop() {
		pool, schema := durablePool(b), newSchema()
		s := open(b, pool, pgstore.Options{Schema: schema})
		grow(b, newEngine(b, s), tasks)
		for _, table := range []string{"task_keys", "node_ids", "tasks", "nodes", "transitions"} {
			name := pgx.Identifier{schema, table}.Sanitize()
			execSQL(b, pool, "VACUUM "+name)
			var heap, indexes int64
			err := pool.QueryRow(b.Context(), "SELECT pg_table_size($1), pg_indexes_size($1)", name).Scan(&heap, &indexes)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(heap)/tasks/20, table+"-B/node")
			b.ReportMetric(float64(indexes)/tasks/20, table+"-index-B/node")
		}
	}
}

// BenchmarkSnapshot is a cold one: a tree read from the database.
func BenchmarkSnapshot(b *testing.B) {
	for _, nodes := range []int{10, 100, 1_000, 10_000} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			pool := durablePool(b)
			s := open(b, pool, pgstore.Options{Schema: newSchema()})
			e := newEngine(b, s)
			ctx := context.Background()
			if _, err := e.Record(ctx, engine.Create("2", "10", engine.ID("10")), engine.Start("10")); err != nil {
				b.Fatal(err)
			}
			for n := 1; n < nodes; n += 500 {
				var ops []engine.Op
				for range min(500, nodes-n) {
					ops = append(ops, engine.Declare("10", state.ServiceActivity))
				}
				if _, err := e.Record(ctx, ops...); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				snap, err := s.Load(ctx, store.ByKey("2", "10"))
				if err != nil || snap.Tree.Len() != nodes {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			// The yardstick: one row by its key.
			const rows = 2_000
			sql := "SELECT id FROM " + pgx.Identifier{s.Opts().Schema, "task_keys"}.Sanitize() + " WHERE business = $1 AND task = $2"
			begun := time.Now()
			for range rows {
				var id int64
				if err := pool.QueryRow(ctx, sql, "2", "10").Scan(&id); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N)/(float64(time.Since(begun))/rows), "x-select")
		})
	}
}
