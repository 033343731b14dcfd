package boltstore

import (
	"errors"
	"io/fs"
	"path/filepath"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/store/boltstore/internal/files"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/journal"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/steps"
)

// create makes a new file at path. The file is complete and on disk under
// another name before it appears at path, since a power cut during bbolt's
// initialization can leave a file that does not open. If another process is
// faster, its file stays.
func create(path string, mode fs.FileMode) (err error) {
	temp, err := files.Temp(path, mode)
	if err != nil {
		return err
	}
	name := temp.Name()
	defer func() { err = errors.Join(err, files.Remove(name)) }()
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
	if err := files.Publish(name, path, nil); err != nil {
		return err
	}
	return files.SyncDir(filepath.Dir(path))
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

// recordCopy makes the file with the meta bucket m a new instance, which has
// everything up to seq. last is the journal whose contents the file has, if
// any.
func recordCopy(m *bolt.Bucket, seq uint64, last journal.ID) error {
	c, p := checkpoint{seq: seq, acked: seq}, pairing{instance: newID(), journal: last}
	return errors.Join(m.Put(keyCheckpoint, c.record()), m.Put(keyJournal, p.record()))
}
