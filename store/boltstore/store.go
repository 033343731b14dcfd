package boltstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/files"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/journal"
)

// Options configure a store. A nil *Options and zero fields stand for the
// defaults.
type Options struct {
	// LockTimeout is how long Open waits for another process to release the
	// file before it returns [store.ErrLocked]. Default: one second.
	LockTimeout time.Duration
	// MaxSize bounds the file in bytes, not counting the journal; a commit that
	// would need more gets [store.ErrFull]. At least 1 MiB. A sixteenth, at least
	// 128 KiB, is reserved for deletes, and since the file grows in steps, up to a
	// 64th, at least 64 KiB, stays unused. Default: no bound.
	MaxSize int
	// OverlayTransitions bounds the transitions in the journal that are not
	// written back, which Open has to read after a crash. A quarter of it is
	// written back at a time. Default: 131,072.
	OverlayTransitions int
	// JournalSize bounds the journal in bytes, in addition to MaxSize. The
	// journal begins with 1 MiB and grows when commits need more. At least 1
	// MiB. Default: 72 MiB, which is enough for an input or output of
	// [state.MaxDataBytes], or half of MaxSize if that is less.
	//
	// A single write, with its data, may take a little less than a quarter of
	// the journal, and a larger one gets a [*store.TooLargeError]. An engine
	// then commits fewer requests at a time, and refuses only a request that is
	// too large alone.
	JournalSize int
	// FeedTransitions is the least number of latest transitions that the feed
	// keeps, unless they are older than FeedAge. Default: 1,000,000.
	FeedTransitions int
	// FeedAge is how long the feed keeps transitions, by their recording time;
	// older ones are removed when later ones have been committed and written back.
	// Default: no limit other than FeedTransitions.
	FeedAge time.Duration
	// FileMode is the mode of a new file. Default: 0600.
	FileMode fs.FileMode
	// ReadOnly opens an existing file for reading. That needs no permission to
	// write to the file or its directory, and changes nothing. Several processes
	// may do so at the same time, while no process can write. Commit and Compact
	// return [store.ErrReadOnly]; a file of an older schema is refused with
	// [store.ErrIncompatible].
	ReadOnly bool
	// OpenFile opens the file for bbolt; for fault injection in tests.
	// Default: os.OpenFile.
	OpenFile func(name string, flag int, perm fs.FileMode) (*os.File, error)

	schema schema // the one that Open migrates older files to; tests have others
	mapped int    // bytes of the file to map at first; tests use fewer

	leastJournal int64  // the first size of a journal in bytes; tests use a smaller one
	written      func() // for tests: called between a write-back and its publication
}

