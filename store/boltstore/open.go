package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"syscall"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var errNotRegular = fmt.Errorf("%w: not a regular file", state.ErrInvalidArgument)

// Open opens the file at path, or creates it if there is none; o may be nil. A
// file of an older schema is brought to the present one first, see "Upgrades"
// in the package documentation.
// The error matches [state.ErrInvalidArgument] if path names something else
// than a file, [store.ErrLocked] if another process has the file open,
// [store.ErrCorrupt] if it is damaged, empty or no bbolt file,
// [store.ErrIncompatible] if it is another program's bbolt file or written by
// a newer version, [store.ErrFull] if there is no room for a new one
// or for what an upgrade writes, and [fs.ErrNotExist] if the directory does not
// exist.
func Open(path string, o *Options) (*Store, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	at, err := newWhereabouts(path)
	if err != nil {
		return nil, fmt.Errorf("boltstore: open %s: %w", path, err)
	}
	s := &Store{path: path, at: at, opts: opts, overlay: newOverlay(), keys: make(map[state.Key]struct{}), ids: make(map[string]struct{})}
	if err := guard(s.open); err != nil {
		return nil, fmt.Errorf("boltstore: open %s: %w", path, err)
	}
	return s, nil
}

func (s *Store) open() error {
	switch info, err := os.Stat(s.at.absolute); {
	case errors.Is(err, fs.ErrNotExist):
		if err := create(s.at.absolute, s.opts.FileMode); err != nil {
			return full(s.path, err)
		}
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errNotRegular
	case info.Size() == 0:
		// bbolt would make a new, empty database of it, over whatever was lost.
		return fmt.Errorf("%w: the file is empty", store.ErrCorrupt)
	}
	if err := s.openCurrent(); err != nil {
		return err
	}
	removeLeftovers(s.at.real)
	err := guard(s.migrate)
	if err == nil {
		err = guard(s.load)
	}
	if err != nil {
		return errors.Join(err, guard(s.db.Close))
	}
	return nil
}

// openCurrent opens the file that has the store's name. While it waited for
// the lock, whoever had it may have put a compacted file in its place.
func (s *Store) openCurrent() (err error) {
	for range 3 {
		if err := s.at.resolve(); err != nil {
			return err
		}
		if s.boltFile, err = s.openBolt(s.at.real); err != nil {
			return err
		}
		if s.at.leadsTo(s.info) == nil {
			return nil
		}
		if err := s.db.Close(); err != nil {
			return err
		}
	}
	return store.ErrLocked
}

// openBolt opens a file that exists.
func (s *Store) openBolt(path string) (f boltFile, err error) {
	var openErr error
	o := s.boltOptions()
	o.OpenFile = func(name string, flag int, mode fs.FileMode) (*os.File, error) {
		// Without the flag a file that vanished meanwhile stays away, instead
		// of coming back as an empty one.
		if f.file, openErr = s.opts.OpenFile(name, flag&^os.O_CREATE, mode); openErr != nil {
			return nil, openErr
		}
		// Before bbolt believes what the file says.
		if openErr = lock(f.file, false, s.opts.LockTimeout); openErr == nil {
			openErr = examineFile(f.file)
		}
		if openErr == nil {
			f.info, openErr = f.file.Stat()
		}
		if openErr != nil {
			return nil, errors.Join(openErr, f.file.Close())
		}
		return f.file, nil
	}
	panicked := true
	err = guard(func() (err error) {
		f.db, err = bolt.Open(path, s.opts.FileMode, o)
		panicked = false
		return err
	})
	switch {
	case panicked:
		return f, errors.Join(err, release(f.file))
	case err == nil:
		f.pageSize = int64(f.db.Info().PageSize)
		f.footing = footing{file: f.file, pageSize: f.pageSize}
		if s.opts.MaxSize > 0 {
			// bbolt grows a file in steps of this size and counts the next
			// step against the bound.
			f.db.AllocSize = min(f.db.AllocSize, max(s.opts.MaxSize/64, 64<<10))
		}
		return f, nil
	case openErr != nil:
		return f, err
	}
	return f, translateOpen(err)
}

// release closes a file that bbolt has locked and will not close. The mapping
// keeps it in use, so closing alone would leave it locked.
func release(f *os.File) error {
	if f == nil {
		return nil
	}
	return errors.Join(unlock(f), f.Close())
}

func (s *Store) boltOptions() *bolt.Options {
	o := &bolt.Options{
		Timeout:      s.opts.LockTimeout,
		FreelistType: bolt.FreelistMapType,
		MaxSize:      s.opts.MaxSize,
	}
	if runtime.GOOS != "windows" && ^uint(0)>>32 != 0 {
		// A commit that must remap a grown file waits for every reader:
		// measured 501 ms against 17. On Windows this would extend the file.
		o.InitialMmapSize = s.opts.mapped
	}
	return o
}

// translateOpen takes for damage what neither the lock nor the operating
// system answered.
func translateOpen(err error) error {
	var path *fs.PathError
	var call *os.SyscallError
	var errno syscall.Errno
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return store.ErrLocked
	case errors.As(err, &path), errors.As(err, &call), errors.As(err, &errno):
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrCorrupt, err)
}

// load reads the journal after the checkpoint.
func (s *Store) load() error {
	return s.db.View(func(tx *bolt.Tx) error {
		for b := range bucketCount {
			if b.in(tx) == nil {
				return fmt.Errorf("%w: no bucket %s", store.ErrCorrupt, bucketNames[b])
			}
		}
		checkpoint, err := decodeCheckpoint(metaBucket.in(tx).Get(keyCheckpoint))
		if err != nil {
			return err
		}
		_, last, err := journalEnds(tx)
		if err != nil {
			return err
		}
		s.checkpoint, s.last = checkpoint, max(checkpoint, last)
		if s.past, err = readHistories(tx, s.last); err != nil {
			return err
		}
		return s.replay(tx)
	})
}
