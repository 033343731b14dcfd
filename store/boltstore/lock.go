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
//     for moments, never while bbolt begins a transaction: that may wait for
//     readers to end.
//
// A reader counts as a user of the file, begins its bbolt transaction and then
// looks at the overlay. What the overlay does not have is in the file since the
// last published write-back, so a transaction older than that, or of a file that
// was replaced since, is begun again. A newer one is no harm: the overlay still
// has what it wrote, and is right for that.
//
// No write-back is published between the planning of a commit and its
// publication, because both have the turn. The goroutine that writes back has no
// lock while it does; in the end it takes the turn or leaves its result to
// whoever has it and waits. Nobody replaces the file before that.

// state returns the reason why the store cannot be used, or nil.
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

// writable is state for what changes the file.
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

// view runs f in a read transaction. capture runs first, with mu held for
// reading: what it sees of the overlay and what the transaction shows of the
// file together are the store at one moment.
func (s *Store) view(ctx context.Context, capture func(), f func(tx *bolt.Tx) error) error {
	return s.read(ctx, func(*bolt.Tx) error { capture(); return nil }, f)
}

// read is view for a capture that looks at the file as well.
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
	if err := s.usable(); err != nil {
		return nil, err
	}
	s.readers.Add(1)
	return s.use(), nil
}

// captured runs capture with mu held unless the transaction is older than what
// the overlay stands on.
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

// lookEvery is how often readers look whether the file is there: it takes a
// fifth of the time to load a small task.
const lookEvery = time.Millisecond

// begin begins a transaction of bbolt's. bbolt reads its meta pages there, with
// locks held that a fault would leave locked, so begin looks first whether
// they are there; and if they go at that very moment, no other one begins.
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
		_ = tx.Rollback() // of a read transaction: cannot fail
	}
}
