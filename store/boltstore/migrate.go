package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/files"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/pages"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/steps"
)

// To change the schema and migrate existing files:
//
//   - Raise schemaVersion, update the picture in schema.go, and add a golden
//     file and a packed file of the new schema. Do not change the old ones.
//   - Add the migration in a new file, and to migrations under the version that
//     it begins with. It needs its own copies of decoders that change later.
//     Before it runs, Open writes the journal back, so frames of the old schema
//     must stay readable too.
//   - Let its test open the packed file of the version that it begins with and
//     expect every answer. [Salvage] must read that version too, or refuse it.
//
// All migrations of a file run in one transaction. Until the commit, its
// changes are in memory, and the file needs room for both the old and the new
// records.

// migration changes a file from one version of the schema to the next, in a
// transaction that it does not end.
type migration func(tx *bolt.Tx) error

// migrations has all migrations, by the version that they begin with.
var migrations = map[byte]migration{1: migrate1, 2: migrate2, 3: migrate3}

// schema is a version of the file and the migrations to it.
type schema struct {
	version    byte
	migrations map[byte]migration
}

// formatRecord is the record with the version. In schemas 1 and 2 it was not
// sealed.
func formatRecord(version byte) []byte {
	b := append([]byte{version}, formatName...)
	if version <= 2 {
		return b
	}
	return seal(keyFormat, b)
}

func decodeFormat(v []byte) (version byte, err error) {
	switch {
	case len(v) > 0 && bytes.Equal(v, formatRecord(v[0])):
		return v[0], nil
	case len(v) == 1+len(formatName)+sealBytes:
		return 0, fmt.Errorf("%w: malformed format record", store.ErrCorrupt)
	}
	return 0, fmt.Errorf("%w: not a pipestatus file", store.ErrIncompatible)
}

// checkFormat returns the version of a file. The error matches
// [store.ErrIncompatible] if the file cannot be migrated to the schema.
func (to *schema) checkFormat(tx *bolt.Tx) (version byte, err error) {
	var format []byte
	if m := metaBucket.in(tx); m != nil {
		format = m.Get(keyFormat)
	}
	if version, err = decodeFormat(format); err != nil {
		return 0, err
	}
	for v := version; v != to.version; v++ {
		if to.migrations[v] == nil {
			return 0, fmt.Errorf("%w: schema %d, this version knows %d", store.ErrIncompatible, version, to.version)
		}
	}
	return version, nil
}

// migrate migrates a file of an older schema to the present one. A copy of the
// file is on disk before it changes.
func (s *Store) migrate(from byte) error {
	to := &s.opts.schema
	if err := s.db.View(func(tx *bolt.Tx) error { return s.keepCopy(tx, from) }); err != nil {
		return err
	}
	err := s.db.Update(func(tx *bolt.Tx) error {
		for v := from; v < to.version; v++ {
			if err := to.migrations[v](tx); err != nil {
				return err
			}
		}
		return metaBucket.in(tx).Put(keyFormat, formatRecord(to.version))
	})
	if err != nil {
		return fmt.Errorf("from schema %d to %d: %w", from, to.version, full(s.path, err))
	}
	steps.Done(steps.Written, s.at.Real)
	return nil
}

// keepCopy copies the file, which the transaction reads, to the same directory.
// It uses an existing copy that a killed process made before the same
// migration. It never replaces another file.
func (s *Store) keepCopy(tx *bolt.Tx, version byte) error {
	path := s.at.Real
	name := fmt.Sprintf("%s.schema%d", path, version)
	for n := 2; ; n++ {
		files.RemoveOwnLeftovers(name)
		err := files.WriteNew(name, 0o600, func(f *os.File) error {
			if err := files.Lock(f, false, 0); err != nil {
				return err
			}
			return writeTo(tx, f)
		})
		if err == nil {
			return nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("keep a copy of schema %d: %w", version, full(name, err))
		}
		if same, err := s.isCopy(name); same || err != nil {
			return err
		}
		name = fmt.Sprintf("%s.schema%d.%d", path, version, n)
	}
}

// isCopy reports whether a file is a copy that keepCopy made of this one. Free
// pages are not compared: a killed migration may have written to them.
func (s *Store) isCopy(name string) (same bool, err error) {
	if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() {
		return false, err
	}
	other, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, other.Close()) }()
	mine, ok := pages.ReadMeta(s.file, s.pageSize)
	its, whole := pages.ReadMeta(other, s.pageSize)
	if !ok || !whole || its != mine {
		return false, nil
	}
	unused, err := pages.Unused(s.file, s.pageSize, &mine)
	if err != nil {
		return false, err
	}
	a, b := make([]byte, s.pageSize), make([]byte, s.pageSize)
	for id := uint64(2); id < mine.Limit; id++ {
		if unused.Has(id) {
			continue
		}
		_, err := s.file.ReadAt(a, int64(id)*s.pageSize)
		_, otherErr := other.ReadAt(b, int64(id)*s.pageSize)
		if err := errors.Join(err, otherErr); err != nil || !bytes.Equal(a, b) {
			return false, err
		}
	}
	return true, nil
}
