//go:build unix

package pgstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/pgstore"
)

// large is a task of so many nodes. option, if not nil, returns one for each.
func large(b *testing.B, s *pgstore.Store, nodes int, option func(n int) engine.Option) {
	b.Helper()
	e := newEngine(b, s)
	ctx := context.Background()
	if _, err := e.Record(ctx, engine.Create("2", "10", engine.ID("10")), engine.Start("10")); err != nil {
		b.Fatal(err)
	}
	for n := 1; n < nodes; {
		var ops []engine.Op
		for range min(500, nodes-n) {
			var opts []engine.Option
			if option != nil {
				opts = append(opts, option(n))
			}
			ops = append(ops, engine.Declare("10", state.ServiceActivity, opts...))
			n++
		}
		if _, err := e.Record(ctx, ops...); err != nil {
			b.Fatal(err)
		}
	}
}

// besideSelect runs an operation in turns with a read of one row by its key, and
// reports the median of its times, also in such reads.
func besideSelect(b *testing.B, pool *pgxpool.Pool, s *pgstore.Store, run func()) {
	b.Helper()
	sql := "SELECT id FROM " + pgx.Identifier{s.Opts().Schema, "task_keys"}.Sanitize() + " WHERE business = $1 AND task = $2"
	var runs, selects []float64
	for b.Loop() {
		begun := time.Now()
		run()
		between := time.Now()
		var id int64
		if err := pool.QueryRow(context.Background(), sql, "2", "10").Scan(&id); err != nil {
			b.Fatal(err)
		}
		selects = append(selects, float64(time.Since(between)))
		runs = append(runs, float64(between.Sub(begun)))
	}
	b.ReportMetric(median(runs), "ns/op")
	b.ReportMetric(median(runs)/median(selects), "x-select")
}

// BenchmarkSnapshot reads trees from the database.
func BenchmarkSnapshot(b *testing.B) {
	for _, nodes := range []int{10, 100, 1_000, 10_000} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			pool := durablePool(b)
			s := open(b, pool, pgstore.Options{Schema: newSchema()})
			large(b, s, nodes, nil)
			ctx := context.Background()
			besideSelect(b, pool, s, func() {
				snap, err := s.Load(ctx, store.ByKey("2", "10"))
				if err != nil || snap.Tree.Len() != nodes {
					b.Fatal(err)
				}
			})
		})
	}
}

// BenchmarkKey compares finding the last node of a task by its key with reading the
// tree.
func BenchmarkKey(b *testing.B) {
	for _, nodes := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			s := open(b, durablePool(b), pgstore.Options{Schema: newSchema()})
			key := func(n int) string { return fmt.Sprint("step ", n) }
			large(b, s, nodes, func(n int) engine.Option { return engine.Key(key(n)) })
			ctx := context.Background()
			ref := store.ByNodeKey("2", "10", key(nodes-1))
			for b.Loop() {
				if _, err := s.Locate(ctx, ref); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			const trees = 20
			begun := time.Now()
			for range trees {
				if _, err := s.Load(ctx, ref); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N)/(float64(time.Since(begun))/trees), "x-tree")
		})
	}
}

// BenchmarkFeed compares reading pages of the feed with reading one row by its key.
func BenchmarkFeed(b *testing.B) {
	for _, page := range []int{1, 100, 1_000} {
		b.Run(fmt.Sprintf("page=%d", page), func(b *testing.B) {
			pool := durablePool(b)
			s := open(b, pool, pgstore.Options{Schema: newSchema()})
			large(b, s, 1_100, nil)
			ctx := context.Background()
			besideSelect(b, pool, s, func() {
				feed, err := s.Feed(ctx, store.Position{}, page)
				if err != nil || len(feed.Transitions) != page {
					b.Fatal(err)
				}
			})
		})
	}
}
