//go:build unix

package pgstore_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/store"

	"github.com/jackc/pgx/v5"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store/pgstore"
)

func TestAnOpenCommitNeitherBlocksNorReordersTheFeed(t *testing.T) {
	t.Parallel()
	pool, schema := newPool(t), newSchema()
	slow, fast := open(t, pool, pgstore.Options{Schema: schema}), open(t, pool, pgstore.Options{Schema: schema})
	var hold atomic.Bool
	held, release := make(chan struct{}), make(chan struct{})
	slow.BeforeWrite(func() {
		if hold.Load() {
			held <- struct{}{}
			<-release
		}
	})
	a, b := newEngine(t, slow), newEngine(t, fast)
	begin(t, a, "a")
	begin(t, b, "b")
	reader := open(t, pool, pgstore.Options{Schema: schema})

	hold.Store(true)
	p := a.Submit(engine.Suspend("a"))
	<-held
	hold.Store(false)
	for i := range 5 { // all of them begin later and end earlier
		enter(t, b, "b", fmt.Sprint("n", i))
	}
	seen := feed(t, reader, 0)
	if n := len(seen); n != 14 {
		t.Fatalf("%d transitions while a commit is held open, want the 14 of the others", n)
	}
	close(release)
	if _, err := p.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	rest := feed(t, reader, 14)
	if len(rest) != 1 || rest[0].Op != state.Suspend {
		t.Fatalf("after the commit was let go: %d transitions, want its one", len(rest))
	}
	check(t, reader)
}

// A transaction that may still fail assigns a sequence: no other commit gets a
// higher one before the outcome, and after a failure another commit gets the
// same one.
func TestUncommittedSequencesAreInvisible(t *testing.T) {
	t.Parallel()
	pool, schema := newPool(t), newSchema()
	s := open(t, pool, pgstore.Options{Schema: schema})
	e := newEngine(t, s)
	begin(t, e, "a")

	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if _, err := tx.Exec(t.Context(), "UPDATE "+pgx.Identifier{schema, "feed"}.Sanitize()+" SET last = last + 7"); err != nil {
		t.Fatal(err)
	}
	p := e.Submit(engine.Suspend("a"))
	await(t, "the commit to wait for its turn", func() bool {
		waiting := 0
		err := pool.QueryRow(t.Context(), `
SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE NOT l.granted AND a.query LIKE '%"`+schema+`"%'`).Scan(&waiting)
		return err == nil && waiting > 0
	})
	if n := len(feed(t, s, 0)); n != 2 {
		t.Errorf("%d transitions while sequences are not committed, want 2", n)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	results, err := p.Wait(t.Context())
	if err != nil || results[0].Sequence != 3 {
		t.Errorf("after the rollback: %+v, %v, want sequence 3", results, err)
	}
	feed(t, s, 0)
}

// A prepared transaction is in progress until it is ended explicitly, even
// across restarts of the server. Regardless of its writes and locks, the feed of
// all other tasks continues, and no transition appears before ones that readers
// have seen.
func TestAPreparedTransactionNeitherBlocksNorReordersTheFeed(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"COMMIT", "ROLLBACK"} {
		t.Run(end, func(t *testing.T) {
			pool, schema := newPool(t), newSchema()
			o := pgstore.Options{Schema: schema, Lease: hour}
			e := newEngine(t, open(t, pool, o))
			begin(t, e, "a")
			begin(t, e, "b")
			reader := open(t, pool, o)

			tx, err := pool.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Release()
			name := "'" + schema + "'"
			for _, sql := range []string{
				"BEGIN", "UPDATE " + pgx.Identifier{schema, "tasks"}.Sanitize() + " SET name = name WHERE task = 'a'", "PREPARE TRANSACTION " + name,
			} {
				if _, err := tx.Exec(t.Context(), sql); err != nil {
					t.Fatal(err)
				}
			}
			locked := e.Submit(engine.Suspend("a"))
			await(t, "the commit to wait for the task", func() bool { return waiting(pool, schema, "FOR UPDATE") })
			other := newEngine(t, open(t, pool, o))
			begin(t, other, "c")
			for i := range 5 {
				enter(t, other, "c", fmt.Sprint("n", i))
			}
			if n := len(feed(t, reader, 0)); n != 16 {
				t.Errorf("%d transitions while a transaction is prepared, want the 16 of others", n)
			}
			if _, err := tx.Exec(t.Context(), end+" PREPARED "+name); err != nil {
				t.Fatal(err)
			}
			if results, err := locked.Wait(t.Context()); err != nil || results[0].Sequence != 17 {
				t.Errorf("after its end: %+v, %v, want sequence 17", results, err)
			}
			feed(t, reader, 16)
			check(t, reader)
		})
	}
}

