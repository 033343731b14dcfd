//go:build unix

package pgstore_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/pgstore"
)

func TestTrimmingShortensTheFeedByWhatWasDeletedLongAgo(t *testing.T) {
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
	if _, err := s.Changes(t.Context(), 6, 0); !errors.Is(err, store.ErrTrimmed) {
		t.Errorf("changes after 6: %v, want %v", err, store.ErrTrimmed)
	}
	page, err := s.Changes(t.Context(), 7, 0)
	if err != nil || page.First != 8 || page.Last != 19 || len(page.Transitions) != 12 {
		t.Errorf("changes after 7: %d from %d to %d: %v, want 12 from 8 to 19", len(page.Transitions), page.First, page.Last, err)
	}
	trs, err := s.Transitions(t.Context(), locate(t, s, store.ByKey("2", "stays")).Key, 0, 0)
	if err != nil || len(trs) != 3 || trs[0].Sequence != 1 {
		t.Errorf("a task from before has %d transitions: %v, want its 3", len(trs), err)
	}
	check(t, s)
}

// More than one transaction's worth, by several at the same time.
func TestTrimmingGoesInSteps(t *testing.T) {
	pool, schema := newPool(t), newSchema()
	s := open(t, pool, pgstore.Options{Schema: schema, FeedTransitions: 1})
	e := newEngine(t, s)
	const tasks = 230
	for i := range tasks {
		task := fmt.Sprint("t", i)
		begin(t, e, task)
		if _, err := e.Revoke(t.Context(), task); err != nil {
			t.Fatal(err)
		}
		if err := e.Delete(t.Context(), "2", task); err != nil {
			t.Fatal(err)
		}
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
	page, err := s.Changes(t.Context(), 4*tasks, 0)
	if err != nil || page.First != 4*tasks+1 || len(page.Transitions) != 2 {
		t.Errorf("the feed has %d transitions from %d: %v", len(page.Transitions), page.First, err)
	}
	check(t, s)
}
