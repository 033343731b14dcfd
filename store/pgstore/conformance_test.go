//go:build unix

package pgstore_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/pgstore"
	"github.com/pipestatus/pipestatus/store/storetest"
)

func TestStoreKeepsTheContract(t *testing.T) {
	for _, c := range []struct {
		name    string
		options pgstore.Options
		pool    func(t testing.TB) *pgxpool.Pool
	}{
		{"defaults", pgstore.Options{}, newPool},
		{"partitioned, without leases and notifications", pgstore.Options{Partitions: 3, Lease: -1, NoNotify: true}, newPool},
		{"behind a pooler", pgstore.Options{NoNotify: true}, func(t testing.TB) *pgxpool.Pool {
			return newPoolerPool(t, cacheDescribe)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, factory(c.pool(t), c.options))
		})
	}
}

func factory(pool *pgxpool.Pool, o pgstore.Options) storetest.Factory {
	o.Schema = newSchema()
	return storetest.Factory{
		// The cases run one at a time. Making tables takes longer than most
		// cases.
		New: func(t testing.TB) store.Store {
			s := open(t, pool, o)
			empty(t, pool, o.Schema)
			return s
		},
		Reopen: func(t testing.TB, closed store.Store) store.Store {
			return open(t, pool, closed.(*pgstore.Store).Opts())
		},
		Backup: func(t testing.TB, s store.Store) func(testing.TB) store.Store {
			return copySchema(t, pool, s.(*pgstore.Store))
		},
	}
}

// copySchema copies all rows of a store into another schema and returns what
// opens that.
func copySchema(t testing.TB, pool *pgxpool.Pool, s *pgstore.Store) func(testing.TB) store.Store {
	t.Helper()
	o := s.Opts()
	from := pgx.Identifier{o.Schema}.Sanitize()
	o.Schema, o.Owner = newSchema(), ""
	to := pgx.Identifier{o.Schema}.Sanitize()
	empty, err := pgstore.OpenPool(t.Context(), pool, &o)
	if err == nil {
		err = empty.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	copyAll := []string{"DELETE FROM " + to + ".feed", "DELETE FROM " + to + ".holders"}
	for _, table := range slices.Concat(tables, []string{"feed", "holders"}) {
		copyAll = append(copyAll, "INSERT INTO "+to+"."+table+" SELECT * FROM "+from+"."+table)
	}
	for _, sequence := range []string{"task_ids", "holder_ids"} {
		copyAll = append(copyAll, "SELECT setval('"+to+"."+sequence+"', last_value + 1) FROM "+from+"."+sequence)
	}
	err = pgx.BeginTxFunc(t.Context(), pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		for _, sql := range copyAll {
			if _, err := tx.Exec(t.Context(), sql); err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return func(t testing.TB) store.Store { return open(t, pool, o) }
}
