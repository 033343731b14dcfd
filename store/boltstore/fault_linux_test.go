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
)

// replaceDescriptor lets a file's writes go elsewhere and returns how to undo it.
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

// On /dev/full every write fails for want of room. Nothing of the commit can
// be seen then, so the store goes on when there is room again.
func TestFullDiskIsCleanLikeAFullFile(t *testing.T) {
	for _, overlay := range []int{1, 1 << 16} {
		t.Run(fmt.Sprint("overlay=", overlay), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "disk.db")
			s := openQuick(t, path, &Options{OverlayTransitions: overlay})
			s.db.AllocSize = 1 << 20
			m := newModel()
			for i := range 30 {
				m.commit(t, s, m.large(t, fmt.Sprint(i), 200))
			}
			// Room within the file, so that it need not grow: that would fail
			// for another reason.
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
			pageSize := s.pageSize
			s.pageSize = 0 // a device has no size to compare
			readable, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer readable.Close()
			s.footing.file = readable // a device holds nothing of the file
			undo := replaceDescriptor(t, s.file, "/dev/full")
			for i := range 3 {
				_, err := s.Commit(t.Context(), []store.Write{m.large(t, fmt.Sprint("late", i), 10)})
				if !errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrFailed) {
					t.Fatalf("error %v, want one that matches %q", err, store.ErrFull)
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
		})
	}
}

// The meta page may be on disk or not when its sync fails: readers of this
// process would see it, so nothing is answered any more.
func TestFailedSyncOfTheMetaPageIsUnknown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sync.db")
	s, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := newModel()
	m.commit(t, s, m.large(t, "1", 10))
	// A pipe takes no pwrite at all: it stands for a disk that fails.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	undo := replaceDescriptor(t, s.file, fmt.Sprintf("/proc/self/fd/%d", w.Fd()))
	s.pageSize = 0
	_, err = s.Commit(t.Context(), []store.Write{m.large(t, "2", 10)})
	expectFailed(t, "commit", err)
	undo()
	_, err = s.Commit(t.Context(), []store.Write{m.large(t, "3", 10)})
	expectFailed(t, "commit on a healed disk", err)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	m.expect(t, openQuick(t, path, nil), "reopened")
}
