//go:build unix

package pgtest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pipestatus/pipestatus/store/pgstore/pgtest"
)

// A client of a crashed server gets an error, even while it waits for a
// standby.
func TestAKilledServerReleasesItsConnections(t *testing.T) {
	server, err := pgtest.New("fsync=off", "synchronous_standby_names=nobody")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Remove)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	waiting, watching := connect(ctx, t, server), connect(ctx, t, server)
	ended := make(chan error, 1)
	go func() {
		_, err := waiting.Exec(ctx, "CREATE TABLE t ()")
		ended <- err
	}()
	const waits = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
	for yes := false; !yes; time.Sleep(10 * time.Millisecond) {
		if err := watching.QueryRow(ctx, waits).Scan(&yes); err != nil {
			t.Fatal(err)
		}
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	// This test does not distinguish a local commit without a known standby.
	<-ended
	_, err = waiting.Exec(ctx, "SELECT 1")
	if ctx.Err() != nil || !waiting.IsClosed() {
		t.Errorf("the connection is open a minute after the server's end: %v", err)
	}
}

func connect(ctx context.Context, t *testing.T, server *pgtest.Server) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(ctx, server.ConnString())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// Processes of a killed server that have not ended yet would block the next
// start.
func TestAKilledServerCanBeStartedAtOnce(t *testing.T) {
	server, err := pgtest.New("fsync=off")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Remove)
	for range 10 {
		for range 20 {
			connect(t.Context(), t, server)
		}
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAServerThatDoesNotStartReportsWhy(t *testing.T) {
	server, err := pgtest.New("no_such_setting=1")
	if err == nil {
		server.Remove()
		t.Fatal("no error")
	}
	for _, want := range []string{"the server ended", "no_such_setting"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %q, want %q in it", err, want)
		}
	}
}
