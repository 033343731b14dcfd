package boltstore_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
	"github.com/pipestatus/pipestatus/store/storetest"
)

// Each configuration makes a different part of the write path the common one.
var configurations = []struct {
	name    string
	options boltstore.Options
	long    bool // only in the long form
}{
	{"defaults", boltstore.Options{}, false},
	{"passes of a few transitions", boltstore.Options{OverlayTransitions: 40}, false},
	{"every commit writes back", boltstore.Options{OverlayTransitions: 1}, true},
	{"feed as short as the contract allows", boltstore.Options{OverlayTransitions: 8, FeedTransitions: 20_000}, true},
	{"bounded file", boltstore.Options{MaxSize: 64 << 20}, true},
}

func TestStoreKeepsTheContract(t *testing.T) {
	for _, c := range configurations {
		if c.long && !*boltstore.Long {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, factory(t, c.options))
		})
	}
}

// factory makes stores that do not sync, from copies of one new file: creating
// one syncs several times.
func factory(t *testing.T, o boltstore.Options) storetest.Factory {
	blank := filepath.Join(t.TempDir(), "blank.db")
	if err := mustOpen(t, blank, nil).Close(); err != nil {
		t.Fatal(err)
	}
	paths := make(map[store.Store]string)
	open := func(t testing.TB, path string) store.Store {
		t.Helper()
		s := mustOpen(t, path, &o)
		s.NoSync()
		paths[s] = path
		return s
	}
	return storetest.Factory{
		New: func(t testing.TB) store.Store {
			path := filepath.Join(t.TempDir(), "pipestatus.db")
			copyFile(t, blank, path)
			return open(t, path)
		},
		Reopen: func(t testing.TB, closed store.Store) store.Store {
			return open(t, paths[closed])
		},
		Backup: func(t testing.TB, s store.Store) func(testing.TB) store.Store {
			path := filepath.Join(t.TempDir(), "backup.db")
			if err := s.(*boltstore.Store).BackupTo(t.Context(), path); err != nil {
				t.Fatal(err)
			}
			return func(t testing.TB) store.Store { return open(t, path) }
		},
	}
}

func mustOpen(t testing.TB, path string, o *boltstore.Options) *boltstore.Store {
	t.Helper()
	s, err := boltstore.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
