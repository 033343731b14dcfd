package boltstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Options configure a store. A nil *Options and zero fields stand for the
// defaults.
type Options struct {
	// LockTimeout is how long Open waits for another process to release the
	// file before it answers [store.ErrLocked]. Default: one second.
	LockTimeout time.Duration
	// MaxSize bounds the file in bytes; a commit that would need more gets
	// [store.ErrFull]. The file grows in steps, so up to a 64th of this, and
	// at least 64 KiB, stays unused. Default: none.
	MaxSize int
	// OverlayTransitions bounds what is journaled but not written back, and
	// so what Open has to read after a crash. Default: 131,072.
	OverlayTransitions int
	// FeedTransitions is how many of the latest transitions the changes feed
	// keeps at least, unless they are older than FeedAge. Default: 1,000,000.
	FeedTransitions int
	// FeedAge is for how long the feed keeps transitions, by their recording
	// time; older ones go when later ones have been committed and written
	// back. Default: for ever, as far as FeedTransitions goes.
	FeedAge time.Duration
	// FileMode is the mode of a new file. Default: 0600.
	FileMode fs.FileMode
	// OpenFile opens the file for bbolt; for fault injection in tests.
	// Default: os.OpenFile.
	OpenFile func(name string, flag int, perm fs.FileMode) (*os.File, error)

	schema schema // what Open makes of an older file; tests have others
	mapped int    // bytes of the file to map at first; tests have less
}

func (o *Options) withDefaults() (Options, error) {
	var d Options
	if o != nil {
		d = *o
	}
	if d.LockTimeout < 0 || d.MaxSize < 0 || d.OverlayTransitions < 0 || d.FeedTransitions < 0 || d.FeedAge < 0 {
		return d, fmt.Errorf("boltstore: %w: an option is negative", state.ErrInvalidArgument)
	}
	defaultTo(&d.LockTimeout, time.Second)
	defaultTo(&d.OverlayTransitions, 1<<17)
	defaultTo(&d.mapped, 256<<20)
	defaultTo(&d.FeedTransitions, 1_000_000)
	defaultTo(&d.FileMode, 0o600)
	if d.OpenFile == nil {
		d.OpenFile = os.OpenFile
	}
	if d.schema.version == 0 {
		d.schema = schema{schemaVersion, migrations}
	}
	return d, nil
}

func defaultTo[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Store keeps tasks in a bbolt file. It is a [store.Store], and a
// [store.Checker], [store.Backuper], [store.Compacter] and [store.Statter].
type Store struct {
	path string
	opts Options

	boltFile // replaced by Compact, with writer and mu held and no reader left

	looked atomic.Int64 // when begin last looked at the file, Unix nanoseconds
	broken atomic.Bool  // a transaction began or ended in a panic: bbolt's locks are lost

	writer sync.Mutex // held by Commit and Close; protects the next six, which
	// the goroutine that gathers beside a commit has meanwhile
	pass *pass // the write-back in progress, nil if there is none
	// gatherFailed says that gathering beside a commit failed, so that the next
	// one does it itself and reports why.
	gatherFailed bool
	enc          encoder
	untrimmed    int // journal records appended since it was trimmed
	// Sets that commits use, kept for their memory.
	keys map[state.Key]struct{} // tasks changed
	ids  map[string]struct{}    // nodes declared

	mu         sync.RWMutex // protects everything below; commits hold it only to publish
	overlay    overlay
	last       uint64 // sequence of the last committed transition
	checkpoint uint64
	failed     error // not nil: refuse everything, see store.ErrFailed
	closed     bool
	readers    sync.WaitGroup // open read transactions
}

var errNotRegular = fmt.Errorf("%w: not a regular file", state.ErrInvalidArgument)

// boltFile is an open bbolt file.
type boltFile struct {
	db       *bolt.DB
	file     *os.File // the one bbolt uses
	pageSize int64
}

var (
	_ store.Store     = (*Store)(nil)
	_ store.Checker   = (*Store)(nil)
	_ store.Backuper  = (*Store)(nil)
	_ store.Compacter = (*Store)(nil)
	_ store.Statter   = (*Store)(nil)
)

// Open opens the file at path, or creates it if there is none; o may be nil. A
// file of an older schema is brought to the present one first, see "Upgrades"
// in the package documentation.
// The error matches [state.ErrInvalidArgument] if path names something else
// than a file, [store.ErrLocked] if another process has the file open,
// [store.ErrCorrupt] if it is damaged, empty or no bbolt file,
// [store.ErrIncompatible] if it is another program's bbolt file or written by
// a newer version, and [fs.ErrNotExist] if the directory does not exist.
func Open(path string, o *Options) (*Store, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{path: path, opts: opts, overlay: newOverlay(), keys: make(map[state.Key]struct{}), ids: make(map[string]struct{})}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("boltstore: open %s: %w", path, err)
	}
	return s, nil
}

