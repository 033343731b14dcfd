package boltstore

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

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
	// ReadOnly opens a file that is there for reading: that needs no permission
	// to write, also not of the directory, and changes nothing. Several
	// processes may do so at the same time, and none may write meanwhile. Commit
	// and Compact return [store.ErrReadOnly]; a file of an older schema is
	// refused with [store.ErrIncompatible].
	ReadOnly bool
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
	defaultTo(&d.mapped, mappedDefault)
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

// mappedDefault is 64 GiB of addresses, which cost nothing until something is
// there; where there are fewer it is less, see [Store.openMapped].
const mappedDefault = 1 << (30 + 6*(^uint(0)>>63))

func defaultTo[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Store keeps tasks in a bbolt file. It is a [store.Store], and a
// [store.Checker], [store.Backuper], [store.Compacter] and [store.Statter].
type Store struct {
	path string // as given to Open, for messages
	at   whereabouts
	opts Options

	*boltFile // replaced by Compact, with writer and mu held

	looked atomic.Int64 // when begin last looked at the file, Unix nanoseconds
	broken atomic.Bool  // a transaction began or ended in a panic: bbolt's locks are lost

	writer turn // held by Commit and Close; protects the next seven, which
	// the goroutine that gathers beside a commit has meanwhile
	pass *pass // the write-back in progress, nil if there is none
	// gatherFailed says that gathering beside a commit failed, so that the next
	// one does it itself and reports why.
	gatherFailed bool
	enc          encoder
	untrimmed    int  // journal records appended since it was trimmed
	writes       bool // has committed, so that past ends with a history of its own
	// Sets that commits use, kept for their memory.
	keys map[state.Key]struct{} // tasks changed
	ids  map[string]struct{}    // nodes declared

	mu         sync.RWMutex // protects everything below; commits hold it only to publish
	overlay    overlay
	last       uint64 // sequence of the last committed transition
	past       store.Histories
	checkpoint uint64
	failed     error // not nil: refuse everything, see store.ErrFailed
	closed     bool
	readers    sync.WaitGroup // open read transactions
}

// boltFile is an open bbolt file. It is closed when nobody uses it any more: the
// store, or a reader that began before a compaction.
type boltFile struct {
	users    atomic.Int64
	db       *bolt.DB
	file     *os.File // the one bbolt uses
	pageSize int64
	info     fs.FileInfo // which file it is
	footing  footing     // of the write transactions
}

var (
	_ store.Store     = (*Store)(nil)
	_ store.Checker   = (*Store)(nil)
	_ store.Backuper  = (*Store)(nil)
	_ store.Compacter = (*Store)(nil)
	_ store.Statter   = (*Store)(nil)
)

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
	closeFile := s.release
	if s.broken.Load() {
		closeFile = func() error { return abandon(s.file) } // bbolt's own would wait for ever
	}
	if err := closeFile(); err != nil {
		return fmt.Errorf("boltstore: close %s: %w", s.path, err)
	}
	return nil
}

func (s *Store) state() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.usable()
}

// writable is state for what changes the file.
func (s *Store) writable() error {
	if err := s.state(); err != nil || !s.opts.ReadOnly {
		return err
	}
	return fmt.Errorf("%w: %s", store.ErrReadOnly, s.path)
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
		tx, file, err := s.beginView(begin)
		if err != nil {
			return err
		}
		defer s.readers.Done()
		defer file.release()
		defer s.end(tx)
		return f(tx)
	})
}

// use counts one more user of the file. The caller holds mu, for reading at
// least, or is the first one.
func (f *boltFile) use() *boltFile {
	f.users.Add(1)
	return f
}

// release ends what use began; the last user closes the file.
func (f *boltFile) release() error {
	if f.users.Add(-1) > 0 {
		return nil
	}
	return guard(f.db.Close)
}

func (s *Store) beginView(begin func()) (*bolt.Tx, *boltFile, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(); err != nil {
		return nil, nil, err
	}
	tx, err := s.begin(false)
	if err != nil {
		return nil, nil, err
	}
	s.readers.Add(1)
	begin()
	return tx, s.use(), nil
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
