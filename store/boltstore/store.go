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
	// JournalSize bounds the journal in bytes. A single write, with its data, may
	// take a little less than a quarter of it, and a larger one gets a
	// [*store.TooLargeError]. An engine then commits fewer requests at a time, and
	// refuses only a request that is too large by itself. It is in addition to
	// MaxSize. The journal begins with
	// 1 MiB and grows when commits need more. Default: 72 MiB, which is enough for
	// an input or output of [state.MaxDataBytes], or half of MaxSize if that is
	// less; at least 1 MiB.
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

	schema schema // what Open makes of an older file; tests have others
	mapped int    // bytes of the file to map at first; tests have less

	leastJournal int64  // bytes that a journal begins with; tests have fewer
	written      func() // called between a write-back and its publication, by tests
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

// mappedDefault is 64 GiB of addresses, which cost nothing until something is
// there; where there are fewer it is less, see [Store.openMapped].
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

	looked atomic.Int64 // when begin last looked at the file, Unix nanoseconds
	broken atomic.Bool  // a transaction began or ended in a panic: bbolt's locks are lost

	writer    turn             // whose it is may commit, publish a write-back, and maintain the file; protects the next group
	journal   *journal.Journal // nil until the first commit
	instance  journal.ID       // of the file
	phase     phase            // of the frozen generation
	stalledBy error            // why it is stalled
	// In a full store removals run ahead of the rest.
	ahead  map[uint64]struct{} // deleted tasks that were removed before what comes before their delete was written back
	atOnce int                 // how many are removed in a transaction
	freed  bool                // some were since a write-back failed
	thin   bool                // the journal's ballast was given back to a full disk
	// Of a bounded file: the bytes in use, and those that commits may use.
	used, room int64
	mark       journal.Mark     // the last bbolt transaction
	markAt     journal.Position // of the frame with the checkpoint of mark
	kept       journal.Position // of the frame with the checkpoint of the transaction that frames name; those before it are needed no more once they name mark
	writes     bool             // has committed, so that past ends with a history of its own
	lastID     []byte           // the key of no node ID in the file is higher
	enc        encoder
	payload    []byte
	// Sets that commits use, kept for their memory.
	keys map[state.Key]struct{} // tasks changed
	ids  map[string]struct{}    // nodes declared

	mu         sync.RWMutex // protects everything below; see lock.go
	overlay    overlay
	last       uint64 // sequence of the last committed transition
	past       store.Histories
	checkpoint uint64 // the overlay has everything after it
	base       int    // the bbolt transaction that has everything up to it
	failed     error  // not nil: refuse everything, see store.ErrFailed
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
	err := s.settle(context.Background(), nil)
	if err == nil {
		err = s.endJournal()
	}
	if s.journal != nil {
		err = fmt.Errorf("boltstore: close %s: the newest part stays in %s: %w", s.path, s.journalPath(), err)
	}
	return errors.Join(err, s.closeFiles())
}

// closeFiles closes the files as they are.
func (s *Store) closeFiles() error {
	var journalErr error
	if s.journal != nil {
		journalErr = s.journal.Close()
		s.journal = nil
	}
	closeFile := s.release
	if s.broken.Load() {
		closeFile = func() error { return abandon(s.file) } // bbolt's own would wait for ever
	}
	if err := errors.Join(closeFile(), journalErr); err != nil {
		return fmt.Errorf("boltstore: close %s: %w", s.path, err)
	}
	return nil
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
