//go:build unix

package pgstore_test

import (
	"testing"

	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/pgstore"
	"github.com/pipestatus/pipestatus/store/storetest"
)

func TestStoreKeepsTheContract(t *testing.T) {
	for _, c := range []struct {
		name    string
		options pgstore.Options
	}{
		{"defaults", pgstore.Options{}},
		{"partitioned, without leases and notifications", pgstore.Options{Partitions: 3, Lease: -1, NoNotify: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, factory(t, c.options))
		})
	}
}

func factory(t *testing.T, o pgstore.Options) storetest.Factory {
	pool := newPool(t)
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
