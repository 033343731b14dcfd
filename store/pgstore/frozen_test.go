//go:build unix

package pgstore_test

import (
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/pgstore"
)

// frozen is a handle with the leases of some tasks, frozen between the two steps of a
// commit of the task a.
func frozen(t *testing.T, o pgstore.Options, pool *pgxpool.Pool, idle time.Duration, tasks ...string) *pgstore.Store {
	t.Helper()
	s := open(t, pool, o)
	s.IdleLimit(idle)
	s.InTwoSteps()
	var once sync.Once
	var armed bool
	stopped, thawed := make(chan struct{}), make(chan struct{})
	s.BeforeWrite(func() {
		if armed {
			once.Do(func() {
				close(stopped)
				<-thawed
			})
		}
	})
	e := newEngine(t, s)
	for _, task := range tasks {
		begin(t, e, task)
	}
	armed = true
	var wg sync.WaitGroup
	wg.Go(func() {
		// Others have the lease by then.
		if _, err := e.Suspend(t.Context(), "a"); err != nil && !errors.Is(err, store.ErrFenced) && t.Context().Err() == nil {
			t.Errorf("the commit of the frozen process: %v", err)
		}
	})
	t.Cleanup(func() {
		close(thawed)
		wg.Wait()
	})
	<-stopped
	return s
}

func TestAFrozenProcessHoldsUpOnlyWhatItLocked(t *testing.T) {
	t.Parallel()
	pool, schema := newPool(t), newSchema()
	o := pgstore.Options{Schema: schema, Lease: hour, Recover: 3 * time.Second}
	other := newEngine(t, open(t, pool, o))
	begin(t, other, "own")
	expire(t, pool, schema, frozen(t, o, pool, hour, "a", "b", "c"))
	var found []string
	for in, err := range other.Interrupted(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, in.Task.Task)
	}
	if want := []string{"c", "b"}; !slices.Equal(found, want) {
		t.Errorf("took over %q, want %q", found, want)
	}
	if _, err := other.Suspend(t.Context(), "own"); err != nil {
		t.Errorf("a commit of another task: %v", err)
	}
	if _, err := other.Resume(t.Context(), "a"); err == nil {
		t.Error("a commit of the locked task: no error")
	}
	if _, err := other.Resume(t.Context(), "own"); err != nil {
		t.Errorf("a commit of another task after that: %v", err)
	}
}

func TestTheServerEndsTheTransactionOfAFrozenProcess(t *testing.T) {
	t.Parallel()
	pool, schema := newPool(t), newSchema()
	o := pgstore.Options{Schema: schema, Lease: hour}
	rescuer := open(t, pool, o)
	other := newEngine(t, rescuer)
	s := frozen(t, o, pool, time.Second, "a")
	if _, err := other.Enter(t.Context(), "a", state.ServiceActivity, engine.ID("n")); err != nil {
		t.Errorf("a commit of the same task: %v", err)
	}
	expire(t, pool, schema, s)
	for in, err := range other.Interrupted(t.Context()) {
		if err != nil || in.Task.Task != "a" {
			t.Errorf("took over %v, %v", in.Task, err)
		}
	}
	wantLapsed(t, "afterwards", rescuer)
}

// A large commit reaches the server in pieces, and its process is frozen between
// them.
func TestAProcessFrozenInALargeCommitDoesNotKeepTheTurn(t *testing.T) {
	t.Parallel()
	direct, schema := newPool(t), newSchema()
	p := newProxy(t, server.Addr())
	slow, err := pgxpool.New(t.Context(), loopback(p.port(), "pool_max_conns=1"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(slow.Close)
	o := pgstore.Options{Schema: schema, Lease: hour, Recover: 3 * time.Second, Poll: hour, NoNotify: true}
	other := newEngine(t, open(t, direct, o))
	begin(t, other, "own")
	o.Recover = hour
	large := newEngine(t, open(t, slow, o))
	data := strings.Repeat("x", 60<<10)
	commit := func(task string) error {
		_, err := large.Fail(t.Context(), task, data[:10<<10], engine.Output([]byte(data)))
		return err
	}
	for _, task := range []string{"a", "b"} {
		begin(t, large, task)
	}
	if err := commit("a"); err != nil { // prepares the statements
		t.Fatal(err)
	}
	stopped, thawed := make(chan struct{}), make(chan struct{})
	p.arm(func(client, server net.Conn, sent []byte) {
		// All of the commit, which ends when the client waits for the answer.
		sent = slices.Clone(sent)
		buffer := make([]byte, 1<<20)
		for n, err := 0, error(nil); err == nil; {
			client.SetReadDeadline(time.Now().Add(time.Second))
			n, err = client.Read(buffer)
			sent = append(sent, buffer[:n]...)
		}
		last := len(sent) - 5<<10 // in the transition
		server.Write(sent[:last])
		close(stopped)
		<-thawed
		server.Write(sent[last:])
		client.Close()
		server.Close()
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := commit("b"); err != nil {
			t.Errorf("the commit of the frozen process: %v", err)
		}
	})
	<-stopped
	time.Sleep(100 * time.Millisecond) // the server executes what it has
	if _, err := other.Suspend(t.Context(), "own"); err != nil {
		t.Errorf("a commit of another task: %v", err)
	}
	close(thawed)
	wg.Wait()
}
