package storetest_test

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
	"github.com/pipestatus/pipestatus/store/storetest"
)

func TestZZBolt(t *testing.T) {
	var paths sync.Map
	open := func(t testing.TB, path string) store.Store {
		s, err := boltstore.Open(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		paths.Store(s, path)
		return s
	}
	storetest.Run(t, storetest.Factory{
		New: func(t testing.TB) store.Store { return open(t, filepath.Join(t.TempDir(), "db")) },
		Reopen: func(t testing.TB, s store.Store) store.Store {
			p, _ := paths.Load(s)
			return open(t, p.(string))
		},
	})
}
