//go:build unix

package pgstore_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/pipestatus/pipestatus/store/pgstore"
	"github.com/pipestatus/pipestatus/store/pgstore/pgtest"
)

// server is shared by all tests that do not stop or break it. It loses its data
// in a crash.
var server *pgtest.Server

func TestMain(m *testing.M) {
	// A default that the command line overrides: each check commits some
	// dozen times.
	flag.Set("rapid.checks", "10")
	os.Exit(func() int {
		if conn := os.Getenv(runnerEnv); conn != "" {
			return runner(conn)
		}
		var err error
		server, err = pgtest.New("fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off", "max_connections=300", "max_prepared_transactions=20")
		if err != nil {
			fmt.Fprintln(os.Stderr, "pgstore:", err)
			return 1
		}
		fmt.Println("PostgreSQL", server.Version)
		code := m.Run()
		server.Remove()
		removeDurable()
		if code != 0 {
			return code
		}
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "pgstore:", err)
			return 1
		}
		return 0
	}())
}

// newServer starts a server that the test may stop or break.
func newServer(t testing.TB, settings ...string) *pgtest.Server {
	t.Helper()
	s, err := pgtest.New(settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Remove)
	return s
}

var schemas atomic.Int64

// newSchema is the name of a new schema.
func newSchema() string { return fmt.Sprintf("store %d", schemas.Add(1)) }

// newPool returns connections to the tests' server.
func newPool(t testing.TB) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(context.Background(), server.ConnString()+" pool_max_conns=8")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// open opens a handle; the test closes it.
func open(t testing.TB, pool *pgxpool.Pool, o pgstore.Options) *pgstore.Store {
	t.Helper()
	s, err := pgstore.OpenPool(context.Background(), pool, &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// tables are the tables that grow with the stored data.
var tables = []string{"task_keys", "node_ids", "tasks", "labels", "data", "nodes", "attempts", "transitions", "commits", "histories"}

// empty deletes everything in a store. It reclaims room only sometimes, since
// that takes longer than most tests.
func empty(t testing.TB, pool *pgxpool.Pool, schema string) {
	t.Helper()
	var names []string
	for _, table := range tables {
		names = append(names, pgx.Identifier{schema, table}.Sanitize())
	}
	sql := "DELETE FROM " + strings.Join(names, "; DELETE FROM ")
	if emptied.Add(1)%50 == 0 {
		sql = "TRUNCATE " + strings.Join(names, ", ")
	}
	sql += "; UPDATE " + pgx.Identifier{schema, "feed"}.Sanitize() +
		" SET first = 1, last = 0, history = DEFAULT, began = DEFAULT, started = DEFAULT, path = DEFAULT"
	err := pool.AcquireFunc(context.Background(), func(conn *pgxpool.Conn) error {
		_, err := conn.Conn().PgConn().Exec(context.Background(), sql).ReadAll()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

var emptied atomic.Int64

func execSQL(t testing.TB, pool *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := pool.Exec(context.Background(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
