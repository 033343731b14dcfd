//go:build unix

package pgstore_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/pgstore"
)

// counted is a pool for a handle whose round trips are counted.
func counted(t testing.TB, conn string) (*pgxpool.Pool, *batches) {
	t.Helper()
	config, err := pgxpool.ParseConfig(conn + " pool_max_conns=4")
	if err != nil {
		t.Fatal(err)
	}
	asked := new(batches)
	config.ConnConfig.Tracer = asked
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool, asked
}

// Watchers that take their time are at different places of the feed.
func TestWatchersAtDifferentPlacesShareReads(t *testing.T) {
	t.Parallel()
	schema := newSchema()
	writer := newEngine(t, open(t, newPool(t), pgstore.Options{Schema: schema}))
	const watchers, rounds = 500, 10
	begin(t, writer, "a")
	for i := range watchers {
		begin(t, writer, strconv.Itoa(i))
	}
	pool, asked := counted(t, server.ConnString())
	s := open(t, pool, pgstore.Options{Schema: schema, Lease: hour, Poll: hour})
	last, err := store.Last(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Feed(t.Context(), last.At(last.Sequence-2*watchers), 0); err != nil {
		t.Fatal(err)
	}
	before := asked.n.Load()
	for round := range rounds {
		op := engine.Suspend("a")
		if round%2 == 1 {
			op = engine.Resume("a")
		}
		recorded, err := writer.Record(t.Context(), op)
		if err != nil {
			t.Fatal(err)
		}
		newest := recorded[0].Sequence
		var all sync.WaitGroup
		for i := range watchers {
			all.Go(func() {
				page, err := s.Feed(t.Context(), last.At(newest-uint64(i)-1), 0)
				if err != nil || len(page.Transitions) != i+1 || page.Last.Sequence != newest {
					t.Errorf("%d transitions up to %d, %v, want %d up to %d", len(page.Transitions), page.Last.Sequence, err, i+1, newest)
					return
				}
				for n, tr := range page.Transitions {
					if want := newest - uint64(i-n); tr.Sequence != want {
						t.Errorf("the feed has %d instead of %d", tr.Sequence, want)
						return
					}
				}
			})
		}
		all.Wait()
	}
	// One read for each watcher and commit would be 5,000.
	if n := asked.n.Load() - before; n > 40*rounds {
		t.Errorf("%d round trips for %d watchers of %d commits", n, watchers, rounds)
	}
}

// BenchmarkWatchers reports the transactions a second of a server whose only work
// are watchers of different paces and one writer, which commits at intervals.
func BenchmarkWatchers(b *testing.B) {
	for _, watchers := range []int{1, 10, 100, 500} {
		b.Run(fmt.Sprintf("watchers=%d", watchers), func(b *testing.B) {
			pool, schema := durablePool(b), newSchema()
			writer := newEngine(b, open(b, pool, pgstore.Options{Schema: schema}))
			begin(b, writer, "a")
			counting, asked := counted(b, pool.Config().ConnString())
			e := newEngine(b, open(b, counting, pgstore.Options{Schema: schema, Lease: hour}))
			from, err := store.Last(b.Context(), e)
			if err != nil {
				b.Fatal(err)
			}
			ctx, stop := context.WithCancel(b.Context())
			var all sync.WaitGroup
			for range watchers {
				all.Go(func() {
					for _, err := range e.Watch(ctx, from) {
						if err != nil {
							return // at the end
						}
						time.Sleep(time.Duration(rand.IntN(4)) * time.Millisecond)
					}
				})
			}
			const window = 3 * time.Second
			transactions := func() (n int64) {
				err := pool.QueryRow(b.Context(), "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()").Scan(&n)
				if err != nil {
					b.Fatal(err)
				}
				return n
			}
			for b.Loop() {
				commits, roundTrips, committed := 0, asked.n.Load(), transactions()
				for begun := time.Now(); time.Since(begun) < window; time.Sleep(2 * time.Millisecond) {
					op := engine.Suspend("a")
					if commits%2 == 1 {
						op = engine.Resume("a")
					}
					if _, err := writer.Record(ctx, op); err != nil {
						b.Fatal(err)
					}
					commits++
				}
				b.ReportMetric(float64(commits)/window.Seconds(), "commits/s")
				b.ReportMetric(float64(asked.n.Load()-roundTrips)/window.Seconds(), "round-trips/s")
				b.ReportMetric(float64(transactions()-committed)/window.Seconds(), "transactions/s")
			}
			stop()
			all.Wait()
		})
	}
}
