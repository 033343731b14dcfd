//go:build unix

package boltstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Access to the mapping of a truncated file faults beyond the end of the file.
func TestFileTruncatedUnderTheStoreIsCorruption(t *testing.T) {
	for _, pages := range []int64{0, 1, 2, 3, 8} {
		t.Run(fmt.Sprint("to ", pages, " pages"), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "truncated.db")
			s := openQuick(t, path, nil)
			m := newModel()
			var key state.Key
			for i := range 300 {
				key = state.Key{Business: "2", Task: fmt.Sprint(i)}
				m.do(t, s, key, newRoot(fmt.Sprint("root", i)), activity(fmt.Sprint("node", i), fmt.Sprint("root", i)))
			}
			s.writeBackAll()
			if err := os.Truncate(path, pages*int64(os.Getpagesize())); err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					found := 0
					for call, err := range everyCall(t.Context(), s, key, "node299") {
						if errors.Is(err, store.ErrCorrupt) {
							found++
						} else if err != nil {
							t.Errorf("%s: %v", call, err)
						}
					}
					if found == 0 {
						t.Error("nobody was told")
					}
				})
			}
			wg.Wait()
			c := m.large(t, "later", 10)
			if _, err := s.Commit(t.Context(), []store.Write{c}); !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("commit: %v, want an error that matches %q", err, store.ErrCorrupt)
			}
			told := false
			if err := s.Check(t.Context(), func(string) { told = true }); err == nil && !told {
				t.Error("check found nothing")
			}
			_ = s.Close() // must not hang, and leaves no lock
			if s, err := Open(path, nil); err == nil {
				_ = s.Close()
			} else if errors.Is(err, store.ErrLocked) {
				t.Error(err)
			}
		})
	}
}

// If the first pages disappear at the moment a transaction begins, bbolt's
// locks stay locked. Later calls must not wait for them.
func TestStoreWithoutBboltsLocksStillCloses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "broken.db")
	s := openQuick(t, path, nil)
	m := newModel()
	key := state.Key{Business: "2", Task: "1"}
	m.do(t, s, key, newRoot("1"), activity("a", "1"))
	s.pageSize = 0 // so that begin does not detect it
	whole := s.image(t)
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	for call, err := range everyCall(t.Context(), s, key, "a") {
		if !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: %v, want an error that matches %q", call, err, store.ErrCorrupt)
		}
	}
	if _, err := s.Commit(t.Context(), []store.Write{m.large(t, "2", 1)}); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("commit: %v, want an error that matches %q", err, store.ErrCorrupt)
	}
	if err := s.Close(); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("close: %v, want an error that matches %q", err, store.ErrCorrupt)
	}
	if err := os.WriteFile(path, whole.file, 0o600); err != nil {
		t.Fatal(err)
	}
	m.expect(t, openQuick(t, path, nil), "put back and reopened")
}
