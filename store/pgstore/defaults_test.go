//go:build unix

package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/pgstore"
)

// sessionDefaults are settings that a server, a database or a role may have for
// every session.
var sessionDefaults = map[string][]string{
	"serializable transactions":    {"default_transaction_isolation=serializable", "default_transaction_deferrable=on"},
	"repeatable read transactions": {`default_transaction_isolation=repeatable\ read`},
	"no search path":               {`search_path=""`},
	"another schema first":         {"search_path=information_schema,pg_catalog"},
	"bytes in the old format":      {"bytea_output=escape"},
	"foreign formats": {
		"DateStyle=German,DMY", "IntervalStyle=sql_standard", "TimeZone=Asia/Kathmandu",
		"extra_float_digits=-10", "xmlbinary=hex", "lc_numeric=C",
	},
	"old strings":      {"standard_conforming_strings=off", "backslash_quote=off", "escape_string_warning=on"},
	"old arrays":       {"array_nulls=off", "transform_null_equals=on"},
	"short timeouts":   {"lock_timeout=50ms", "idle_in_transaction_session_timeout=300ms", "statement_timeout=10s"},
	"no generic plans": {"plan_cache_mode=force_custom_plan", "enable_indexscan=off", "enable_hashjoin=off"},
	"another encoding": {"client_encoding=LATIN1"},
}

