package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/store"
)

// NextSchema is a later schema, for tests. Its migration copies every record of
// all buckets except meta, and calls during with the number of records so far.
// The records stay unchanged, so this version can read them.
func NextSchema(o Options, during func(n int) error) *Options {
	o.schema = schema{schemaVersion + 1, maps.Clone(migrations)}
	o.schema.migrations[schemaVersion] = func(tx *bolt.Tx) error {
		n := 0
		for b := metaBucket + 1; b < bucketCount; b++ {
			var records [][2][]byte
			err := b.in(tx).ForEach(func(k, v []byte) error {
				records = append(records, [2][]byte{bytes.Clone(k), bytes.Clone(v)})
				return nil
			})
			if err == nil {
				err = tx.DeleteBucket([]byte(bucketNames[b]))
			}
			if err != nil {
				return err
			}
			made, err := tx.CreateBucket([]byte(bucketNames[b]))
			if err != nil {
				return err
			}
			for _, r := range records {
				if err := errors.Join(made.Put(r[0], r[1]), during(n)); err != nil {
					return err
				}
				n++
			}
		}
		return nil
	}
	return &o
}

func undisturbed(int) error { return nil }

// olderFile is a file of the present schema, closed.
func olderFile(t *testing.T) (m *model, path string) {
	t.Helper()
	s := openQuick(t, filepath.Join(t.TempDir(), "live.db"), nil)
	m = schemaStory(t, s)
	path = filepath.Join(t.TempDir(), "older.db")
	write(t, path, s.closedImage(t))
	return m, path
}

// neighbors lists the other files in a file's directory.
func neighbors(t *testing.T, path string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != filepath.Base(path) {
			names = append(names, e.Name())
		}
	}
	return names
}

func expectNeighbors(t *testing.T, path string, want ...string) {
	t.Helper()
	if got := neighbors(t, path); !slices.Equal(got, want) {
		t.Errorf("next to the file are %q, want %q", got, want)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestOlderFileIsMigratedAndACopyOfItKept(t *testing.T) {
	m, path := olderFile(t)
	runs := 0
	next := NextSchema(Options{FileMode: 0o644}, func(n int) error {
		if n == 0 {
			runs++
		}
		return nil
	})
	for range 2 { // the second time there is nothing to do
		s := openQuick(t, path, next)
		m.expect(t, s, "migrated")
		_ = s.Close()
		expectNeighbors(t, path, "older.db.schema4")
	}
	if runs != 1 {
		t.Errorf("the migration ran %d times", runs)
	}
	kept := path + ".schema4"
	if info, err := os.Stat(kept); err != nil || runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("the copy is %+v, %v", info, err)
	}
	m.expect(t, openQuick(t, kept, nil), "copy, by the version before")

	before := readFile(t, path)
	if _, err := Open(path, nil); !errors.Is(err, store.ErrIncompatible) {
		t.Errorf("opened by the version before: %v, want an error that matches %q", err, store.ErrIncompatible)
	}
	if !bytes.Equal(before, readFile(t, path)) {
		t.Error("the version before changed the file that it refused")
	}
}

func TestMigrationsRunInOrderFromTheVersionOfTheFile(t *testing.T) {
	m, path := olderFile(t)
	var ran []byte
	step := func(from byte) migration {
		return func(*bolt.Tx) error {
			ran = append(ran, from)
			return nil
		}
	}
	o := &Options{schema: schema{7, map[byte]migration{4: step(4), 6: step(6), 7: step(7)}}}
	if _, err := Open(path, o); !errors.Is(err, store.ErrIncompatible) || len(ran) > 0 {
		t.Fatalf("without the second of three: %v after %d", err, ran)
	}
	expectNeighbors(t, path)
	for _, to := range []struct {
		version byte
		want    []byte
	}{{6, []byte{4, 5}}, {7, []byte{6}}} {
		ran = nil
		o := &Options{schema: schema{to.version, map[byte]migration{0: step(0), 1: step(1), 2: step(2), 3: step(3), 4: step(4), 5: step(5), 6: step(6), 7: step(7)}}}
		s := openQuick(t, path, o)
		m.expect(t, s, "migrated")
		_ = s.Close()
		if !slices.Equal(ran, to.want) {
			t.Errorf("to version %d ran %d, want %d", to.version, ran, to.want)
		}
	}
	expectNeighbors(t, path, "older.db.schema4", "older.db.schema6")
}

// Open accepts every schema that existing files may have.
func TestEverySchemaHasAMigration(t *testing.T) {
	for v := byte(1); v < schemaVersion; v++ {
		if migrations[v] == nil {
			t.Errorf("none from schema %d", v)
		}
	}
	if len(migrations) != schemaVersion-1 {
		t.Errorf("%d migrations to schema %d", len(migrations), schemaVersion)
	}
}

func TestMigrationThatFailsLeavesTheFileAsItWas(t *testing.T) {
	broken := errors.New("a record is not what it was")
	for _, test := range []struct {
		name   string
		during func(n int) error
		want   error
	}{
		{"an error", func(n int) error {
			if n == 20 {
				return broken
			}
			return nil
		}, broken},
		{"a panic", func(n int) error {
			if n == 20 {
				panic("index out of range")
			}
			return nil
		}, store.ErrCorrupt},
		{"no room", func(n int) error {
			if n == 20 {
				return &fs.PathError{Op: "write", Path: "older.db", Err: syscall.ENOSPC}
			}
			return nil
		}, store.ErrFull},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, path := olderFile(t)
			before := readFile(t, path)
			for range 2 {
				_, err := Open(path, NextSchema(Options{}, test.during))
				if !errors.Is(err, test.want) || !strings.Contains(err.Error(), path) {
					t.Fatalf("error %v, want one that matches %q and names the file", err, test.want)
				}
				if !bytes.Equal(before, readFile(t, path)) {
					t.Fatal("the file was changed")
				}
				expectNeighbors(t, path, "older.db.schema4")
			}
			s := openQuick(t, path, nil)
			m.expect(t, s, "by the version before")
			_ = s.Close()
			s = openQuick(t, path, NextSchema(Options{}, undisturbed))
			m.expect(t, s, "migrated in the end")
		})
	}
}

