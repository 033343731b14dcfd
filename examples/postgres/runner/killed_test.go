//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/pipestatus/pipestatus/examples/internal/database"
	"github.com/pipestatus/pipestatus/examples/internal/runner"
	"github.com/pipestatus/pipestatus/examples/postgres/internal/pgserver"
	"github.com/pipestatus/pipestatus/examples/postgres/internal/server"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/pgstore"
)

// mortal is a store whose process is killed before its nth commit.
type mortal struct {
	*pgstore.Store
	n       int64
	commits atomic.Int64
}

func (m *mortal) Commit(ctx context.Context, writes []store.Write) ([]store.Result, error) {
	if m.commits.Add(1) == m.n {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // it comes at any moment
	}
	return m.Store.Commit(ctx, writes)
}

// runUntil is the runner with a further kind of URL: "until-N" before that of a
// server is for one whose process is killed before its Nth commit.
func runUntil() {
	servers := server.PostgreSQL()
	open := servers.Openers["postgres"]
	for n := range 100 {
		servers.Openers[fmt.Sprint("until-", n)] = func(ctx context.Context, url string, o database.Options) (store.Store, error) {
			_, rest, _ := strings.Cut(url, "://")
			s, err := open(ctx, "postgres://"+rest, o)
			if err != nil {
				return nil, err
			}
			return &mortal{Store: s.(*pgstore.Store), n: int64(n)}, nil
		}
	}
	os.Exit(runner.Main(servers))
}

// resultsOf are the inputs and outputs of the last attempts of a task.
func resultsOf(t *testing.T, url, task string) (lines []string) {
	t.Helper()
	s, err := pgstore.Open(t.Context(), url, &pgstore.Options{Lease: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	snap, err := s.Load(t.Context(), store.ByKey("1", task))
	if err != nil {
		t.Fatal(err)
	}
	for i := range snap.Tree.Len() {
		n := snap.Tree.Node(i)
		in, out, err := store.AttemptData(t.Context(), s, store.ByNode(n.ID), n.Number())
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%s %s: %s -> %s", n.Key, n.State, in.Bytes(), out.Bytes()))
	}
	return lines
}

func TestKilledBeforeAnyCommitItIsResumedFromTheDatabase(t *testing.T) {
	t.Parallel()
	url := pgserver.Database(t)
	file := pipeline(t, `echo "::set x=1"; echo first`, `test "$x" = 1 && echo "::set y=$x$x"`, `test "$y" = 11 && echo "it is $y"`)
	owner := func(url string) []string { return []string{"-store", url, "-owner", "host-1", "-lease", "1h"} }
	pgserver.Run(t, "", append(owner(url), "-task", "whole", file)...)
	want := resultsOf(t, url, "whole")
	kills := 0
	for n := 1; ; n++ {
		task := "until-" + strconv.Itoa(n)
		p := pgserver.Start(t, "", append(owner(strings.Replace(url, "postgres", task, 1)), "-task", task, file)...)
		if code := p.Exit(); code == 0 {
			break // it has no more commits
		} else if code != -1 {
			t.Fatalf("until commit %d: exit code %d\n%s", n, code, p.Stderr())
		}
		kills++
		again := append(owner(url), "-resume", "-task", task)
		if n == 1 { // nothing is recorded yet
			again = append(owner(url), "-task", task, file)
		}
		pgserver.Run(t, "", again...)
		if got := resultsOf(t, url, task); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("killed before commit %d, the results are\n%s\nwant\n%s", n, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	if kills < 4 {
		t.Errorf("only %d commits", kills)
	}
	t.Logf("killed before each of %d commits", kills)
}
