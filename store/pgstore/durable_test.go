//go:build unix

package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/pgstore"
	"github.com/pipestatus/pipestatus/store/pgstore/pgtest"
)

// setStandbys sets the standbys that a server's commits wait for.
func setStandbys(t *testing.T, pool *pgxpool.Pool, names string) {
	t.Helper()
	execSQL(t, pool, "ALTER SYSTEM SET synchronous_standby_names = '"+names+"'")
	execSQL(t, pool, "SELECT pg_reload_conf()")
	// Sessions wait once the checkpointer has told them, whatever they have read.
	await(t, "the setting to be in force", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := pool.Exec(ctx, "SELECT pg_logical_emit_message(true, '', '')")
		return (err == nil) == (names == "")
	})
}

// A commit releases its locks before the disk and the standby have it. Until
// they have it, no reader shows it or its removals.
func TestAnswersWaitForTheStandby(t *testing.T) {
	t.Parallel()
	primary := newServer(t, "fsync=off")
	pool, err := pgxpool.New(t.Context(), primary.ConnString()+" pool_max_conns=20")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	o := pgstore.Options{Lease: hour, Recover: time.Minute}
	s := open(t, pool, o)
	e := newEngine(t, s)
	begin(t, e, "a")
	begin(t, e, "gone")
	enter(t, e, "a", "n")
	for _, op := range []engine.Op{engine.Revoke("gone"), engine.Fail("n", "x")} {
		if _, err := e.Record(t.Context(), op); err != nil {
			t.Fatal(err)
		}
	}
	reader := open(t, pool, o)
	from, err := store.Last(t.Context(), reader)
	if err != nil {
		t.Fatal(err)
	}

	setStandbys(t, pool, "nobody")
	retried := e.Submit(engine.Retry("n"))
	var deleted sync.WaitGroup
	deleted.Go(func() {
		if _, err := s.Commit(context.Background(), []store.Write{deletion(t, pool, s, "gone")}); err != nil {
			t.Error(err)
		}
	})
	await(t, "both to be committed but not answered", func() bool {
		var last uint64
		err := pool.QueryRow(t.Context(), "SELECT last FROM pipestatus.feed").Scan(&last)
		return err == nil && last == from.Sequence+2
	})
	reads := map[string]func(ctx context.Context) error{
		"load":   func(ctx context.Context) error { _, err := reader.Load(ctx, store.ByNode("n")); return err },
		"locate": func(ctx context.Context) error { _, err := reader.Locate(ctx, store.ByKey("2", "a")); return err },
		"list": func(ctx context.Context) error {
			_, err := reader.List(ctx, store.ListQuery{Business: "none"})
			return err
		},
		"attempts": func(ctx context.Context) error {
			_, err := reader.Attempts(ctx, store.ByNode("n"), store.AttemptQuery{})
			return err
		},
		"feed":      func(ctx context.Context) error { _, err := reader.Feed(ctx, from, 0); return err },
		"not found": func(ctx context.Context) error { _, err := reader.Load(ctx, store.ByKey("2", "gone")); return err },
		"transitions": func(ctx context.Context) error {
			_, err := reader.Transitions(ctx, state.Key{Business: "2", Task: "a"}, 0, 0)
			return err
		},
	}
	for _, name := range slices.Sorted(maps.Keys(reads)) {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		if err := reads[name](ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s answered while the standby had not: %v", name, err)
		}
		cancel()
	}
	setStandbys(t, pool, "")
	if _, err := retried.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	deleted.Wait()
	for _, name := range slices.Sorted(maps.Keys(reads)) {
		if err := reads[name](t.Context()); (err == nil) == (name == "not found") {
			t.Errorf("%s afterwards: %v", name, err)
		}
	}
	check(t, reader)
}

// deletion is the write that deletes a task.
func deletion(t *testing.T, pool *pgxpool.Pool, s *pgstore.Store, task string) store.Write {
	key := state.Key{Business: "2", Task: task}
	var revision uint64
	err := pool.QueryRow(context.Background(), "SELECT revision FROM pipestatus.tasks WHERE task = $1", task).Scan(&revision)
	if err != nil {
		t.Error(err)
	}
	now := state.InstantOf(time.Now())
	return store.Write{Base: revision, Transitions: []*state.Transition{{Task: key, Op: state.Delete, At: now, Recorded: now}}}
}

// A crash loses the end of the server's log. All acknowledged and shown
// transitions are in the rest, under the same sequences.
func TestAnsweredCommitsSurviveACrashOfTheServer(t *testing.T) {
	t.Parallel()
	// The server writes its log only for commits that wait.
	server := newServer(t, "wal_writer_delay=10s", "wal_writer_flush_after=0", "full_page_writes=off")
	var mu sync.Mutex
	told := make(map[uint64]string) // nodes by sequence
	tell := func(t *testing.T, seq uint64, node string) {
		mu.Lock()
		defer mu.Unlock()
		if was, known := told[seq]; known && was != node {
			t.Errorf("transition %d is of node %q and was told to be of %q", seq, node, was)
		}
		told[seq] = node
	}
	const writers, crashes = 6, 3
	for crash := range crashes {
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		seen := func() int { mu.Lock(); defer mu.Unlock(); return len(told) }
		before := seen()
		for w := range writers {
			s, err := pgstore.Open(t.Context(), server.ConnString(), &pgstore.Options{Lease: hour, Recover: -1})
			if err != nil {
				t.Fatal(err)
			}
			e, err := engine.Open(t.Context(), s, nil)
			if err != nil {
				t.Fatal(err)
			}
			running.Go(func() {
				defer s.Close()
				defer e.Close()
				for i := 0; ctx.Err() == nil; i++ {
					task := fmt.Sprintf("%d.%d.%d", crash, w, i)
					for _, op := range []engine.Op{engine.Create("2", task, engine.ID(task)), engine.Start(task), engine.Suspend(task)} {
						results, err := e.Record(ctx, op)
						if err != nil {
							return
						}
						tell(t, results[0].Sequence, task)
					}
				}
			})
		}
		reader, err := pgstore.Open(t.Context(), server.ConnString(), &pgstore.Options{Lease: -1, Recover: -1})
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			defer reader.Close()
			from, err := store.Last(ctx, reader)
			for err == nil {
				var page store.FeedPage
				if page, err = reader.Feed(ctx, from, 0); err != nil {
					return
				}
				for _, tr := range page.Transitions {
					tell(t, tr.Sequence, tr.Node())
					if snap, err := reader.Load(ctx, store.ByNode(tr.Node())); err == nil {
						tell(t, snap.Tree.Revision(), tr.Node())
					}
				}
				from = page.After()
			}
		})
		await(t, "the writers to be under way", func() bool { return seen() > before+100 })
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		stop()
		running.Wait()
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		wasTold(t, server, told)
	}
}

// wasTold checks that the feed is dense and has everything in told.
func wasTold(t *testing.T, server *pgtest.Server, told map[uint64]string) {
	t.Helper()
	s, err := pgstore.Open(t.Context(), server.ConnString(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	nodes := make(map[uint64]string)
	for _, tr := range feed(t, s, 0) {
		nodes[tr.Sequence] = tr.Node()
	}
	for seq, node := range told {
		if nodes[seq] != node {
			t.Errorf("transition %d was told to be of %q and is of %q", seq, node, nodes[seq])
		}
	}
	check(t, s)
}