func (s *Store) open() error {
	switch info, err := os.Stat(s.path); {
	case errors.Is(err, fs.ErrNotExist):
		if err := create(s.path, s.opts.FileMode); err != nil {
			return err
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
	if path, err := filepath.EvalSymlinks(s.path); err == nil {
		removeLeftovers(path)
	}
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
		if s.boltFile, err = s.openBolt(s.path); err != nil {
			return err
		}
		named, err := os.Stat(s.path)
		opened, openedErr := s.file.Stat()
		if err == nil && openedErr == nil && os.SameFile(named, opened) {
			return nil
		}
		if err := errors.Join(err, openedErr, s.db.Close()); err != nil {
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
		f.file, openErr = s.opts.OpenFile(name, flag&^os.O_CREATE, mode)
		return f.file, openErr
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
		if err := checkPages(f.file, f.pageSize); err != nil {
			return f, errors.Join(err, guard(f.db.Close))
		}
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
		return s.replay(tx)
	})
}

// Close writes back what it can, so that the next Open has nothing to read,
// and closes the file. What could not be written back stays in the journal
// and is no loss.
func (s *Store) Close() error {
	s.writer.Lock()
	defer s.writer.Unlock()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	failed := s.failed
	s.mu.Unlock()
	s.readers.Wait()
	if failed == nil {
		s.writeBackAll()
	}
	closeFile := s.db.Close
	if s.broken.Load() {
		closeFile = func() error { return release(s.file) } // bbolt's own would wait for ever
	}
	if err := guard(closeFile); err != nil {
		return fmt.Errorf("boltstore: close %s: %w", s.path, err)
	}
	return nil
}

func (s *Store) state() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.usable()
}

// usable is called with mu held, for reading at least.
func (s *Store) usable() error {
	if s.closed {
		return store.ErrClosed
	}
	return s.failed
}

// fail makes the store refuse everything from now on.
func (s *Store) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = fmt.Errorf("%w: %w", store.ErrFailed, err)
	}
	return s.failed
}

// guard runs code that touches the file. A damaged file makes bbolt panic, and
// a truncated one or a failing disk raises a fault: both become ErrCorrupt.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", store.ErrCorrupt, r)
		}
	}()
	return f()
}

// view runs f in a read transaction. begin runs first, with mu held, at the
// same moment of the store's story as the transaction.
func (s *Store) view(ctx context.Context, begin func(), f func(tx *bolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return guard(func() error {
		tx, err := s.beginView(begin)
		if err != nil {
			return err
		}
		defer s.readers.Done()
		defer s.end(tx)
		return f(tx)
	})
}

func (s *Store) beginView(begin func()) (*bolt.Tx, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(); err != nil {
		return nil, err
	}
	tx, err := s.begin(false)
	if err != nil {
		return nil, err
	}
	s.readers.Add(1)
	begin()
	return tx, nil
}

// lookEvery is how often readers look whether the file is there: it takes a
// fifth of the time to load a small task.
const lookEvery = time.Millisecond

// begin begins a transaction of bbolt's. bbolt reads its meta pages there, with
// locks held that a fault would leave locked, so begin looks first whether
// they are there; and if they go at that very moment, no other one begins.
func (s *Store) begin(writable bool) (*bolt.Tx, error) {
	if s.broken.Load() {
		return nil, fmt.Errorf("%w: %s is damaged beyond use", store.ErrCorrupt, s.path)
	}
	if now := time.Now().UnixNano(); writable || now-s.looked.Load() > int64(lookEvery) {
		if info, err := s.file.Stat(); err == nil && info.Size() < 2*s.pageSize {
			return nil, fmt.Errorf("%w: %s was truncated", store.ErrCorrupt, s.path)
		}
		s.looked.Store(now)
	}
	begun := false
	defer func() {
		if !begun {
			s.broken.Store(true)
		}
	}()
	tx, err := s.db.Begin(writable)
	begun = true
	return tx, err
}

// end ends a read transaction.
func (s *Store) end(tx *bolt.Tx) {
	if !s.broken.Load() {
		_ = tx.Rollback() // of a read transaction: cannot fail
	}
}