// withDefaults is the tests' server with defaults for each session.
func withDefaults(defaults ...string) string {
	var options []string
	for _, d := range defaults {
		options = append(options, "-c "+d)
	}
	return loopback(server.Port, `pool_max_conns=6 options='`+strings.ReplaceAll(strings.Join(options, " "), `\`, `\\`)+`'`)
}

// With any session defaults, the first start makes the tables, and all
// operations work.
func TestAStoreWorksWithAnySessionDefaults(t *testing.T) {
	t.Parallel()
	modes := []string{"", " default_query_exec_mode=" + execMode, " default_query_exec_mode=simple_protocol"}
	for name, defaults := range sessionDefaults {
		for _, mode := range modes {
			t.Run(name+mode, func(t *testing.T) {
				if defaults[0] == "bytea_output=escape" && mode != "" {
					return // is refused, see below
				}
				conn := withDefaults(defaults...) + mode
				o := pgstore.Options{Schema: newSchema(), Partitions: 2, FeedTransitions: 1, Lease: hour}
				const processes = 6
				var wg sync.WaitGroup
				for i := range processes {
					wg.Go(func() { work(t, conn, o, fmt.Sprint("t", i)) })
				}
				wg.Wait()
				if t.Failed() {
					return
				}
				s := openConn(t, conn, o)
				if page, err := s.List(t.Context(), store.ListQuery{}); err != nil || len(page.Tasks) != processes {
					t.Errorf("%d tasks listed: %v, want %d", len(page.Tasks), err, processes)
				}
				takeAllOver(t, s, processes)
				check(t, s)
			})
		}
	}
}

// Opening fails with settings that would change texts or bytes.
func TestSessionsThatWouldChangeTextsAreRefused(t *testing.T) {
	t.Parallel()
	for name, conn := range map[string]string{
		"another encoding":                loopback(server.Port, "client_encoding=LATIN1"),
		"bytes as text that is not hex":   withDefaults("bytea_output=escape") + " default_query_exec_mode=" + execMode,
		"bytes in the protocol for texts": withDefaults("bytea_output=escape") + " default_query_exec_mode=simple_protocol",
	} {
		pool, err := pgxpool.New(t.Context(), conn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		if s, err := pgstore.OpenPool(t.Context(), pool, &pgstore.Options{Schema: newSchema()}); !errors.Is(err, state.ErrInvalidArgument) {
			t.Errorf("%s: %v, %v, want %v", name, s, err, state.ErrInvalidArgument)
		}
	}
}

func openConn(t *testing.T, conn string, o pgstore.Options) *pgstore.Store {
	t.Helper()
	s, err := pgstore.Open(context.Background(), conn, &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// work is the work of a process from start to end: all kinds of writes except
// taking over.
func work(t *testing.T, conn string, o pgstore.Options, task string) {
	s, err := pgstore.Open(t.Context(), conn, &o)
	if err != nil {
		t.Errorf("%s: open: %v", task, err)
		return
	}
	e, err := engine.Open(t.Context(), s, nil)
	if err != nil {
		t.Errorf("%s: open: %v", task, err)
		return
	}
	ops := []engine.Op{engine.Create("Ünited \\ 'states'", task, engine.ID(task), engine.Name(`\x41 ü`)), engine.Start(task)}
	for i := range 3 {
		n := fmt.Sprint(task, ".", i)
		ops = append(ops, engine.Declare(task, state.ServiceActivity, engine.ID(n)), engine.Start(n), engine.Fail(n, `\101 ''`), engine.Retry(n))
	}
	gone := task + ".gone"
	_, err = e.Record(t.Context(), ops...)
	if err == nil {
		_, err = e.Record(t.Context(), engine.Create("2", gone, engine.ID(gone)), engine.Revoke(gone))
	}
	if err == nil {
		err = e.Delete(t.Context(), "2", gone)
	}
	if err == nil {
		_, err = s.Trim(t.Context())
	}
	var page store.FeedPage
	if err == nil {
		_, err = s.Feed(t.Context(), store.Position{}, 0)
		if errors.Is(err, store.ErrTrimmed) {
			if page, err = s.Feed(t.Context(), store.End, 0); err == nil {
				_, err = s.Feed(t.Context(), page.Last.At(page.First-1), 0)
			}
			if errors.Is(err, store.ErrTrimmed) {
				err = nil // trimmed in between
			}
		}
	}
	if err == nil {
		_, err = s.Attempts(t.Context(), store.ByNode(task+".0"), store.AttemptQuery{})
	}
	if err := errors.Join(err, e.Close(), s.Close()); err != nil {
		t.Errorf("%s: %v", task, err)
	}
}

func takeAllOver(t *testing.T, s *pgstore.Store, want int) {
	t.Helper()
	page, err := s.Lapsed(t.Context(), "", 0)
	if err != nil || len(page.Tasks) != want {
		t.Errorf("%d tasks without a lease: %v, want %d", len(page.Tasks), err, want)
	}
	for i := range page.Tasks {
		if err := s.TakeOver(t.Context(), store.Location{Key: page.Tasks[i].Key, Revision: page.Tasks[i].Revision}); err != nil {
			t.Error(err)
		}
	}
}

// The store writes nothing where the operator has forbidden writes, and the
// error says so.
func TestADatabaseThatIsReadOnlyByDefaultIsNotWritten(t *testing.T) {
	t.Parallel()
	schema := newSchema()
	begin(t, newEngine(t, open(t, newPool(t), pgstore.Options{Schema: schema})), "a")
	conn := withDefaults("default_transaction_read_only=on")
	for name, o := range map[string]pgstore.Options{
		"a new store":           {Schema: newSchema()},
		"a store that is there": {Schema: schema},
	} {
		o.Recover = 10 * time.Millisecond
		s, err := pgstore.Open(t.Context(), conn, &o)
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != "25006" {
			t.Errorf("%s: opened with %v, want the server's error", name, err)
		}
		if err == nil {
			s.Close()
		}
	}
}

// A commit that waits for its synchronous standby has not happened yet for its
// caller. A timeout of the server must not make it look finished.
func TestAStatementTimeoutDoesNotAcknowledgeBeforeTheStandby(t *testing.T) {
	t.Parallel()
	primary := newServer(t, "fsync=off")
	s, err := pgstore.Open(t.Context(), primary.ConnString()+" options='-c statement_timeout=200ms'", &pgstore.Options{Recover: 2 * time.Second, Lease: hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	e := newEngine(t, s)
	begin(t, e, "a")
	pool, err := pgxpool.New(t.Context(), primary.ConnString())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	execSQL(t, pool, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
	execSQL(t, pool, "SELECT pg_reload_conf()")
	await(t, "the server to wait for a standby", func() bool {
		var names string
		return pool.QueryRow(t.Context(), "SHOW synchronous_standby_names").Scan(&names) == nil && names != ""
	})
	// The server's processes learn of the setting one after the other.
	for i, end := 0, time.Now().Add(time.Minute); err == nil && time.Now().Before(end); i++ {
		op := engine.Suspend("a")
		if i%2 == 1 {
			op = engine.Resume("a")
		}
		_, err = e.Record(t.Context(), op)
	}
	if !errors.Is(err, store.ErrFailed) {
		t.Errorf("a commit that no standby has: %v, want %v", err, store.ErrFailed)
	}
}
