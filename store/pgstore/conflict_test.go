//go:build unix

package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/pgstore"
	"github.com/pipestatus/pipestatus/store/storetest"
)

// A runner whose activities report all the time commits one change of the task
// after the other. An operator's request must get a turn.
func TestARequestIsNotStarvedByABusyRunner(t *testing.T) {
	t.Parallel()
	pool, schema := newPool(t), newSchema()
	o := pgstore.Options{Schema: schema, Lease: hour}
	runner, operator := newEngine(t, open(t, pool, o)), newEngine(t, open(t, pool, o))
	begin(t, runner, "busy")
	const activities, requests = 8, 40
	for i := range activities {
		node := fmt.Sprint("n", i)
		_, err := runner.Record(t.Context(), engine.Declare("busy", state.ServiceActivity, engine.ID(node)), engine.Start(node), engine.Finish(node))
		if err != nil {
			t.Fatal(err)
		}
	}
	running, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range activities {
		wg.Go(func() {
			for node := fmt.Sprint("n", i); running.Err() == nil; {
				if _, err := runner.Record(t.Context(), engine.Loop(node), engine.Finish(node)); err != nil {
					t.Errorf("runner, activity %s: %v", node, err)
					return
				}
			}
		})
	}
	for i := range requests {
		if _, err := operator.Enter(t.Context(), "busy", state.ServiceActivity); err != nil {
			t.Errorf("request %d: %v", i, err)
		}
	}
	stop()
	wg.Wait()
}

// A rival changes the task whenever an engine has read it and not committed
// yet. Once the engine has lost to it, the rival waits.
func TestTheLoserOfAConflictHasTheNextTurn(t *testing.T) {
	t.Parallel()
	pool, schema := newPool(t), newSchema()
	o := pgstore.Options{Schema: schema, Lease: hour}
	rival := newEngine(t, open(t, pool, o))
	begin(t, rival, "a")
	claiming := open(t, pool, o)
	claiming.HoldFor(hour)
	var rivals sync.WaitGroup
	tries := 0
	e := newEngine(t, &storetest.Wrapper{Store: claiming, BeforeCommit: func(context.Context, []store.Write) error {
		tries++
		done := make(chan struct{})
		rivals.Go(func() {
			defer close(done)
			if _, err := rival.Declare(context.Background(), "a", state.EndEvent); err != nil {
				t.Errorf("rival: %v", err)
			}
		})
		await(t, "the rival to commit or to wait", func() bool {
			select {
			case <-done:
				return true
			default:
				return waiting(pool, schema, "FOR UPDATE")
			}
		})
		return nil
	}})
	for i := range 3 {
		tries = 0
		if _, err := e.Declare(t.Context(), "a", state.EndEvent); err != nil {
			t.Fatal(err)
		}
		rivals.Wait()
		if tries != 2 {
			t.Errorf("request %d took %d tries, want one that loses and one that has its turn", i, tries)
		}
	}
	check(t, claiming)
}

// An unused claim is released: after a while, by another commit, and by Close.
func TestAnUnusedClaimIsReleased(t *testing.T) {
	t.Parallel()
	pool, schema := newPool(t), newSchema()
	o := pgstore.Options{Schema: schema, Lease: hour}
	e := newEngine(t, open(t, pool, o))
	begin(t, e, "a")
	begin(t, e, "b")
	stale := store.Write{Base: 1, Transitions: []*state.Transition{{
		Task: state.Key{Business: "2", Task: "a"}, Op: state.Suspend, Shown: state.Suspended,
		At: state.UnixInstant(1, 0), Recorded: state.UnixInstant(1, 0),
		Changes: []state.Change{{ID: "a", Kind: state.Pipeline, From: state.Running, Progress: state.Progress{Updated: state.UnixInstant(1, 0), Attempt: state.Attempt{State: state.Suspended, Began: state.Create, Loop: 1}}}},
	}}}
	other := stale
	tr := *stale.Transitions[0]
	tr.Task.Task = "b"
	other.Transitions = []*state.Transition{&tr}
	for _, c := range []struct {
		name  string
		hold  time.Duration
		letGo func(s *pgstore.Store) error
	}{
		{"after a while", 20 * time.Millisecond, func(*pgstore.Store) error { return nil }},
		{"by a commit of something else", hour, func(s *pgstore.Store) error {
			_, err := s.Commit(t.Context(), []store.Write{{Base: 99, Transitions: other.Transitions}})
			s.HoldFor(time.Millisecond)
			return err
		}},
		{"by closing", hour, (*pgstore.Store).Close},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, pool, o)
			s.HoldFor(c.hold)
			results, err := s.Commit(t.Context(), []store.Write{stale})
			if err != nil || !errors.Is(results[0].Err, store.ErrConflict) {
				t.Fatalf("a stale change: %v, %v", results, err)
			}
			if err := c.letGo(s); err != nil {
				t.Error(err)
			}
			if _, err := e.Record(t.Context(), engine.Suspend("a"), engine.Resume("a")); err != nil {
				t.Error(err)
			}
		})
	}
}

// waiting reports whether a statement that has a text waits for a lock.
func waiting(pool *pgxpool.Pool, schema, text string) bool {
	n := 0
	err := pool.QueryRow(context.Background(), `
SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE NOT l.granted AND a.query LIKE '%"' || $1 || '"%' || $2 || '%'`, schema, text).Scan(&n)
	return err == nil && n > 0
}
