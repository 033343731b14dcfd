//go:build unix

package pgstore_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
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
)

var (
	growthTasks = flag.Int("growth", 3_000, "with how many tasks stored BenchmarkGrowth compares 1,000")
	growthNodes = flag.Int("growthnodes", 5, "how many nodes each of those tasks has")
)

// stored is a database with finished tasks, and engines on it as in separate
// processes.
type stored struct {
	tasks   int
	engines []*engine.Engine
	store   *pgstore.Store
	pool    *pgxpool.Pool
	schema  string
}

// fill makes a database of finished tasks, each given as one batch, by many
// writers of three engines.
func fill(b *testing.B, tasks int) *stored {
	b.Helper()
	d := &stored{tasks: tasks, pool: durablePool(b), schema: newSchema()}
	for range 3 {
		d.store = open(b, durablePool(b), pgstore.Options{Schema: d.schema, Recover: hour})
		d.engines = append(d.engines, newEngine(b, d.store))
	}
	begin := time.Now()
	var next atomic.Int64
	var writers sync.WaitGroup
	for w := range 192 {
		e := d.engines[w%len(d.engines)]
		writers.Go(func() {
			for i := next.Add(1) - 1; i < int64(tasks); i = next.Add(1) - 1 {
				if _, err := e.Record(context.Background(), wholeTask(int(i))...); err != nil {
					b.Errorf("task %d: %v", i, err)
					return
				}
				if testing.Verbose() && i%20_000 == 0 {
					fmt.Fprintf(os.Stderr, "%d of %d tasks after %v\n", i, tasks, time.Since(begin).Round(time.Second))
				}
			}
		})
	}
	writers.Wait()
	transitions := float64(tasks) * float64(3**growthNodes)
	b.Logf("%d tasks of %d nodes in %v: %.0f transitions/s", tasks, *growthNodes,
		time.Since(begin).Round(time.Second), transitions/time.Since(begin).Seconds())
	d.unfinished(b)
	for _, table := range tables {
		execSQL(b, d.pool, "VACUUM ANALYZE "+pgx.Identifier{d.schema, table}.Sanitize())
	}
	return d
}

// growthKey spreads tasks over some businesses.
func growthKey(i int) (business, task string) { return strconv.Itoa(i % 10), strconv.Itoa(i) }

// wholeTask is a task from its creation to its end.
func wholeTask(i int) []engine.Op {
	business, task := growthKey(i)
	root := fmt.Sprintf("%032x", i<<16)
	ops := []engine.Op{engine.Create(business, task, engine.ID(root)), engine.Start(root)}
	for n := 1; n < *growthNodes; n++ {
		node := fmt.Sprintf("%032x", i<<16+n)
		ops = append(ops, engine.Declare(root, state.ServiceActivity, engine.ID(node)), engine.Start(node), engine.Finish(node))
	}
	return append(ops, engine.Finish(root))
}

// rate is how often callers can run f in a second, all at once.
func rate(b *testing.B, callers int, f func(caller, i int) error) float64 {
	b.Helper()
	const span = time.Second
	var n atomic.Int64
	begin := time.Now()
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := 0; time.Since(begin) < span; i++ {
				if err := f(c, i); err != nil {
					b.Error(err)
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(n.Load()) / time.Since(begin).Seconds()
}

// snapshots reads trees of tasks at random from the database.
func (d *stored) snapshots(b *testing.B) float64 {
	return rate(b, 1, func(int, int) error {
		snap, err := d.store.Load(context.Background(), store.ByKey(growthKey(rand.IntN(d.tasks))))
		if err == nil && snap.Tree.Len() != *growthNodes {
			err = fmt.Errorf("%d nodes", snap.Tree.Len())
		}
		return err
	})
}

// lists reads pages of 20 tasks: the newest, of a business and state, and from
// somewhere in the middle.
func (d *stored) lists(b *testing.B) float64 {
	return rate(b, 1, func(_, i int) error {
		q := store.ListQuery{Limit: 20}
		switch i % 3 {
		case 1:
			q.Business, q.Shown = strconv.Itoa(rand.IntN(10)), []state.State{state.Finished}
		case 2:
			q.Cursor = strconv.Itoa(3**growthNodes*rand.IntN(d.tasks) + 1_000)
		}
		page, err := d.store.List(context.Background(), q)
		if err == nil && len(page.Tasks) != 20 {
			err = fmt.Errorf("a page of %d tasks", len(page.Tasks))
		}
		return err
	})
}

// unfinished begins a task of one activity for each writer of commits.
func (d *stored) unfinished(b *testing.B) {
	b.Helper()
	for w := range growthWriters {
		task, node := growthNode(w)
		_, err := d.engines[w%len(d.engines)].Record(b.Context(), engine.Create("2", task, engine.ID(task)), engine.Start(task),
			engine.Declare(task, state.ServiceActivity, engine.ID(node)), engine.Start(node), engine.Finish(node))
		if err != nil {
			b.Fatal(err)
		}
	}
}

const growthWriters = 48

func growthNode(writer int) (task, node string) {
	task = fmt.Sprint("unfinished ", writer)
	return task, task + ".n"
}

// transitions loops activities of unfinished tasks, with the finished ones
// stored.
func (d *stored) transitions(b *testing.B) float64 {
	return 2 * rate(b, growthWriters, func(w, _ int) error {
		e := d.engines[w%len(d.engines)]
		_, node := growthNode(w)
		_, err := e.Record(context.Background(), engine.Loop(node))
		if err == nil {
			_, err = e.Record(context.Background(), engine.Finish(node))
		}
		return err
	})
}

// bytes is the size of the database for each node, with indexes.
func (d *stored) bytes(b *testing.B) float64 {
	b.Helper()
	total := int64(0)
	for _, table := range tables {
		n := int64(0)
		name := pgx.Identifier{d.schema, table}.Sanitize()
		if err := d.pool.QueryRow(b.Context(), "SELECT pg_total_relation_size($1)", name).Scan(&n); err != nil {
			b.Fatal(err)
		}
		total += n
	}
	return float64(total) / float64(d.tasks**growthNodes)
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// BenchmarkGrowth compares the rates of a store with many tasks with those of
// one with 1,000, in turns of a second. Flags set the number and the size of
// tasks; with -v it reports progress. A million tasks need 8 GB and up to an
// hour.
func BenchmarkGrowth(b *testing.B) {
	const rounds = 7
	for b.Loop() {
		few, many := fill(b, 1_000), fill(b, *growthTasks)
		b.ReportMetric(few.bytes(b), "few-B/node")
		b.ReportMetric(many.bytes(b), "many-B/node")
		execSQL(b, many.pool, "CHECKPOINT")
		for _, m := range []struct {
			name string
			rate func(*stored, *testing.B) float64
		}{
			{"snapshots", (*stored).snapshots},
			{"lists", (*stored).lists},
			{"transitions", (*stored).transitions},
		} {
			var ofFew, ofMany []float64
			for range rounds {
				ofFew, ofMany = append(ofFew, m.rate(few, b)), append(ofMany, m.rate(many, b))
			}
			b.ReportMetric(median(ofFew), "few-"+m.name+"/s")
			b.ReportMetric(median(ofMany), "many-"+m.name+"/s")
			b.ReportMetric(median(ofFew)/median(ofMany), m.name+"-slower")
		}
	}
}
