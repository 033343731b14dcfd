//go:build unix

package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/pgstore"
)

func TestTrimmingRemovesLongDeletedTasksFromTheFeed(t *testing.T) {
	t.Parallel()
	pool, schema := newPool(t), newSchema()
	s := open(t, pool, pgstore.Options{Schema: schema, FeedTransitions: 10})
	e := newEngine(t, s)
	run := func(task string) { // 3 transitions
		begin(t, e, task)
		if _, err := e.Finish(t.Context(), task); err != nil {
			t.Fatal(err)
		}
	}
	run("stays") // 1 to 3
	run("goes")  // 4 to 6
	if err := e.Delete(t.Context(), "2", "goes"); err != nil {
		t.Fatal(err)
	}
	trim := func(want int) {
		t.Helper()
		if n, err := s.Trim(t.Context()); err != nil || n != want {
			t.Errorf("%d tasks trimmed: %v, want %d", n, err, want)
		}
	}
	for i := range 3 { // 8 to 16
		run(fmt.Sprint("later", i))
	}
	trim(0)
	if n := len(feed(t, s, 0)); n != 16 {
		t.Errorf("%d transitions while the delete is among the latest, want 16", n)
	}
	run("last") // to 19
	trim(1)
	trim(0)
	if _, err := s.Feed(t.Context(), at(t, s, 6), 0); !errors.Is(err, store.ErrTrimmed) {
		t.Errorf("changes after 6: %v, want %v", err, store.ErrTrimmed)
	}
	page, err := s.Feed(t.Context(), at(t, s, 7), 0)
	if err != nil || page.First != 8 || page.Last.Sequence != 19 || len(page.Transitions) != 12 {
		t.Errorf("changes after 7: %d from %d to %d: %v, want 12 from 8 to 19", len(page.Transitions), page.First, page.Last.Sequence, err)
	}
	trs, err := s.Transitions(t.Context(), locate(t, s, store.ByKey("2", "stays")).Key, 0, 0)
	if err != nil || len(trs) != 3 || trs[0].Sequence != 1 {
		t.Errorf("a task from before has %d transitions: %v, want its 3", len(trs), err)
	}
	check(t, s)
}

// More than fits one transaction, by several at the same time.
func TestTrimmingUsesSmallSteps(t *testing.T) {
	t.Parallel()
	pool, schema := newPool(t), newSchema()
	s := open(t, pool, pgstore.Options{Schema: schema, FeedTransitions: 1})
	e := newEngine(t, s)
	const tasks = 230
	var last *engine.Pending
	for i := range tasks {
		task := fmt.Sprint("t", i)
		last = e.Submit(engine.Create("2", task, engine.ID(task)), engine.Start(task), engine.Revoke(task))
	}
	if _, err := last.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := e.Purge(t.Context(), engine.Retention{}); err != nil || n.Removed != tasks {
		t.Fatalf("%+v purged: %v", n, err)
	}
	begin(t, e, "last")
	counts := make(chan int)
	for range 2 {
		go func() {
			n, err := s.Trim(t.Context())
			if err != nil {
				t.Error(err)
			}
			counts <- n
		}()
	}
	if n := <-counts + <-counts; n != tasks {
		t.Errorf("%d tasks trimmed, want %d", n, tasks)
	}
	page, err := s.Feed(t.Context(), at(t, s, 4*tasks), 0)
	if err != nil || page.First != 4*tasks+1 || len(page.Transitions) != 2 {
		t.Errorf("the feed has %d transitions from %d: %v", len(page.Transitions), page.First, err)
	}
	check(t, s)
}

// Trimming a task with many transitions takes several steps, and a trim that
// ends between two of them leaves a correct feed and store.
func TestTrimmingALargeTaskUsesSmallSteps(t *testing.T) {
	t.Parallel()
	pool, schema := newPool(t), newSchema()
	s := open(t, pool, pgstore.Options{Schema: schema, FeedTransitions: 1, Partitions: 2})
	s.TrimRows(50)
	e := newEngine(t, s)
	begin(t, e, "large")
	var ops []engine.Op
	for range 118 {
		ops = append(ops, engine.Declare("large", state.ServiceActivity))
	}
	if _, err := e.Record(t.Context(), ops...); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Revoke(t.Context(), "large"); err != nil {
		t.Fatal(err)
	}
	if err := e.Delete(t.Context(), "2", "large"); err != nil {
		t.Fatal(err)
	}
	begin(t, e, "stays")
	transitions := pgx.Identifier{schema, "transitions"}.Sanitize()
	for i, want := range []struct {
		left, removed int
		more          bool
	}{{74, 0, true}, {24, 0, true}, {2, 1, false}, {2, 0, false}} {
		removed, more, err := s.TrimOnce(t.Context())
		if err != nil || removed != want.removed || more != want.more {
			t.Errorf("step %d: %d tasks removed, more %t, %v, want %d and %t", i, removed, more, err, want.removed, want.more)
		}
		left := 0
		if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM "+transitions).Scan(&left); err != nil || left != want.left {
			t.Errorf("step %d: %d transitions left: %v, want %d", i, left, err, want.left)
		}
		if page, err := s.Feed(t.Context(), at(t, s, 122), 0); err != nil || page.First != 123 || len(page.Transitions) != 2 {
			t.Errorf("step %d: the feed has %d transitions from %d: %v", i, len(page.Transitions), page.First, err)
		}
		check(t, s)
	}
}

