//go:build unix

package pgstore_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/pgstore"
)

func TestCommitsOfOtherHandlesAreReported(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		options pgstore.Options
	}{
		{"by notifications", pgstore.Options{Poll: hour}},
		{"by polling", pgstore.Options{Poll: 20 * time.Millisecond, NoNotify: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			pool := newPool(t)
			c.options.Schema = newSchema()
			e := newEngine(t, open(t, pool, pgstore.Options{Schema: c.options.Schema}))
			begin(t, e, "a")
			s := open(t, pool, c.options)
			seen := len(feed(t, s, 0))
			for range 3 {
				for _, op := range []engine.Op{engine.Suspend("a"), engine.Resume("a")} {
					changed := s.Changed()
					if _, err := e.Record(t.Context(), op); err != nil {
						t.Fatal(err)
					}
					<-changed
					for len(feed(t, s, 0)) == seen { // it was a false alarm
						changed := s.Changed()
						if len(feed(t, s, 0)) > seen {
							break
						}
						<-changed
					}
					seen++
				}
			}
			last := s.Changed()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			<-last
			<-s.Changed()
		})
	}
}

// batches counts messages to the server: each query or batch is a round trip.
type batches struct{ n atomic.Int64 }

func (b *batches) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	b.n.Add(1)
	return ctx
}

func (b *batches) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	b.n.Add(1)
	return ctx
}
func (*batches) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData)     {}
func (*batches) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (*batches) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

// Two hundred watchers of one handle wake up together and read the same page.
func TestHundredsOfWatchersCostTheServerLikeAFew(t *testing.T) {
	t.Parallel()
	schema := newSchema()
	writer := newEngine(t, open(t, newPool(t), pgstore.Options{Schema: schema}))
	begin(t, writer, "a")
	pool, asked := counted(t, server.ConnString())
	s := open(t, pool, pgstore.Options{Schema: schema, Lease: hour, Poll: hour})

	const watchers, commits = 200, 20
	var seen [commits + 1]atomic.Int64 // watchers that have seen so many commits
	var all sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for range watchers {
		all.Go(func() {
			var after store.Position
			for n := -2; n < commits; { // two commits began the task
				changed := s.Changed()
				page, err := s.Feed(ctx, after, 0)
				if err != nil {
					t.Error(err)
					stop()
					return
				}
				for range page.Transitions {
					if n++; n >= 0 {
						seen[n].Add(1)
					}
				}
				after = page.After()
				if len(page.Transitions) > 0 {
					continue
				}
				select {
				case <-changed:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	for i := range commits {
		await(t, "all watchers to have seen what there is", func() bool { return ctx.Err() != nil || seen[i].Load() == watchers })
		op := engine.Suspend("a")
		if i%2 == 1 {
			op = engine.Resume("a")
		}
		if _, err := writer.Record(t.Context(), op); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	stop()
	// One read for each watcher and commit would be 4,000.
	if n := asked.n.Load(); n > 40*commits {
		t.Errorf("%d round trips for %d watchers of %d commits", n, watchers, commits)
	}
}
