//go:build unix

package pgstore_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/pgstore"
)

func TestTenProcessesThatStartAtOnceMakeTheTablesOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		options pgstore.Options
		conn    func(t testing.TB) string
	}{
		{"plain", pgstore.Options{}, func(testing.TB) string { return server.ConnString() }},
		{"partitioned", pgstore.Options{Partitions: 2}, func(testing.TB) string { return server.ConnString() }},
		{"behind a pooler", pgstore.Options{NoNotify: true}, func(t testing.TB) string {
			return loopback(startPooler(t, server.Port), "default_query_exec_mode="+cacheDescribe)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := c.conn(t)
			c.options.Schema = newSchema()
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					s, err := pgstore.Open(t.Context(), conn, &c.options)
					if err != nil {
						t.Errorf("open: %v", err)
						return
					}
					if _, err := s.List(t.Context(), store.ListQuery{}); err != nil {
						t.Errorf("list: %v", err)
					}
					if err := s.Close(); err != nil {
						t.Errorf("close: %v", err)
					}
				})
			}
			wg.Wait()
		})
	}
}

func TestTablesOfANewerVersionAreRefusedAndLeftAlone(t *testing.T) {
	t.Parallel()
	pool, schema := newPool(t), newSchema()
	o := &pgstore.Options{Schema: schema}
	begin(t, newEngine(t, open(t, pool, *o)), "a")
	versions := pgx.Identifier{schema, "schema_version"}.Sanitize()
	execSQL(t, pool, "INSERT INTO "+versions+" VALUES ($1)", pgstore.SchemaVersion+1)
	if s, err := pgstore.OpenPool(t.Context(), pool, o); !errors.Is(err, store.ErrIncompatible) {
		t.Errorf("opening a newer store: %v, %v, want %v", s, err, store.ErrIncompatible)
	}
	execSQL(t, pool, "DELETE FROM "+versions+" WHERE version = $1", pgstore.SchemaVersion+1)
	if n := len(feed(t, open(t, pool, *o), 0)); n != 2 {
		t.Errorf("%d transitions afterwards, want 2", n)
	}
}

func TestTablesOfVersion1AreMigrated(t *testing.T) {
	t.Parallel()
	pool, schema := newPool(t), newSchema()
	o := &pgstore.Options{Schema: schema}
	e := newEngine(t, open(t, pool, *o))
	begin(t, e, "a")
	if _, err := e.Create(t.Context(), "2", "failed", engine.ID("b"), engine.Name("nightly\x00")); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Start(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Fail(t.Context(), "b", "exit status 1"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Create(t.Context(), "2", "deleted", engine.ID("c")); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Revoke(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	if err := e.Delete(t.Context(), "2", "deleted"); err != nil {
		t.Fatal(err)
	}
	in := func(table string) string { return pgx.Identifier{schema, table}.Sanitize() }
	versions := in("schema_version")
	execSQL(t, pool, "DELETE FROM "+versions+" WHERE version > $1", 1)
	execSQL(t, pool, "DROP TABLE "+in("labels")+", "+in("data"))
	execSQL(t, pool, "ALTER TABLE "+in("tasks")+" DROP COLUMN name, DROP COLUMN failures")
	execSQL(t, pool, "UPDATE "+in("tasks")+" SET number = 6 WHERE gone") // its first transition, as it was
	o.FeedTransitions = 1
	s := open(t, pool, *o)
	if n := len(feed(t, s, 0)); n != 8 {
		t.Errorf("%d transitions afterwards, want 8", n)
	}
	if n, err := s.Trim(t.Context()); err != nil || n != 0 {
		t.Errorf("trimmed %d tasks whose delete is the last transition, %v", n, err)
	}
	for _, q := range []store.ListQuery{{Name: "nightly\x00"}, {HasFailures: true}} {
		if page, err := s.List(t.Context(), q); err != nil || len(page.Tasks) != 1 || page.Tasks[0].Root != "b" {
			t.Errorf("list %+v afterwards: %+v, %v", q, page, err)
		}
	}
	var version int
	if err := pool.QueryRow(t.Context(), "SELECT max(version) FROM "+versions).Scan(&version); err != nil || version != pgstore.SchemaVersion {
		t.Errorf("the tables have version %d, %v, want %d", version, err, pgstore.SchemaVersion)
	}
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	for name, o := range map[string]pgstore.Options{
		"negative partitions": {Partitions: -1},
		"negative polling":    {Poll: -1},
		"negative feed":       {FeedTransitions: -1},
		"a long schema name":  {Schema: string(make([]byte, 64))},
		"recovering for days": {Recover: 48 * hour},
	} {
		if s, err := pgstore.OpenPool(t.Context(), pool, &o); err == nil {
			s.Close()
			t.Errorf("%s: no error", name)
		}
	}
}

func TestASchemaCanHaveAnyName(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	for _, name := range []string{`it's "one" of \ mine`, "pipestatus.feed", "Ünited $1", "$procedure$"} {
		s := open(t, pool, pgstore.Options{Schema: name})
		e := newEngine(t, s)
		begin(t, e, "a")
		enter(t, e, "a", "n")
		if _, err := e.Finish(t.Context(), "n"); err != nil {
			t.Errorf("schema %s: %v", name, err)
		}
		check(t, s)
	}
}
