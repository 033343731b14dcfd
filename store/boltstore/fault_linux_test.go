package boltstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/pages"
)

// replaceDescriptor redirects a file's writes and returns a function that
// undoes it.
func replaceDescriptor(t testing.TB, f *os.File, by string) (undo func()) {
	t.Helper()
	fd := int(f.Fd())
	saved, err := syscall.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.OpenFile(by, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := syscall.Dup3(int(other.Fd()), fd, 0); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := errors.Join(syscall.Dup3(saved, fd, 0), syscall.Close(saved)); err != nil {
			t.Fatal(err)
		}
	}
}

// On /dev/full every write fails for lack of room. The journal accepts commits
// until it is full, and the file accepts them when it has room again.
func TestFullDiskIsCleanLikeAFullFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.db")
	s := openQuick(t, path, &Options{OverlayTransitions: 20})
	s.db.AllocSize = 1 << 20
	m := newModel()
	for i := range 30 {
		m.commit(t, s, m.large(t, fmt.Sprint(i), 200))
	}
	s.writeBackAll()
	s.quiet(t, func() {
		// The file has enough room and need not grow, which would fail for
		// another reason.
		room := []byte("room")
		for _, f := range []func(b *bolt.Bucket) error{
			func(b *bolt.Bucket) error { return b.Put(room, make([]byte, 1<<20)) },
			func(b *bolt.Bucket) error { return b.Delete(room) },
			func(b *bolt.Bucket) error { return b.Delete(room) },
		} {
			if err := s.db.Update(func(tx *bolt.Tx) error { return f(metaBucket.in(tx)) }); err != nil {
				t.Fatal(err)
			}
		}
		var err error
		if s.mark, err = s.readMark(s.checkpoint); err != nil {
			t.Fatal(err)
		}
	})
	pageSize := s.pageSize
	s.pageSize = 0 // a device has no size to compare
	readable, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer readable.Close()
	s.footing.leaves = pages.LeavesOf(readable, pageSize) // the device has none of the file's pages
	undo := replaceDescriptor(t, s.file, "/dev/full")
	for i, full := 0, 0; full < 3; i++ {
		c := m.large(t, fmt.Sprint("late", i), 10)
		results, err := s.Commit(t.Context(), []store.Write{c})
		switch {
		case err == nil && i < 40:
			m.accept(c, results[0].First)
		case errors.Is(err, store.ErrFull) && !errors.Is(err, store.ErrFailed):
			full++
		default:
			t.Fatalf("commit %d: error %v, want one that matches %q", i, err, store.ErrFull)
		}
	}
	if _, err := s.Load(t.Context(), store.ByKey("2", "7")); err != nil {
		t.Errorf("load from a full disk: %v", err)
	}
	undo()
	s.pageSize = pageSize
	m.do(t, s, state.Key{Business: "2", Task: "7"}, start("7"))
	m.expect(t, s, "with room again")
	_ = s.Close()
	m.expect(t, openQuick(t, path, nil), "reopened")
}

// After a failed sync the meta page, or the journal's frame, may be on disk or
// not: every later call fails, and nothing acknowledged is lost.
func TestFailedSyncIsUnknown(t *testing.T) {
	for _, what := range []string{"file", "journal"} {
		t.Run(what, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sync.db")
			s, err := Open(path, &Options{OverlayTransitions: 1})
			if err != nil {
				t.Fatal(err)
			}
			m := newModel()
			m.commit(t, s, m.large(t, "1", 10))
			s.writeBackAll()
			// A pipe refuses pwrite: it simulates a failing disk.
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			defer w.Close()
			file := s.file
			if what == "journal" {
				if file, err = os.OpenFile(s.journalPath(), os.O_RDWR, 0); err != nil {
					t.Fatal(err)
				}
				defer file.Close()
				s.journal.SetFile(file)
			}
			undo := replaceDescriptor(t, file, fmt.Sprintf("/proc/self/fd/%d", w.Fd()))
			if what == "file" {
				s.pageSize = 0
			}
			for i := 0; err == nil; i++ {
				c := m.large(t, fmt.Sprint("late", i), 10)
				var results []store.Result
				if results, err = s.Commit(t.Context(), []store.Write{c}); err == nil {
					m.accept(c, results[0].First)
				}
			}
			expectFailed(t, "commit", err)
			undo()
			_, err = s.Commit(t.Context(), []store.Write{m.large(t, "after", 10)})
			expectFailed(t, "commit on a healed disk", err)
			_ = s.Close()
			m.expect(t, openQuick(t, path, nil), "reopened")
		})
	}
}
