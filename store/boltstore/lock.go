package boltstore

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/store"
)

// Two locks, taken in this order:
//
//   - writer is a turn for commits, for publishing a write-back, and for maintaining
//     the file. It protects the journal and the fields of Store that say so.
//   - mu protects the overlay and the other fields that readers see. It is held
//     only for short times, and never while bbolt begins a transaction, since
//     that may wait for readers.
//
// A reader first becomes a user of the file, then begins its bbolt transaction,
// and then reads the overlay. The overlay lacks everything that the last
// published write-back put into the file. The reader therefore begins again if
// its transaction is older than that write-back, or is of a file that was
// replaced since. A newer transaction does no harm: the overlay still has the
// same transitions, and takes precedence.
//
// No write-back is published between the planning of a commit and its
// publication, because both have the turn. The goroutine that writes back has
// no lock during the write-back. At the end it takes the turn, or hands its
// result to the caller of await, which has the turn. The file is not replaced
// before that.

// state returns the reason why the store cannot be used, or nil.
func (s *Store) state() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.usableLocked()
}

// usableLocked is state for a caller that holds mu, at least for reading.
func (s *Store) usableLocked() error {
	if s.closed {
		return store.ErrClosed
	}
	return s.failed
}

// writable is state for calls that change the file.
func (s *Store) writable() error {
	if err := s.state(); err != nil || !s.opts.ReadOnly {
		return err
	}
	return fmt.Errorf("%w: %s", store.ErrReadOnly, s.path)
}

// fail makes the store refuse every call from now on.
func (s *Store) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = fmt.Errorf("%w: %w", store.ErrFailed, err)
	}
	return s.failed
}

// guard runs code that reads or writes the file. bbolt panics on a damaged
// file, and a truncated file or a failing disk raises a fault: guard returns
// both as ErrCorrupt.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", store.ErrCorrupt, r)
		}
	}()
	return f()
}

// view runs f in a read transaction. Before f it runs capture, with mu held for
// reading: the overlay that capture sees and the file that the transaction
// shows are the store at the same moment.
func (s *Store) view(ctx context.Context, capture func(), f func(tx *bolt.Tx) error) error {
	return s.read(ctx, func(*bolt.Tx) error { capture(); return nil }, f)
}

// read is view for a capture that reads the file as well.
func (s *Store) read(ctx context.Context, capture func(tx *bolt.Tx) error, f func(tx *bolt.Tx) error) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		file, err := s.user()
		if err != nil {
			return err
		}
		current := false
		err = guard(func() error {
			defer s.readers.Done()
			defer func() { _ = file.release() }()
			tx, err := s.beginOn(file, false)
			if err != nil {
				return err
			}
			defer s.end(tx)
			if current, err = s.captured(file, tx, capture); !current || err != nil {
				return err
			}
			return f(tx)
		})
		if current || err != nil {
			return err
		}
	}
}

// user makes the caller a user of the file, and a reader that Close waits for.
func (s *Store) user() (*boltFile, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usableLocked(); err != nil {
		return nil, err
	}
	s.readers.Add(1)
	return s.use(), nil
}

// captured runs capture with mu held, unless the transaction is older than the
// last published write-back.
func (s *Store) captured(file *boltFile, tx *bolt.Tx, capture func(tx *bolt.Tx) error) (current bool, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.failed; err != nil {
		return false, err
	}
	if file != s.boltFile || tx.ID() < s.base {
		return false, nil
	}
	return true, capture(tx)
}

// lookEvery is the least time between two checks of the file by readers: a
// check takes a fifth of the time to load a small task.
const lookEvery = time.Millisecond

// begin begins a transaction of bbolt. bbolt reads its meta pages with locks
// held, and a fault there would leave the locks held forever. begin therefore
// first checks that the file has the pages. If the file is truncated just after
// that check, no other transaction begins.
func (s *Store) begin(writable bool) (*bolt.Tx, error) { return s.beginOn(s.boltFile, writable) }

func (s *Store) beginOn(file *boltFile, writable bool) (*bolt.Tx, error) {
	if s.broken.Load() {
		return nil, fmt.Errorf("%w: %s is damaged beyond use", store.ErrCorrupt, s.path)
	}
	if now := time.Now().UnixNano(); writable || now-s.looked.Load() > int64(lookEvery) {
		if info, err := file.file.Stat(); err == nil && info.Size() < 2*file.pageSize {
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
	tx, err := file.db.Begin(writable)
	begun = true
	return tx, err
}

// end ends a read transaction.
func (s *Store) end(tx *bolt.Tx) {
	if !s.broken.Load() {
		_ = tx.Rollback() // cannot fail for a read transaction
	}
}
