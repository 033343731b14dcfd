package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/journal"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/steps"
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
	steps.Done(steps.Written, name)
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
	return recordCopy(m, 0, journal.ID{})
}

// recordCopy makes the file whose meta bucket is m a new instance: one that has
// everything up to a sequence, and in particular what a journal has.
func recordCopy(m *bolt.Bucket, seq uint64, last journal.ID) error {
	c, p := checkpoint{seq: seq, acked: seq}, pairing{instance: newID(), journal: last}
	return errors.Join(m.Put(keyCheckpoint, c.record()), m.Put(keyJournal, p.record()))
}

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

// writeNew makes a new file under another name and then gives it its own. What is
// abandoned in the directory goes first; write locks the file, so that nobody
// takes that for abandoned.
func writeNew(path string, mode fs.FileMode, write func(f *os.File) error) (err error) {
	if err := vacant(path); err != nil {
		return err
	}
	removeAbandoned(path)
	temp, err := tempFile(path, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove(temp.Name())) }()
	if err := errors.Join(write(temp), temp.Sync(), temp.Close()); err != nil {
		return err
	}
	steps.Done(steps.Written, temp.Name())
	if err := publish(temp.Name(), path, fs.ErrExist); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// vacant returns an error unless a copy can get this name.
func vacant(path string) error {
	if path == "" {
		return fmt.Errorf("%w: no name for the copy", state.ErrInvalidArgument)
	}
	if _, err := os.Lstat(path); err == nil {
		return fs.ErrExist
	}
	return nil
}

// publish gives a finished file its name unless something has that name by
// now: then it returns taken.
func publish(from, to string, taken error) error {
	err := os.Link(from, to)
	if err == nil {
		steps.Done(steps.Named, to)
		return nil
	}
	if errors.Is(err, fs.ErrExist) {
		return taken
	}
	// No hard links here: accept the moment between look and rename.
	if _, statErr := os.Lstat(to); statErr == nil {
		return taken
	}
	return rename(from, to)
}

// rename gives a file another name, and takes it from whatever has that.
func rename(from, to string) error {
	err := os.Rename(from, to)
	if err == nil {
		steps.Done(steps.Named, to)
	}
	return err
}

// remove removes a file, if it is there.
func remove(name string) error {
	err := os.Remove(name)
	switch {
	case err == nil:
		steps.Done(steps.Removed, name)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return err
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
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return err
	}
	steps.Done(steps.Synced, dir)
	return nil
}