// No one waits for the locks of a purge or a trim: neither writers of other
// tasks, nor readers, nor another trim.
func TestAnOpenRemovalBlocksNobody(t *testing.T) {
	t.Parallel()
	pool, schema := newPool(t), newSchema()
	o := pgstore.Options{Schema: schema, FeedTransitions: 1}
	s, other := open(t, pool, o), open(t, pool, o)
	var once sync.Once
	held, release := make(chan struct{}), make(chan struct{})
	removing := false
	s.BeforeWrite(func() {
		if removing {
			once.Do(func() { held <- struct{}{}; <-release })
		}
	})
	a, b := newEngine(t, s), newEngine(t, other)
	for i := range 5 {
		begin(t, a, fmt.Sprint("ended", i))
		if _, err := a.Finish(t.Context(), fmt.Sprint("ended", i)); err != nil {
			t.Fatal(err)
		}
	}
	work := func(task string) {
		t.Helper()
		begin(t, b, task)
		enter(t, b, task, task+".n")
		if page, err := other.List(t.Context(), store.ListQuery{}); err != nil || len(page.Tasks) == 0 {
			t.Errorf("list: %d tasks, %v", len(page.Tasks), err)
		}
		if _, err := other.Load(t.Context(), store.ByKey("2", task)); err != nil {
			t.Error(err)
		}
		feed(t, other, 15)
	}
	removing = true
	purged := make(chan int)
	go func() {
		n, err := a.Purge(t.Context(), engine.Retention{})
		if err != nil {
			t.Error(err)
		}
		purged <- n.Removed
	}()
	<-held
	work("during the purge")
	if _, err := other.Load(t.Context(), store.ByKey("2", "ended3")); err != nil {
		t.Errorf("a task whose purge has not committed: %v", err)
	}
	close(release)
	if n := <-purged; n != 5 {
		t.Errorf("%d tasks purged, want 5", n)
	}

	tx, err := pool.Begin(t.Context()) // as a trim begins
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	gone := pgx.Identifier{schema, "tasks"}.Sanitize()
	if _, err := tx.Exec(t.Context(), "SELECT 1 FROM "+gone+" WHERE gone ORDER BY revision LIMIT 3 FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	work("during the trim")
	if n, err := other.Trim(t.Context()); err != nil || n != 2 {
		t.Errorf("another trim removed %d tasks: %v, want the 2 that are left to it", n, err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := other.Trim(t.Context()); err != nil || n != 3 {
		t.Errorf("the trim after it removed %d tasks: %v, want 3", n, err)
	}
	check(t, other)
}

// Two engines purge and trim while others write and one follows the feed.
func TestPurgingAndTrimmingDuringWritesAndReads(t *testing.T) {
	t.Parallel()
	pool, schema := newPool(t), newSchema()
	o := pgstore.Options{Schema: schema, FeedTransitions: 20, Partitions: 2}
	const writers, tasks = 4, 25
	begin(t, newEngine(t, open(t, pool, o)), "stays")

	working, stop := context.WithCancel(t.Context())
	var removers sync.WaitGroup
	var mu sync.Mutex
	purged, trimmed := 0, 0
	remove := func(e *engine.Engine, s *pgstore.Store) error {
		p, err := e.Purge(t.Context(), engine.Retention{Keep: 3})
		if err != nil {
			return err
		}
		n, err := s.Trim(t.Context())
		mu.Lock()
		defer mu.Unlock()
		purged, trimmed = purged+p.Removed, trimmed+n
		return err
	}
	for range 2 {
		s := open(t, pool, o)
		s.TrimRows(7)
		e := newEngine(t, s)
		removers.Go(func() {
			for working.Err() == nil {
				if err := remove(e, s); err != nil {
					t.Error("remove:", err)
					return
				}
			}
		})
	}
	reader := open(t, pool, o)
	removers.Go(func() {
		for after := uint64(0); working.Err() == nil; {
			page, err := reader.Feed(t.Context(), at(t, reader, after), 0)
			if errors.Is(err, store.ErrTrimmed) {
				if page, err = reader.Feed(t.Context(), store.End, 0); err == nil {
					after = page.First - 1
					continue
				}
			}
			if err != nil {
				t.Error("changes:", err)
				return
			}
			for _, tr := range page.Transitions {
				if after++; tr.Sequence != after {
					t.Errorf("the feed has %d instead of %d", tr.Sequence, after)
					return
				}
			}
		}
	})
	var wg sync.WaitGroup
	for w := range writers {
		e := newEngine(t, open(t, pool, o))
		wg.Go(func() {
			for i := range tasks {
				task := fmt.Sprintf("%d.%d", w, i)
				for _, ops := range [][]engine.Op{
					{engine.Create("2", task, engine.ID(task)), engine.Start(task)},
					{engine.Declare(task, state.ServiceActivity, engine.ID(task+".n")), engine.Start(task + ".n")},
					{engine.Finish(task + ".n")},
					{engine.Finish(task)},
				} {
					if _, err := e.Record(t.Context(), ops...); err != nil {
						t.Errorf("task %s: %v", task, err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	stop()
	removers.Wait()
	last := open(t, pool, o)
	if err := remove(newEngine(t, last), last); err != nil {
		t.Error(err)
	}
	page, err := last.List(t.Context(), store.ListQuery{})
	if err != nil || len(page.Tasks) != 4 || page.Tasks[3].Key.Task != "stays" || !page.Tasks[3].Unfinished() {
		t.Errorf("%d tasks are left: %v, want the newest 3 and the unfinished one", len(page.Tasks), err)
	}
	if purged != writers*tasks-3 || trimmed == 0 || trimmed > purged {
		t.Errorf("%d tasks purged and %d trimmed of %d", purged, trimmed, writers*tasks)
	}
	check(t, last)
}

// at is the position of a sequence in a store's present history.
func at(t testing.TB, r store.Reader, sequence uint64) store.Position {
	t.Helper()
	last, err := store.Last(context.Background(), r)
	if err != nil {
		t.Error("last position:", err)
	}
	return last.At(sequence)
}
