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

// An engine starts while one of two servers is down, and uses it once it is up.
func TestStoreOpensWhileOneOfTwoServersIsDown(t *testing.T) {
	t.Parallel()
	servers := []*pgtest.Server{newServer(t, "fsync=off"), newServer(t, "fsync=off")}
	open := func() (store.Store, *engine.Engine) {
		s, err := sharded.Open(t.Context(), []sharded.Member{database("a", servers[0]), database("b", servers[1])}, &sharded.Options{
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
	s, e := open()
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
		s, e := open()
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

// Two databases, one of which is killed while an engine writes to both, and
// started again later. A follower of the feed sees everything acknowledged,
// once.
func TestLosingAndRestoringOneOfTwoDatabasesLosesNothing(t *testing.T) {
	t.Parallel()
	servers := []*pgtest.Server{newServer(t, "fsync=off"), newServer(t, "fsync=off")}
	s, err := sharded.Open(t.Context(), []sharded.Member{database("a", servers[0]), database("b", servers[1])}, &sharded.Options{
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

	var mu sync.Mutex // protects answered and seen
	answered := map[string][]string{}
	seen := map[string][]string{}
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
	following, leave := context.WithCancel(t.Context())
	var followers sync.WaitGroup
	followers.Go(func() {
		bookmark := new(follow.Memory)
		for following.Err() == nil {
			for page, err := range follow.Follow(following, s, bookmark, &follow.Options{Limit: 50}) {
				if err != nil {
					if errors.Is(err, store.ErrHistory) || errors.Is(err, store.ErrTrimmed) {
						t.Error(err)
						return
					}
					break
				}
				mu.Lock()
				for _, tr := range page.Transitions {
					if tr.Op == state.Create {
						seen[tr.Task.Business] = append(seen[tr.Task.Business], tr.Task.Task)
					}
				}
				mu.Unlock()
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	await(t, "both databases to be written to", func() bool { a, b := counts(); return a > 50 && b > 50 })
	if err := servers[1].Kill(); err != nil {
		t.Fatal(err)
	}
	before, _ := counts()
	await(t, "the other database to be written to", func() bool { a, _ := counts(); return a > before+100 })
	if err := servers[1].Start(); err != nil {
		t.Fatal(err)
	}
	_, lost := counts()
	await(t, "the lost database to be written to again", func() bool { _, b := counts(); return b > lost+50 })
	stop()
	running.Wait()
	last, err := store.Last(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the follower to see everything", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return last != (store.Position{}) && len(seen["a1"]) >= len(answered["a1"]) && len(seen["b1"]) >= len(answered["b1"])
	})
	leave()
	followers.Wait()
	for business, tasks := range answered {
		once := slices.Compact(slices.Sorted(slices.Values(seen[business])))
		if len(once) != len(seen[business]) {
			t.Errorf("business %s: %d transitions were seen, %d different ones", business, len(seen[business]), len(once))
		}
		for _, task := range tasks {
			if _, ok := slices.BinarySearch(once, task); !ok {
				t.Errorf("business %s: task %s was answered and not seen", business, task)
			}
		}
	}
	check(t, s.(store.Checker))
}
