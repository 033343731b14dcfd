package boltstore

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// alterBolt changes a bbolt file without the store.
func alterBolt(t testing.TB, path string, f func(tx *bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(f), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestOpenReportsTheErrorOfAFile(t *testing.T) {
	write := func(data []byte) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	alter := func(f func(tx *bolt.Tx) error) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			_ = openQuick(t, path, nil).Close()
			alterBolt(t, path, f)
		}
	}
	tests := []struct {
		name    string
		prepare func(t *testing.T, path string)
		want    error
	}{
		{"empty", write(nil), store.ErrCorrupt},
		{"one byte", write([]byte{0}), store.ErrCorrupt},
		{"a text", write([]byte("not a database\n")), store.ErrCorrupt},
		{"garbage of a page and a half", write(bytes.Repeat([]byte{0xa5}, 6000)), store.ErrCorrupt},
		{"garbage of many pages", write(bytes.Repeat([]byte("garbage "), 10_000)), store.ErrCorrupt},
		{"zeros", write(make([]byte, 1<<16)), store.ErrCorrupt},
		{"another program's", func(t *testing.T, path string) {
			alterBolt(t, path, func(tx *bolt.Tx) error {
				_, err := tx.CreateBucket([]byte("widgets"))
				return err
			})
		}, store.ErrIncompatible},
		{"another program's with a bucket of that name", func(t *testing.T, path string) {
			alterBolt(t, path, func(tx *bolt.Tx) error {
				_, err := tx.CreateBucket([]byte(bucketNames[metaBucket]))
				return err
			})
		}, store.ErrIncompatible},
		{"a new bbolt file without anything", func(t *testing.T, path string) {
			alterBolt(t, path, func(*bolt.Tx) error { return nil })
		}, store.ErrIncompatible},
		{"a newer schema", alter(func(tx *bolt.Tx) error {
			return metaBucket.in(tx).Put(keyFormat, formatRecord(schemaVersion+1))
		}), store.ErrIncompatible},
		{"schema 0", alter(func(tx *bolt.Tx) error {
			return metaBucket.in(tx).Put(keyFormat, formatRecord(0))
		}), store.ErrIncompatible},
		{"with a damaged format", alter(func(tx *bolt.Tx) error {
			v := formatRecord(schemaVersion)
			v[0] ^= 0x20
			return metaBucket.in(tx).Put(keyFormat, v)
		}), store.ErrCorrupt},
		{"without a bucket", alter(func(tx *bolt.Tx) error {
			return tx.DeleteBucket([]byte(bucketNames[idsBucket]))
		}), store.ErrCorrupt},
		{"with a damaged checkpoint", alter(func(tx *bolt.Tx) error {
			return metaBucket.in(tx).Put(keyCheckpoint, appendNumber(nil, 7))
		}), store.ErrCorrupt},
		{"without a checkpoint", alter(func(tx *bolt.Tx) error {
			return metaBucket.in(tx).Delete(keyCheckpoint)
		}), store.ErrCorrupt},
		{"a directory", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, state.ErrInvalidArgument},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file.db")
			test.prepare(t, path)
			before, _ := os.ReadFile(path)
			for range 2 { // the first must not leave the file locked
				s, err := Open(path, &Options{LockTimeout: 50 * time.Millisecond})
				if err == nil {
					_ = s.Close()
				}
				if !errors.Is(err, test.want) {
					t.Fatalf("error %v, want one that matches %q", err, test.want)
				}
				if !strings.Contains(err.Error(), path) {
					t.Errorf("error %q does not name the file", err)
				}
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(after, before) {
				t.Error("the file was changed")
			}
		})
	}
}

func TestOpenReportsAMissingDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "file.db")
	if _, err := Open(path, nil); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want one that matches %q and names the file", err, fs.ErrNotExist)
	}
}

func TestOpenReturnsErrorsOfTheSystem(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file.db")
	_ = openQuick(t, path, nil).Close()
	for _, want := range []error{fs.ErrPermission, errors.New("a name server is on fire")} {
		o := &Options{OpenFile: func(name string, _ int, _ fs.FileMode) (*os.File, error) {
			return nil, &fs.PathError{Op: "open", Path: name, Err: want}
		}}
		_, err := Open(path, o)
		if !errors.Is(err, want) || errors.Is(err, store.ErrCorrupt) {
			t.Errorf("error %v, want %v alone", err, want)
		}
	}
}

func TestOpenDoesNotRecreateARemovedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file.db")
	_ = openQuick(t, path, nil).Close()
	o := &Options{OpenFile: func(name string, flag int, mode fs.FileMode) (*os.File, error) {
		_ = os.Remove(name)
		return os.OpenFile(name, flag, mode)
	}}
	if _, err := Open(path, o); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want one that matches %q", err, fs.ErrNotExist)
	}
}

