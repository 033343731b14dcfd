//go:build unix

package boltstore_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

// Opening a pipe waits for a writer, and reading a device never ends.
func TestOnlyRegularFilesAreOpenedOrSalvaged(t *testing.T) {
	dir := t.TempDir()
	pipe, link := filepath.Join(dir, "pipe"), filepath.Join(dir, "link")
	if err := errors.Join(syscall.Mkfifo(pipe, 0o600), os.Symlink(pipe, link)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, pipe, link, "/dev/zero", "/dev/null"} {
		if s, err := boltstore.Open(path, nil); !errors.Is(err, state.ErrInvalidArgument) {
			t.Errorf("open %s: %v, %v", path, s, err)
		}
		to := filepath.Join(dir, "salvaged")
		if _, err := boltstore.Salvage(t.Context(), path, to, nil); !errors.Is(err, state.ErrInvalidArgument) {
			t.Errorf("salvage %s: %v", path, err)
		}
		if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("salvage %s left a file: %v", path, err)
		}
	}
}

func TestFilesArePrivateForAnyUmask(t *testing.T) {
	for _, mask := range []int{0, 0o022, 0o077} {
		dir := t.TempDir()
		old := syscall.Umask(mask)
		err := makeAllFiles(t, dir)
		syscall.Umask(old)
		if err != nil {
			t.Fatalf("umask %o: %v", mask, err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 4 {
			t.Fatalf("umask %o: %v, %v", mask, entries, err)
		}
		for _, e := range entries {
			if info, err := e.Info(); err != nil || info.Mode() != 0o600 {
				t.Errorf("umask %o: %s is %v, %v", mask, e.Name(), info.Mode(), err)
			}
		}
	}
}

// makeAllFiles makes a database and all files that are derived from one.
func makeAllFiles(t *testing.T, dir string) error {
	in := func(name string) string { return filepath.Join(dir, name) }
	s, err := boltstore.Open(in("database"), nil)
	if err != nil {
		return err
	}
	err = errors.Join(s.BackupTo(t.Context(), in("backup")), s.CompactTo(t.Context(), in("compacted")), s.Compact(t.Context()), s.Close())
	if err != nil {
		return err
	}
	_, err = boltstore.Salvage(t.Context(), in("database"), in("salvaged"), nil)
	return err
}

func TestACopyNeverReplacesAFile(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	s, err := boltstore.Open(in("database"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const kept = "somebody's"
	err = errors.Join(os.WriteFile(in("file"), []byte(kept), 0o600), os.Symlink(in("file"), in("link")),
		os.Symlink(in("nowhere"), in("dangling")), os.Symlink(in("database"), in("itself")))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"database", "itself", "file", "link", "dangling", "."} {
		for how, write := range map[string]func() error{
			"backup":  func() error { return s.BackupTo(t.Context(), in(name)) },
			"compact": func() error { return s.CompactTo(t.Context(), in(name)) },
			"salvage": func() error { _, err := boltstore.Salvage(t.Context(), in("file"), in(name), nil); return err },
		} {
			if err := write(); !errors.Is(err, fs.ErrExist) {
				t.Errorf("%s to %s: %v", how, name, err)
			}
		}
	}
	for how, write := range map[string]func() error{
		"backup":  func() error { return s.BackupTo(t.Context(), "") },
		"compact": func() error { return s.CompactTo(t.Context(), "") },
		"salvage": func() error { _, err := boltstore.Salvage(t.Context(), in("file"), "", nil); return err },
	} {
		if err := write(); !errors.Is(err, state.ErrInvalidArgument) {
			t.Errorf("%s to no name: %v", how, err)
		}
	}
	if got, err := os.ReadFile(in("file")); err != nil || string(got) != kept {
		t.Errorf("the file has %q, %v", got, err)
	}
	if _, err := os.Lstat(in("nowhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link was followed: %v", err)
	}
	if err := s.Check(t.Context(), func(p string) { t.Error(p) }); err != nil {
		t.Error(err)
	}
}