// await polls until a condition holds, which must be soon.
func await(t testing.TB, what string, happened func() bool) {
	t.Helper()
	for range 3_000 {
		if happened() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("waited in vain for %s", what)
}

// A handle that wrongly assumes to be alone and other handles wait for each
// other's commits; nothing else is different.
func TestHandlesThatWronglyAssumeToBeAloneKeepTheOrder(t *testing.T) {
	t.Parallel()
	pool, schema := newPool(t), newSchema()
	const handles, rounds = 6, 25
	var working sync.WaitGroup
	for i := range handles {
		s := open(t, pool, pgstore.Options{Schema: schema, Lease: hour})
		if i%3 > 0 {
			s.AloneAfter(0)
		}
		e, task := newEngine(t, s), fmt.Sprint("t", i)
		begin(t, e, task)
		working.Go(func() {
			for range rounds {
				for _, op := range []engine.Op{engine.Suspend(task), engine.Resume(task)} {
					if _, err := e.Record(t.Context(), op); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	working.Wait()
	reader := open(t, pool, pgstore.Options{Schema: schema})
	if n := len(feed(t, reader, 0)); n != handles*(2+2*rounds) {
		t.Errorf("%d transitions, want %d", n, handles*(2+2*rounds))
	}
	check(t, reader)
}

func TestEnginesOnOneDatabaseShareTasks(t *testing.T) {
	t.Parallel()
	pool, schema := newPool(t), newSchema()
	const engines, rounds, tasks = 3, 12, 2
	var es [engines]*engine.Engine
	for i := range es {
		es[i] = newEngine(t, open(t, pool, pgstore.Options{Schema: schema}))
	}
	for i := range tasks {
		begin(t, es[0], fmt.Sprint("t", i))
	}
	var wg sync.WaitGroup
	for i, e := range es {
		for k := range tasks {
			wg.Go(func() {
				for j := range rounds {
					task, node := fmt.Sprint("t", k), fmt.Sprintf("%d.%d.%d", i, k, j)
					if _, err := e.Enter(t.Context(), task, state.ServiceActivity, engine.ID(node)); err != nil {
						t.Errorf("engine %d, node %s: %v", i, node, err)
						return
					}
				}
			})
		}
	}
	var seen atomic.Int64
	watching, stop := context.WithCancel(t.Context())
	reader := open(t, pool, pgstore.Options{Schema: schema})
	var watchers sync.WaitGroup
	watchers.Go(func() {
		var from store.Position
		for after := uint64(0); watching.Err() == nil; {
			page, err := reader.Feed(t.Context(), from, 0)
			if err != nil {
				t.Error(err)
				return
			}
			for _, tr := range page.Transitions {
				if after++; tr.Sequence != after {
					t.Errorf("the feed has %d instead of %d", tr.Sequence, after)
					return
				}
			}
			from = page.After()
			seen.Store(int64(after))
		}
	})
	wg.Wait()
	const want = tasks*2 + engines*rounds*tasks*2
	await(t, "the reader to see everything", func() bool { return t.Failed() || seen.Load() == want })
	stop()
	watchers.Wait()
	check(t, reader)
}