func TestOpenRefusesNegativeOptions(t *testing.T) {
	for _, o := range []Options{
		{LockTimeout: -1}, {MaxSize: -1}, {OverlayTransitions: -1}, {FeedTransitions: -1}, {FeedAge: -1},
	} {
		if _, err := Open(filepath.Join(t.TempDir(), "file.db"), &o); !errors.Is(err, state.ErrInvalidArgument) {
			t.Errorf("%+v: error %v, want one that matches %q", o, err, state.ErrInvalidArgument)
		}
	}
}

func TestSecondOpenGetsErrLockedAndNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file.db")
	s := openQuick(t, path, nil)
	_, err := Open(path, &Options{LockTimeout: time.Millisecond})
	if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want one that matches %q and names the file", err, store.ErrLocked)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	openQuick(t, path, nil)
}

func TestNewFilesAreTheOwnersAlone(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // has no such modes
	}
	for mode, o := range map[fs.FileMode]*Options{0o600: nil, 0o640: {FileMode: 0o640}} {
		path := filepath.Join(t.TempDir(), "file.db")
		openQuick(t, path, o)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != mode {
			t.Errorf("mode %v, want %v", info.Mode(), mode)
		}
	}
}

// The first process makes the file; all others open the same one.
func TestManyCreateOneFileAtOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file.db")
	key := func(i int) state.Key { return state.Key{Business: "2", Task: string(rune('a' + i))} }
	const n = 8
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			s, err := Open(path, &Options{LockTimeout: time.Minute})
			if err != nil {
				t.Error(err)
				return
			}
			c, err := newModel().change(key(i), newRoot(key(i).Task))
			if err == nil {
				_, err = s.Commit(t.Context(), []store.Write{c})
			}
			if err := errors.Join(err, s.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s := openQuick(t, path, nil)
	for i := range n {
		if _, err := s.Load(t.Context(), store.Ref{Key: key(i)}); err != nil {
			t.Error(err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the directory holds %v, %v; want the file alone", entries, err)
	}
}

func TestCloseIsIdempotentAndLaterCallsSaySo(t *testing.T) {
	s := openQuick(t, filepath.Join(t.TempDir(), "file.db"), nil)
	m := newModel()
	m.do(t, s, state.Key{Business: "2", Task: "1"}, newRoot("1"))
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Feed(t.Context(), store.Position{}, 1); !errors.Is(err, store.ErrClosed) {
		t.Errorf("error %v, want one that matches %q", err, store.ErrClosed)
	}
	if err := s.Check(t.Context(), nil); !errors.Is(err, store.ErrClosed) {
		t.Errorf("error %v, want one that matches %q", err, store.ErrClosed)
	}
}

// Close waits for readers, and Open does not replay the transitions that Close
// has written back.
func TestCloseWritesBackAndWaitsForReaders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file.db")
	s := openQuick(t, path, nil)
	m := newModel()
	key := state.Key{Business: "2", Task: "1"}
	m.do(t, s, key, newRoot("1"), start("1"))

	reading, read := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := s.view(t.Context(), func() {}, func(tx *bolt.Tx) error {
			close(reading)
			<-read
			_, _, err := feedEnds(tx)
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-reading
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	for s.state() == nil { // until Close has begun
		time.Sleep(time.Millisecond)
	}
	select {
	case <-closed:
		t.Error("Close returned while a reader was at work")
	default:
	}
	close(read)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	wg.Wait()

	s = openQuick(t, path, nil)
	if s.overlay.transitions() != 0 || s.checkpoint != s.last {
		t.Errorf("after a clean close %d transitions are read again", s.overlay.transitions())
	}
	m.expect(t, s, "reopened")
}

// The next Open removes the unfinished files of a killed process, and no
// others.
func TestOpenRemovesUnfinishedFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file.db")
	_ = openQuick(t, path, nil).Close()
	stay := []string{ // in their order
		".file.db.new-", ".file.db.new-1.new-2", ".file.db.new-1x", ".file.db2.new-1", ".other.db.new-1", "file.db.new-1",
	}
	for _, name := range append([]string{".file.db.new-1", ".file.db.new-0123456789"}, stay...) {
		write(t, filepath.Join(dir, name), []byte("unfinished"))
	}
	if err := os.Mkdir(filepath.Join(dir, ".file.db.new-2"), 0o700); err != nil {
		t.Fatal(err)
	}
	openQuick(t, path, nil)
	expectNeighbors(t, path, slices.Insert(stay, 3, ".file.db.new-2")...)
}

// A process without the file's lock may be waiting for one that replaces the
// file.
func TestOpenWithoutTheLockRemovesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file.db")
	openQuick(t, path, nil)
	unfinished := filepath.Join(filepath.Dir(path), ".file.db.new-1")
	write(t, unfinished, []byte("unfinished"))
	if _, err := Open(path, &Options{LockTimeout: time.Millisecond}); !errors.Is(err, store.ErrLocked) {
		t.Fatal(err)
	}
	expectNeighbors(t, path, filepath.Base(unfinished))
}
