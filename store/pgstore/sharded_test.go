//go:build unix

package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	follow "github.com/pipestatus/pipestatus/store/feed"
	"github.com/pipestatus/pipestatus/store/pgstore"
	"github.com/pipestatus/pipestatus/store/pgstore/pgtest"
	"github.com/pipestatus/pipestatus/store/sharded"
)

// database is a member on a server. An outage should not hold up the others for
// long.
func database(name string, server *pgtest.Server) sharded.Member {
	return sharded.Member{Name: name, Open: func(ctx context.Context) (store.Store, error) {
		s, err := pgstore.Open(ctx, server.ConnString(), &pgstore.Options{Owner: "sharded test", Recover: time.Second, Poll: 20 * time.Millisecond})
		if err != nil {
			return nil, err
		}
		return s, nil
	}}
}

// openFleet opens a store of members named a, b and so on, and an engine on it.
// Businesses go to the member that is their first letter.
func openFleet(t *testing.T, servers []*pgtest.Server) (store.Store, *engine.Engine) {
	t.Helper()
	var members []sharded.Member
	for i, server := range servers {
		members = append(members, database(string(rune('a'+i)), server))
	}
	s, err := sharded.Open(t.Context(), members, &sharded.Options{
		Place: func(business string) string { return business[:1] },
		Retry: 20 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	e, err := engine.Open(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return s, e
}

// An engine starts while one of two servers is down, and uses it once it is up.
func TestStoreOpensWhileOneOfTwoServersIsDown(t *testing.T) {
	t.Parallel()
	servers := []*pgtest.Server{newServer(t, "fsync=off"), newServer(t, "fsync=off")}
	s, e := openFleet(t, servers)
	for _, business := range []string{"a1", "b1"} {
		if _, err := e.Create(t.Context(), business, "10"); err != nil {
			t.Fatal(err)
		}
	}
	e.Close()
	s.Close()
	for down, business := range []string{"a1", "b1"} { // the first one has the records
		other := []string{"b1", "a1"}[down]
		if err := servers[down].Kill(); err != nil {
			t.Fatal(err)
		}
		s, e := openFleet(t, servers)
		task := "started without " + business[:1]
		if _, err := e.Create(t.Context(), other, task); err != nil {
			t.Errorf("a task on the server that is there: %v", err)
		}
		var lost *sharded.MemberError
		if _, err := e.Create(t.Context(), business, task); !errors.Is(err, store.ErrUnavailable) || !errors.As(err, &lost) || lost.Member != business[:1] {
			t.Errorf("a task on the server that is down: %v, want an error that names it", err)
		}
		if page, err := e.List(t.Context(), store.ListQuery{Business: other}); err != nil || len(page.Tasks) < 2 {
			t.Errorf("%d tasks are listed, %v, want those on the server that is there", len(page.Tasks), err)
		}
		if page, err := e.List(t.Context(), store.ListQuery{}); err != nil || len(page.Missing) != 1 {
			t.Errorf("of the list %d members are missing, %v, want one", len(page.Missing), err)
		}
		if err := servers[down].Start(); err != nil {
			t.Fatal(err)
		}
		await(t, "the server to be used again", func() bool {
			_, err := e.Create(t.Context(), business, task)
			return err == nil
		})
		check(t, s.(store.Checker))
		e.Close()
		s.Close()
	}
}

// witness follows the feed and remembers the tasks that it has seen being created,
// as often as it has seen that.
type witness struct {
	bookmark follow.Memory

	mu   sync.Mutex // protects seen
	seen map[string][]string
}

// follow follows until ctx ends. It begins again after each error.
func (w *witness) follow(ctx context.Context, t *testing.T, s store.Store) {
	for ctx.Err() == nil {
		for page, err := range follow.Follow(ctx, s, &w.bookmark, &follow.Options{Limit: 50}) {
			if errors.Is(err, store.ErrHistory) || errors.Is(err, store.ErrTrimmed) {
				t.Error(err)
				return
			}
			if err != nil {
				break
			}
			w.mu.Lock()
			for _, tr := range page.Transitions {
				if tr.Op == state.Create {
					w.seen[tr.Task.Business] = append(w.seen[tr.Task.Business], tr.Task.Task)
				}
			}
			w.mu.Unlock()
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// sawAll waits until everything answered was seen, and checks that nothing was seen
// twice.
func (w *witness) sawAll(t *testing.T, answered map[string][]string) {
	t.Helper()
	await(t, "the follower to see everything", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		for business, tasks := range answered {
			if len(w.seen[business]) < len(tasks) {
				return false
			}
		}
		return true
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	for business, tasks := range answered {
		once := slices.Compact(slices.Sorted(slices.Values(w.seen[business])))
		if len(once) != len(w.seen[business]) {
			t.Errorf("business %s: %d transitions were seen, %d different ones", business, len(w.seen[business]), len(once))
		}
		for _, task := range tasks {
			if _, ok := slices.BinarySearch(once, task); !ok {
				t.Errorf("business %s: task %s was answered and not seen", business, task)
			}
		}
	}
}

// Two databases, one of which is killed while an engine writes to both, and
// started again later. A follower of the feed sees everything acknowledged,
// once, and continues after a third database was added.
func TestLosingRestoringAndAddingADatabaseLosesNothing(t *testing.T) {
	t.Parallel()
	servers := []*pgtest.Server{newServer(t, "fsync=off"), newServer(t, "fsync=off")}
	s, e := openFleet(t, servers)
	var mu sync.Mutex // protects answered
	answered := map[string][]string{}
	counts := func() (a, b int) { mu.Lock(); defer mu.Unlock(); return len(answered["a1"]), len(answered["b1"]) }
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, business := range []string{"a1", "b1"} {
		running.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				// The outcome of a failed request is unknown, so the next one
				// has another name.
				task := fmt.Sprint(i)
				if _, err := e.Create(ctx, business, task); err != nil {
					time.Sleep(5 * time.Millisecond)
					continue
				}
				mu.Lock()
				answered[business] = append(answered[business], task)
				mu.Unlock()
			}
		})
	}
	follower := &witness{seen: map[string][]string{}}
	following, leave := context.WithCancel(t.Context())
	var followers sync.WaitGroup
	followers.Go(func() { follower.follow(following, t, s) })

	await(t, "both databases to be written to", func() bool { a, b := counts(); return a > 50 && b > 50 })
	if err := servers[1].Kill(); err != nil {
		t.Fatal(err)
	}
	before, _ := counts()
	await(t, "the other database to be written to", func() bool { a, _ := counts(); return a > before+100 })
	page, err := e.List(t.Context(), store.ListQuery{})
	if lost := (*sharded.MemberError)(nil); err != nil || len(page.Missing) != 1 || !errors.As(page.Missing[0], &lost) || lost.Member != "b" {
		t.Errorf("a list of all misses %v, %v, want member b", page.Missing, err)
	}
	if slices.ContainsFunc(page.Tasks, func(task store.Task) bool { return task.Key.Business != "a1" }) || len(page.Tasks) == 0 {
		t.Errorf("a list of all has %d tasks, want those of the other database only", len(page.Tasks))
	}
	if err := servers[1].Start(); err != nil {
		t.Fatal(err)
	}
	_, lost := counts()
	await(t, "the lost database to be written to again", func() bool { _, b := counts(); return b > lost+50 })
	stop()
	running.Wait()
	follower.sawAll(t, answered)
	leave()
	followers.Wait()
	check(t, s.(store.Checker))

	tasks := keys(t, s)
	e.Close()
	s.Close()
	s, e = openFleet(t, append(servers, newServer(t, "fsync=off")))
	if got := keys(t, s); !slices.Equal(got, tasks) {
		t.Errorf("with another database there are %d tasks, want the same %d", len(got), len(tasks))
	}
	for _, business := range []string{"c1", "a1", "b1"} {
		if _, err := e.Create(t.Context(), business, "added"); err != nil {
			t.Fatal(err)
		}
		answered[business] = append(answered[business], "added")
	}
	following, leave = context.WithCancel(t.Context())
	followers.Go(func() { follower.follow(following, t, s) })
	follower.sawAll(t, answered)
	leave()
	followers.Wait()
	for business, log := range map[string]int{"a1": 0, "b1": 1, "c1": 2} {
		at, err := s.Locate(t.Context(), store.ByKey(business, "added"))
		if err != nil || store.LogOf(at.Revision) != log {
			t.Errorf("business %s is on database %d, %v, want %d", business, store.LogOf(at.Revision), err, log)
		}
	}
	check(t, s.(store.Checker))
}

// keys lists all tasks in order.
func keys(t *testing.T, s store.Store) (all []string) {
	t.Helper()
	for task, err := range store.Tasks(t.Context(), s, store.ListQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, task.Key.String())
	}
	slices.Sort(all)
	return all
}
