package boltstore

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/files"
)

// forReading returns options of a store that is opened for reading only. They
// fail the test if the file is opened for writing.
func forReading(t *testing.T) *Options {
	return &Options{ReadOnly: true, LockTimeout: 50 * time.Millisecond, OpenFile: func(name string, flag int, perm fs.FileMode) (*os.File, error) {
		if flag != os.O_RDONLY {
			t.Errorf("opened with flags %#x", flag)
		}
		return os.OpenFile(name, flag, perm)
	}}
}

// A file whose writer crashed has the latest transitions only in its journal.
func TestAStoreOpenedForReadingAnswersEverythingAndChangesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tasks.db")
	writer := openQuick(t, path, &Options{OverlayTransitions: 100})
	m := story(t, writer, 150, 6)
	crashed := filepath.Join(dir, "crashed.db")
	left := writer.image(t)
	must(t, os.WriteFile(crashed, left.file, 0o400))
	must(t, os.WriteFile(crashed+journalSuffix, left.journal, 0o400))
	must(t, writer.Close())
	leftover := filepath.Join(dir, files.TempName(path)+"123")
	must(t, os.WriteFile(leftover, nil, 0o600))
	for _, path := range []string{path, crashed} {
		before, err := os.ReadFile(path)
		must(t, err)
		s, err := Open(path, forReading(t))
		must(t, err)
		second, err := Open(path, forReading(t))
		must(t, err)
		m.expect(t, s, "for reading")
		m.expect(t, second, "for a second reader")
		if _, err := Open(path, &Options{LockTimeout: 50 * time.Millisecond}); !errors.Is(err, store.ErrLocked) {
			t.Errorf("open for writing: error %v, want one that matches %q", err, store.ErrLocked)
		}
		if _, err := s.Commit(t.Context(), []store.Write{m.large(t, "late", 10)}); !errors.Is(err, store.ErrReadOnly) {
			t.Errorf("commit: error %v, want one that matches %q", err, store.ErrReadOnly)
		}
		if err := s.Compact(t.Context()); !errors.Is(err, store.ErrReadOnly) {
			t.Errorf("compact: error %v, want one that matches %q", err, store.ErrReadOnly)
		}
		if _, err := s.Stats(t.Context()); err != nil {
			t.Error(err)
		}
		var copied bytes.Buffer
		must(t, s.Backup(t.Context(), &copied))
		to := filepath.Join(t.TempDir(), "copy.db")
		must(t, s.CompactTo(t.Context(), to))
		must(t, errors.Join(s.Close(), second.Close()))
		m.expect(t, openImage(t, copied.Bytes(), nil), "backup")
		m.expect(t, openQuick(t, to, nil), "compacted copy")
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s was changed, %v", path, err)
		}
		if after, err := os.ReadFile(path + journalSuffix); path == crashed && (err != nil || !bytes.Equal(left.journal, after)) {
			t.Errorf("the journal of %s was changed, %v", path, err)
		}
	}
	if _, err := os.Stat(leftover); err != nil {
		t.Errorf("a reader removed a file: %v", err)
	}
	m.expect(t, openQuick(t, crashed, nil), "opened for writing again")
}

func TestAMissingFileIsNotMadeForReading(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(filepath.Join(dir, "none.db"), forReading(t)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want one that matches %q", err, fs.ErrNotExist)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("the directory holds %v, %v", entries, err)
	}
}

func TestAnOlderFileIsNotMigratedForReading(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tasks.db")
	must(t, openQuick(t, path, nil).Close())
	o := forReading(t)
	o.schema = schema{schemaVersion + 1, map[byte]migration{schemaVersion: func(*bolt.Tx) error { return nil }}}
	if _, err := Open(path, o); !errors.Is(err, store.ErrIncompatible) {
		t.Errorf("error %v, want one that matches %q", err, store.ErrIncompatible)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the directory holds %v, %v; want the file alone", entries, err)
	}
	m := newModel()
	s := openQuick(t, path, nil)
	m.do(t, s, state.Key{Business: "2", Task: "1"}, newRoot("1"))
}