func (o *Options) withDefaults() (Options, error) {
	var d Options
	if o != nil {
		d = *o
	}
	if d.LockTimeout < 0 || d.MaxSize < 0 || d.OverlayTransitions < 0 || d.JournalSize < 0 || d.FeedTransitions < 0 || d.FeedAge < 0 {
		return d, fmt.Errorf("boltstore: %w: an option is negative", state.ErrInvalidArgument)
	}
	if d.MaxSize > 0 && d.MaxSize < leastMaxSize {
		return d, fmt.Errorf("boltstore: %w: MaxSize is %d, the least is %d", state.ErrInvalidArgument, d.MaxSize, leastMaxSize)
	}
	defaultTo(&d.LockTimeout, time.Second)
	defaultTo(&d.OverlayTransitions, 1<<17)
	defaultTo(&d.JournalSize, 72<<20)
	defaultTo(&d.mapped, mappedDefault)
	defaultTo(&d.leastJournal, journalStart)
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

// mappedDefault is 64 GiB of addresses, which cost nothing until the file uses
// them. Systems with fewer addresses use fewer, see [Store.openMapped].
const mappedDefault = 1 << (30 + 6*(^uint(0)>>63))

func defaultTo[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Store keeps tasks in a bbolt file and a journal. It is a [store.Store], and a
// [store.Checker], [store.Backuper], [store.Compacter] and [store.Statter].
type Store struct {
	path    string // as given to Open, for messages
	at      files.Whereabouts
	opts    Options
	noSync  bool
	closing chan struct{} // closed when Close begins
	written chan *writeBack

	*boltFile // replaced by Compact, with writer and mu held

	looked atomic.Int64 // when begin last checked that the file exists, Unix nanoseconds
	broken atomic.Bool  // a transaction began or ended in a panic: bbolt's locks are lost

	writer    turn             // for commits, publishing a write-back and maintaining the file; protects the next group
	journal   *journal.Journal // nil until the first commit
	instance  journal.ID       // of the file
	phase     phase            // of the frozen generation
	stalledBy error            // why the phase is stalled
	// In a full store removals run ahead of the rest.
	ahead  map[uint64]struct{} // deleted tasks that were removed before the transitions before their deletion were written back
	atOnce int                 // the most tasks that one transaction removes
	freed  bool                // some tasks were removed since a write-back failed
	thin   bool                // the journal gave its ballast back to a full disk
	// Of a bounded file: the bytes in use, and those that commits may use.
	used, room int64
	mark       journal.Mark     // the last bbolt transaction
	markAt     journal.Position // of the frame with mark's checkpoint
	kept       journal.Position // of the frame with the checkpoint of the transaction that frames name; earlier frames are not needed once frames name mark
	writes     bool             // this Store has committed, so past ends with its history
	free       gap              // among the keys of node IDs in the file
	enc        encoder
	payload    []byte
	plans      uint64 // number of plans so far
	// Sets that commits use, kept for their memory.
	keys    map[state.Key]struct{} // changed tasks that the overlay does not have
	ids     map[string]struct{}    // declared nodes
	tasks   []*entry
	planned []planned

	mu         sync.RWMutex // protects everything below; see lock.go
	overlay    overlay
	last       uint64 // the sequence of the last committed transition
	past       store.Histories
	checkpoint uint64 // the overlay has everything after it
	base       int    // the bbolt transaction that has everything up to the checkpoint
	failed     error  // if not nil, the store refuses every call, see store.ErrFailed
	closed     bool
	readers    sync.WaitGroup // open read transactions
}

// boltFile is an open bbolt file. It is closed after its last user: the store, or a
// reader that began before a compaction.
type boltFile struct {
	users    atomic.Int64
	db       *bolt.DB
	file     *os.File // the one bbolt uses
	pageSize int64
	info     fs.FileInfo // identifies the file
	footing  footing     // of the write transactions
}

var (
	_ store.Store     = (*Store)(nil)
	_ store.Checker   = (*Store)(nil)
	_ store.Backuper  = (*Store)(nil)
	_ store.Compacter = (*Store)(nil)
	_ store.Statter   = (*Store)(nil)
)

func newStore(at files.Whereabouts, opts Options) *Store {
	return &Store{
		path: at.Given, at: at, opts: opts, overlay: newOverlay(),
		closing: make(chan struct{}), writer: newTurn(), written: make(chan *writeBack),
		ahead: make(map[uint64]struct{}), atOnce: removalsAtOnce,
		keys: make(map[state.Key]struct{}), ids: make(map[string]struct{}),
	}
}

// Close writes everything back, removes the journal, and closes the file, which is then
// complete. If it cannot write back, it closes both files and returns an error, which
// matches [store.ErrFull] in a full store. Nothing is lost then: the newest part stays in
// the journal, and the next Open reads it there.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	close(s.closing)
	s.writer.Lock()
	defer s.writer.Unlock()
	s.readers.Wait()
	err := s.drainOverlay(context.Background(), nil)
	if err == nil {
		err = s.endJournal()
	}
	if s.journal != nil {
		err = fmt.Errorf("boltstore: close %s: the newest part stays in %s: %w", s.path, s.journalPath(), err)
	}
	return errors.Join(err, s.closeFiles())
}

func (s *Store) closeFiles() error {
	var journalErr error
	if s.journal != nil {
		journalErr = s.journal.Close()
		s.journal = nil
	}
	closeFile := s.release
	if s.broken.Load() {
		closeFile = func() error { return abandon(s.file) } // bbolt's Close would wait forever
	}
	if err := errors.Join(closeFile(), journalErr); err != nil {
		return fmt.Errorf("boltstore: close %s: %w", s.path, err)
	}
	return nil
}

// use counts one more user of the file. The caller holds mu, at least for
// reading, or is the first user.
func (f *boltFile) use() *boltFile {
	f.users.Add(1)
	return f
}

// release ends one use of the file; the last user closes it.
func (f *boltFile) release() error {
	if f.users.Add(-1) > 0 {
		return nil
	}
	return guard(f.db.Close)
}