// The bound of the file's size also applies to a migration.
func TestAMigrationWithoutRoomIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "older.db")
	s := openQuick(t, path, nil)
	m := newModel()
	for i := range 300 {
		m.commit(t, s, m.large(t, fmt.Sprint(i), 1000))
	}
	_ = s.Close()
	before := readFile(t, path)
	_, err := Open(path, NextSchema(Options{MaxSize: len(before)}, undisturbed))
	if !errors.Is(err, store.ErrFull) || !strings.Contains(err.Error(), "from schema 4 to 5") {
		t.Errorf("error %v, want one that matches %q and says at what", err, store.ErrFull)
	}
	m.expect(t, openQuick(t, path, nil), "as it was")
}

func TestCopyOfAnOlderFileNeverReplacesAnother(t *testing.T) {
	m, path := olderFile(t)
	foreign := []byte("not a copy\n")
	write(t, path+".schema4", foreign)
	if err := os.Mkdir(path+".schema4.2", 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, path+".schema4.3", readFile(t, filepath.Join("testdata", "schema1.db.gz")))
	m.expect(t, openQuick(t, path, NextSchema(Options{}, undisturbed)), "migrated")
	expectNeighbors(t, path, "older.db.schema4", "older.db.schema4.2", "older.db.schema4.3", "older.db.schema4.4")
	if !bytes.Equal(readFile(t, path+".schema4"), foreign) {
		t.Error("another file was changed")
	}
	m.expect(t, openQuick(t, path+".schema4.4", nil), "copy")
}

// A copy that a killed migration left is outdated once the previous version has
// written more.
func TestTheCopyIsMadeAgainIfTheFileHasChanged(t *testing.T) {
	m, path := olderFile(t)
	fails := NextSchema(Options{}, func(int) error { return errors.New("killed") })
	for range 2 {
		if _, err := Open(path, fails); err == nil {
			t.Fatal("migrated")
		}
	}
	earlier := m.clone()
	s := openQuick(t, path, nil)
	m.commit(t, s, m.large(t, "later", 10))
	_ = s.Close()
	m.expect(t, openQuick(t, path, NextSchema(Options{}, undisturbed)), "migrated")
	expectNeighbors(t, path, "older.db.schema4", "older.db.schema4.2")
	earlier.expect(t, openQuick(t, path+".schema4", nil), "first copy")
	m.expect(t, openQuick(t, path+".schema4.2", nil), "second copy")
}

func TestMigrationThroughALinkKeepsTheCopyNextToTheFile(t *testing.T) {
	m, path := olderFile(t)
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	m.expect(t, openQuick(t, link, NextSchema(Options{}, undisturbed)), "migrated")
	expectNeighbors(t, path, "older.db.schema4")
	expectNeighbors(t, link)
}

// Without a copy the file stays unchanged.
func TestMigrationWithoutRoomForTheCopyDoesNotBegin(t *testing.T) {
	m, older := olderFile(t)
	path := filepath.Join(t.TempDir(), strings.Repeat("n", 240)) // too long with anything appended
	write(t, path, readFile(t, older))
	began := false
	_, err := Open(path, NextSchema(Options{}, func(int) error { began = true; return nil }))
	if err == nil || !strings.Contains(err.Error(), "keep a copy of schema 4") || began {
		t.Errorf("error %v, want one that says at what; began: %t", err, began)
	}
	expectNeighbors(t, path)
	m.expect(t, openQuick(t, path, nil), "as it was")
}
