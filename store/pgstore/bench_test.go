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
	"github.com/pipestatus/pipestatus/store/pgstore"
	"github.com/pipestatus/pipestatus/store/pgstore/pgtest"
)

// durable makes a server whose commits are durable, for measurements.
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

// fleet is engines on one database, as in separate processes.
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

// write makes each writer loop an activity of a separate task.
func write(b *testing.B, engines []*engine.Engine, writers int) {
	b.Helper()
	makeTasks(b, engines, writers)
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	loops(b, engines, writers, func() bool { return left.Add(-2) >= 0 })
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "transitions/s")
}

// rateOf is the number of transitions of the writers in a second.
func rateOf(b *testing.B, engines []*engine.Engine, writers int, span time.Duration) float64 {
	b.Helper()
	var n atomic.Int64
	begin := time.Now()
	loops(b, engines, writers, func() bool {
		more := time.Since(begin) < span
		if more {
			n.Add(2)
		}
		return more
	})
	return float64(n.Load()) / time.Since(begin).Seconds()
}

// makeTasks makes a task with an activity for each writer.
func makeTasks(b *testing.B, engines []*engine.Engine, writers int) {
	b.Helper()
	for w := range writers {
		task := fmt.Sprint("t", w)
		_, err := engines[w%len(engines)].Record(b.Context(), engine.Create("2", task, engine.ID(task)), engine.Start(task),
			engine.Declare(task, state.ServiceActivity, engine.ID(task+".n")), engine.Start(task+".n"), engine.Finish(task+".n"))
		if err != nil {
			b.Fatal(err)
		}
	}
}

// loops makes each writer loop the activity of its task, two transitions for each
// time that more returns true. All writers begin at once: asking the engines
// anything first, one task after the other, takes up to seconds if others commit.
func loops(b *testing.B, engines []*engine.Engine, writers int, more func() bool) {
	b.Helper()
	ctx := context.Background()
	var wg sync.WaitGroup
	for w := range writers {
		e, node := engines[w%len(engines)], fmt.Sprint("t", w, ".n")
		wg.Go(func() {
			for more() {
				for _, op := range []engine.Op{engine.Loop(node), engine.Finish(node)} {
					if _, err := e.Record(ctx, op); err != nil {
						b.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
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

// BenchmarkOrderOfTheFeed measures the cost of assigning sequences one commit
// at a time, with their lock held to the end of the commit and, for comparison,
// to the end of its sync. With one writer in a process, each commit has one
// transition.
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

// BenchmarkSimpleUpdate is pgbench's simple update on the same server: the
// yardstick.
func BenchmarkSimpleUpdate(b *testing.B) {
	y := newYardstick(b)
	for _, clients := range []int{1, 16, 32} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			n := max(b.N, 1_000) / clients // fewer are not significant
			b.ReportMetric(y.rate(b, clients, "-t", strconv.Itoa(n)), "transitions/s")
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

// BenchmarkBytesPerNode reports the size on disk of a node of a finished task
// of 20, in all tables and indexes together and in each.
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
			b.ReportMetric(hot(b, pool, schema, table), table+"-hot")
		}
	}
}

// hot is the share of a table's updates that wrote no index entries.
func hot(b *testing.B, pool *pgxpool.Pool, schema, table string) (part float64) {
	b.Helper()
	execSQL(b, pool, "SELECT pg_stat_clear_snapshot()")
	err := pool.QueryRow(b.Context(), `
SELECT coalesce(n_tup_hot_upd::float8 / nullif(n_tup_upd, 0), 1) FROM pg_stat_user_tables WHERE schemaname = $1 AND relname = $2`,
		schema, table).Scan(&part)
	if err != nil {
		b.Fatal(err)
	}
	return part
}

// yardstick is pgbench's simple update on the server of the measurements.
type yardstick struct{ server *pgtest.Server }

func newYardstick(b *testing.B) yardstick {
	b.Helper()
	s, err := durable()
	if err != nil {
		b.Fatal(err)
	}
	y := yardstick{s}
	y.run(b, "-i", "-q", "-s", "10")
	return y
}

func (y yardstick) run(b *testing.B, args ...string) string {
	b.Helper()
	args = append(args, "-h", y.server.Dir, "-p", strconv.Itoa(y.server.Port), "-U", "postgres", "postgres")
	output, err := exec.Command(y.server.Program("pgbench"), args...).CombinedOutput()
	if err != nil {
		b.Fatalf("pgbench: %v\n%s", err, output)
	}
	return string(output)
}

// rate is the number of transactions of the clients in a second.
func (y yardstick) rate(b *testing.B, clients int, limit ...string) float64 {
	b.Helper()
	args := append([]string{"-n", "-N", "-M", "prepared", "-c", strconv.Itoa(clients), "-j", strconv.Itoa(min(clients, 2))}, limit...)
	found := tps.FindStringSubmatch(y.run(b, args...))
	if found == nil {
		b.Fatal("pgbench says nothing")
	}
	v, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		b.Fatal(err)
	}
	return v
}

// BenchmarkAgainstPgbench compares commits with pgbench's simple update, in
// turns of a second or two, and reports medians.
func BenchmarkAgainstPgbench(b *testing.B) {
	const rounds = 5
	y := newYardstick(b)
	fleets := []struct {
		name               string
		processes, writers int
		engines            []*engine.Engine
		rates              []float64
	}{
		{name: "1x1", processes: 1, writers: 1},
		{name: "16x1", processes: 16, writers: 16},
		{name: "1x256", processes: 1, writers: 256},
		{name: "4x64", processes: 4, writers: 256},
		{name: "4x256", processes: 4, writers: 1024},
	}
	for i := range fleets {
		f := &fleets[i]
		f.engines = fleet(b, f.processes, nil)
		makeTasks(b, f.engines, f.writers)
	}
	one, sixteen := []float64{}, []float64{}
	for b.Loop() {
		for range rounds {
			one = append(one, y.rate(b, 1, "-T", "1"))
			sixteen = append(sixteen, y.rate(b, 16, "-T", "2"))
			for i := range fleets {
				f := &fleets[i]
				f.rates = append(f.rates, rateOf(b, f.engines, f.writers, 2*time.Second))
			}
		}
	}
	b.ReportMetric(median(one), "pgbench1/s")
	b.ReportMetric(median(sixteen), "pgbench16/s")
	for i := range fleets {
		b.ReportMetric(median(fleets[i].rates), fleets[i].name+"/s")
	}
	b.ReportMetric(median(fleets[0].rates)/median(one), "x1")
	b.ReportMetric(median(fleets[1].rates)/median(sixteen), "x16")
	b.ReportMetric(median(fleets[3].rates)/median(fleets[2].rates), "x64")
	b.ReportMetric(median(fleets[4].rates)/median(fleets[2].rates), "x256")
}
