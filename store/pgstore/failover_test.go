//go:build unix

package pgstore_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/pgstore"
)

// The primary is killed while three processes work, and one of them is killed
// with it. The others continue with the synchronous standby.
func TestAFailoverLosesNoAnsweredCommit(t *testing.T) {
	t.Parallel()
	primary := newServer(t, "fsync=off", "synchronous_standby_names=second")
	standby, err := primary.Standby("second", "fsync=off", "synchronous_standby_names=")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(standby.Remove)

	conn := fmt.Sprintf("host=127.0.0.1,127.0.0.1 port=%d,%d user=postgres dbname=postgres sslmode=disable "+
		"target_session_attrs=read-write connect_timeout=2", primary.Port, standby.Port)
	var runners []*process
	for range 3 {
		runners = append(runners, startRunner(t, conn))
	}
	const some = 40
	progress := func(n int, runners ...*process) func() bool {
		return func() bool {
			for _, p := range runners {
				if len(p.answers()) < n {
					return false
				}
			}
			return true
		}
	}
	await(t, "all runners to be under way", progress(some, runners...))
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	dead := runners[2]
	if err := dead.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = dead.wait() // it was killed
	if err := standby.Promote(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, p := range runners[:2] {
		n = max(n, len(p.answers()))
	}
	await(t, "the others to continue", progress(n+some, runners[:2]...))

	for i, p := range runners[:2] {
		p.stdin.Close()
		if err := p.wait(); err != nil {
			t.Errorf("runner %d: %v\n%s", i, err, p.stderr.String())
		}
	}
	s, err := pgstore.Open(t.Context(), conn, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	rescue(t, s, fmt.Sprint(dead.cmd.Process.Pid))
	verify(t, s, runners...)
	check(t, s)
}

// rescue ends the tasks that a dead runner left, once its leases have expired,
// and checks that there are no others.
func rescue(t *testing.T, s *pgstore.Store, pid string) {
	t.Helper()
	e := newEngine(t, s)
	await(t, "all tasks to be ended", func() bool {
		page, err := s.Lapsed(t.Context(), "", 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range page.Tasks {
			if !strings.HasPrefix(task.Key.Task, pid+"-") {
				t.Fatalf("task %s was left by a runner that was not killed", task.Key)
			}
			if err := s.TakeOver(t.Context(), store.Location{Key: task.Key, Revision: task.Revision}); err != nil {
				t.Fatal(err)
			}
			if _, err := e.Revoke(t.Context(), task.Root); err != nil {
				t.Fatal(err)
			}
			if task.Counts[state.Running] > 0 {
				if _, err := e.Finish(t.Context(), task.Root+".n"); err != nil {
					t.Fatal(err)
				}
			}
		}
		page, err = s.List(t.Context(), store.ListQuery{Unfinished: true})
		return err == nil && len(page.Tasks) == 0
	})
}
