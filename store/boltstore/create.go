package boltstore

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	bolt "go.etcd.io/bbolt"
)

// create makes a new file at path. It is complete and on disk under another
// name before it appears at path, since a power cut during bbolt's first
// initialisation can leave a file that does not open. If another process is
// quicker, its file stays.
func create(path string, mode fs.FileMode) (err error) {
	temp, err := tempFile(path, mode)
	if err != nil {
		return err
	}
	name := temp.Name()
	defer func() { err = errors.Join(err, remove(name)) }()
	if err := temp.Close(); err != nil {
		return err
	}
	db, err := bolt.Open(name, mode, nil)
	if err != nil {
		return err
	}
	if err := errors.Join(db.Update(initialise), db.Sync(), db.Close()); err != nil {
		return err
	}
	if err := publish(name, path, nil); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func initialise(tx *bolt.Tx) error {
	for _, name := range bucketNames {
		if _, err := tx.CreateBucket([]byte(name)); err != nil {
			return err
		}
	}
	m := metaBucket.in(tx)
	if err := m.Put(keyFormat, formatRecord(schemaVersion)); err != nil {
		return err
	}
	return m.Put(keyCheckpoint, checkpointRecord(0))
}

// tempName is what the names of unfinished files begin with that are to become
// the one at path; digits follow.
func tempName(path string) string { return "." + filepath.Base(path) + ".new-" }

// tempFile makes a file beside path that nobody else uses.
func tempFile(path string, mode fs.FileMode) (*os.File, error) {
	f, err := os.CreateTemp(filepath.Dir(path), tempName(path)+"*")
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(mode); err != nil {
		return nil, errors.Join(err, f.Close(), remove(f.Name()))
	}
	return f, nil
}

// removeLeftovers removes the unfinished files that processes left which were
// killed while they made the one at path, as far as it can. The caller has that
// file open, and so its lock: whoever still works on another one under its name
// will find the name taken, and make no difference between its own file being
// there or not.
func removeLeftovers(path string) {
	dir := filepath.Dir(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), tempName(path))
		if ok && digits != "" && strings.Trim(digits, "0123456789") == "" && e.Type().IsRegular() {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// writeNew makes a new file under another name and then gives it its own.
func writeNew(path string, mode fs.FileMode, write func(f *os.File) error) (err error) {
	if _, err := os.Lstat(path); err == nil {
		return fs.ErrExist
	}
	temp, err := tempFile(path, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove(temp.Name())) }()
	if err := errors.Join(write(temp), temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := publish(temp.Name(), path, fs.ErrExist); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// publish gives a finished file its name unless something has that name by
// now: then it returns taken.
func publish(from, to string, taken error) error {
	err := os.Link(from, to)
	if err == nil {
		return nil
	}
	if errors.Is(err, fs.ErrExist) {
		return taken
	}
	// No hard links here: accept the moment between look and rename.
	if _, statErr := os.Lstat(to); statErr == nil {
		return taken
	}
	return os.Rename(from, to)
}

func remove(name string) error {
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncDir makes a new name in a directory durable. Windows has no such thing.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
