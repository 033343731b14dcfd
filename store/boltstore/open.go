package boltstore

import (
	"context"
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
	"github.com/pipestatus/pipestatus/store/boltstore/internal/files"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/pages"
)

var errNotRegular = fmt.Errorf("%w: not a regular file", state.ErrInvalidArgument)

// Open opens the file at path, or creates it if it does not exist; o may be nil. It
// first migrates a file of an older schema, see "Upgrades" in the package
// documentation. The error matches [state.ErrInvalidArgument] if path does not name a
// file, [store.ErrLocked] if another process has the file open, [store.ErrCorrupt] if it
// is damaged, empty or no bbolt file, [store.ErrIncompatible] if it is another program's
// bbolt file or written by a newer version, [store.ErrFull] if there is no room for a
// new file or for an upgrade, and [fs.ErrNotExist] if the directory does not exist.
func Open(path string, o *Options) (*Store, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	at, err := files.NewWhereabouts(path)
	if err != nil {
		return nil, fmt.Errorf("boltstore: open %s: %w", path, err)
	}
	s := newStore(at, opts)
	if err := guard(s.open); err != nil {
		return nil, fmt.Errorf("boltstore: open %s: %w", path, err)
	}
	return s, nil
}

func (s *Store) open() error {
	switch info, err := os.Stat(s.at.Absolute); {
	case errors.Is(err, fs.ErrNotExist) && !s.opts.ReadOnly:
		if err := create(s.at.Absolute, s.opts.FileMode); err != nil {
			return full(s.path, err)
		}
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errNotRegular
	case info.Size() == 0:
		// bbolt would silently make it a new, empty database.
		return fmt.Errorf("%w: the file is empty", store.ErrCorrupt)
	}
	for {
		if err := s.openCurrent(); err != nil {
			return err
		}
		err := guard(s.prepare)
		if err == nil {
			return nil
		}
		again := errors.Is(err, errAgain)
		if closeErr := s.closeFiles(); closeErr != nil || !again {
			return errors.Join(err, closeErr)
		}
	}
}

// prepare makes an open file ready for use: it removes leftovers, pairs the
// file with its journal, and migrates it. It returns errAgain if the file must
// be opened again.
func (s *Store) prepare() error {
	if !s.opts.ReadOnly {
		files.RemoveOwnLeftovers(s.at.Real)
		files.RemoveOwnLeftovers(s.journalPath())
		files.RemoveAbandoned(s.at.Real)
	}
	var from byte
	var at checkpoint
	var pairing pairing
	err := s.db.View(func(tx *bolt.Tx) (err error) {
		if from, err = s.opts.schema.checkFormat(tx); err != nil {
			return err
		}
		if to := s.opts.schema.version; from != to && s.opts.ReadOnly {
			return fmt.Errorf("%w: schema %d; opening it for writing migrates it to %d", store.ErrIncompatible, from, to)
		}
		if from >= schemaWithJournal {
			at, pairing, err = readMetaRecords(tx, from)
		}
		return err
	})
	if err != nil {
		return err
	}
	o, err := s.pair(&pairing)
	if err != nil {
		return err
	}
	if from >= schemaWithJournal {
		if err := s.load(at, pairing.instance, o); err != nil {
			return errors.Join(err, o.close())
		}
	}
	if from == s.opts.schema.version {
		return nil
	}
	if from >= schemaWithJournal {
		if err := s.emptyJournal(); err != nil {
			return err
		}
	}
	if err := s.migrate(from); err != nil {
		return err
	}
	return errAgain
}

// emptyJournal writes the journal's transitions back and removes it, because a
// migration changes the file alone.
func (s *Store) emptyJournal() error {
	if err := s.writer.LockUntil(context.Background()); err != nil {
		return err
	}
	defer s.writer.Unlock()
	if err := s.drainOverlay(context.Background(), nil); err != nil {
		return err
	}
	return s.endJournal()
}

// openCurrent opens the file that has the store's name. It tries again if
// another process replaced the file by a compacted one while openCurrent waited
// for the lock.
func (s *Store) openCurrent() (err error) {
	for range 3 {
		if err := s.at.Resolve(); err != nil {
			return err
		}
		if s.boltFile, err = s.openBolt(s.at.Real); err != nil {
			return err
		}
		if s.at.LeadsTo(s.info) == nil {
			return nil
		}
		if err := s.release(); err != nil {
			return err
		}
	}
	return store.ErrLocked
}

// openBolt opens a file that exists.
func (s *Store) openBolt(path string) (*boltFile, error) {
	f, err := s.openMapped(path, s.opts.mapped)
	if errors.Is(err, syscall.ENOMEM) { // the system has too few addresses
		f, err = s.openMapped(path, 0)
	}
	return f, err
}

// openMapped is openBolt that reserves at least so many bytes of addresses for
// the file. When a file outgrows its addresses, the commit that needs more
// waits for every reader: with a reader of half a second this took 501 ms
// instead of 17. On Windows and on systems with few addresses, the size of the
// file is reserved.
func (s *Store) openMapped(path string, mapped int) (*boltFile, error) {
	f := &boltFile{}
	o := &bolt.Options{
		Timeout:      s.opts.LockTimeout,
		ReadOnly:     s.opts.ReadOnly,
		FreelistType: bolt.FreelistMapType,
		MaxSize:      s.opts.MaxSize,
	}
	if runtime.GOOS != "windows" && ^uint(0)>>32 != 0 {
		o.InitialMmapSize = mapped
	}
	var openErr error
	o.OpenFile = func(name string, flag int, mode fs.FileMode) (*os.File, error) {
		openErr = f.open(name, flag, mode, &s.opts)
		return f.file, openErr
	}
	panicked := true
	err := guard(func() (err error) {
		f.db, err = bolt.Open(path, s.opts.FileMode, o)
		panicked = false
		return err
	})
	switch {
	case panicked:
		return nil, errors.Join(err, abandon(f.file))
	case openErr != nil:
		return nil, openErr
	case err != nil:
		return nil, translateOpen(err)
	}
	f.pageSize = int64(f.db.Info().PageSize)
	f.footing = footing{leaves: pages.LeavesOf(f.file, f.pageSize)}
	if s.opts.MaxSize > 0 {
		// bbolt grows a file in steps of this size and counts the next
		// step against the bound.
		f.db.AllocSize = min(f.db.AllocSize, max(s.opts.MaxSize/64, 64<<10))
	}
	return f.use(), nil
}

// open opens, locks and examines the file before bbolt reads it.
func (f *boltFile) open(name string, flag int, mode fs.FileMode, o *Options) (err error) {
	// Without O_CREATE, a file that was removed in the meantime is not replaced
	// by an empty one.
	if f.file, err = o.OpenFile(name, flag&^os.O_CREATE, mode); err != nil {
		f.file = nil
		return err
	}
	if err = files.Lock(f.file, o.ReadOnly, o.LockTimeout); err == nil {
		err = pages.Examine(f.file)
	}
	if err == nil {
		f.info, err = f.file.Stat()
	}
	if err != nil {
		err = errors.Join(err, f.file.Close())
		f.file = nil
	}
	return err
}

// abandon closes a file that bbolt has locked and will not close. It also
// releases the lock, because the mapping keeps the file in use after the close.
func abandon(f *os.File) error {
	if f == nil {
		return nil
	}
	return errors.Join(files.Unlock(f), f.Close())
}

// translateOpen returns bbolt's error as one of the store's. An error that is
// neither about the lock nor the operating system's is damage.
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
