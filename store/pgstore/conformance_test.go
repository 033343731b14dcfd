//go:build unix

package pgstore_test

import (
	"testing"

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
		// One store at a time is in use. Making tables takes longer than most
		// cases.
		New: func(t testing.TB) store.Store {
			s := open(t, pool, o)
			empty(t, pool, o.Schema)
			return s
		},
		Reopen: func(t testing.TB, _ store.Store) store.Store { return open(t, pool, o) },
	}
}
