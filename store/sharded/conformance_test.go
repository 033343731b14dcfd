package sharded_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
	"github.com/pipestatus/pipestatus/store/sharded"
	"github.com/pipestatus/pipestatus/store/storetest"
)

// memories returns members that exist already.
func memories(n int) (members []sharded.Member) {
	for i := range n {
		m := store.NewMemory()
		members = append(members, opened(fmt.Sprint("m", i), m))
	}
	return members
}

// opened is a member that is open already.
func opened(name string, s store.Store) sharded.Member {
	return sharded.Member{Name: name, Open: func(context.Context) (store.Store, error) { return s, nil }}
}

func open(t testing.TB, members []sharded.Member, o *sharded.Options) store.Store {
	t.Helper()
	s, err := sharded.Open(t.Context(), members, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// places are ways to distribute the suite's businesses, which are 2, 3 and a
// few.
var places = map[string]func(business string) string{
	"rendezvous": nil,
	"on the first": func(string) string {
		return "m0"
	},
	"by turns": func(business string) string {
		return fmt.Sprint("m", (int(business[len(business)-1])+1)%3)
	},
}

func TestStoreOfMemoriesKeepsTheContractOfEachTask(t *testing.T) {
	for name, place := range places {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, storetest.Factory{Logs: true, New: func(t testing.TB) store.Store {
				return open(t, memories(3), &sharded.Options{Place: place})
			}})
		})
	}
}

func TestStoreOfOneMemberKeepsTheContract(t *testing.T) {
	storetest.Run(t, storetest.Factory{Logs: true, New: func(t testing.TB) store.Store { return open(t, memories(1), nil) }})
}

// files are members that are files in a directory.
func files(dir string, n int) (members []sharded.Member) {
	for i := range n {
		path := filepath.Join(dir, fmt.Sprintf("%d.db", i))
		members = append(members, sharded.Member{
			Name: fmt.Sprint("m", i),
			Open: func(context.Context) (store.Store, error) { return boltstore.Open(path, nil) },
		})
	}
	return members
}

func TestStoreOfFilesKeepsTheContractOfEachTask(t *testing.T) {
	o := &sharded.Options{Place: places["by turns"]}
	blank := filepath.Join(t.TempDir(), "blank.db")
	s, err := boltstore.Open(blank, nil)
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	dirs := make(map[store.Store]string)
	in := func(t testing.TB, dir string) store.Store {
		t.Helper()
		s := open(t, files(dir, 3), o)
		dirs[s] = dir
		return s
	}
	storetest.Run(t, storetest.Factory{
		Logs: true,
		New: func(t testing.TB) store.Store {
			dir := t.TempDir()
			for i := range 3 {
				copyFile(t, blank, filepath.Join(dir, fmt.Sprintf("%d.db", i)))
			}
			return in(t, dir)
		},
		Reopen: func(t testing.TB, closed store.Store) store.Store { return in(t, dirs[closed]) },
	})
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
