package pgstore

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/feed"
)

// leases holds the leases of a handle. A task's row names the handle that has its
// lease, and the handle's row holds the expiry time. One update therefore renews all
// leases, a takeover is an update of one task, and a handle that returns after its
// leases have expired finds another handle in the row. Handles are numbered and no
// number is used again: the number is the fencing token.
type leases struct {
	self int64 // 0: takes none

	mu   sync.Mutex         // protects held
	held map[int64]struct{} // unfinished tasks whose lease the handle has or had
}

// forNew is the holder of a task that is created.
func (l *leases) forNew() int64 { return l.self }

// lost reports whether the handle had a task's lease that another has now.
func (l *leases) lost(task, holder int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, held := l.held[task]
	return held && holder != l.self
}

func (l *leases) took(task int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held[task] = struct{}{}
}

// committed records the tasks that were created or have ended.
func (l *leases) committed(tasks []kept) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range tasks {
		switch {
		case k.ended:
			delete(l.held, k.task)
		case k.created && l.self != 0:
			l.held[k.task] = struct{}{}
		}
	}
}

// register adds the handle to the table, and ends the leases of an earlier one
// with the same owner.
func (s *Store) register(ctx context.Context) error {
	if err := s.pool.QueryRow(ctx, s.sql.holderID).Scan(&s.id); err != nil {
		return err
	}
	s.leases.held = make(map[int64]struct{})
	if s.opts.Lease < 0 {
		return nil
	}
	s.leases.self = s.id
	return s.transact(ctx, func(b *pgx.Batch) {
		b.Queue(s.sql.supersede, s.id, s.opts.Owner)
		b.Queue(s.sql.register, s.id, s.opts.Owner, s.opts.Lease)
	})
}

// unregister gives the leases up. If it fails, they expire.
func (s *Store) unregister(ctx context.Context) {
	_ = s.transact(ctx, func(b *pgx.Batch) {
		b.Queue(s.sql.unregister, s.id)
		b.Queue(s.sql.forgetCommits, s.id)
	})
}

// keepLeases renews the leases until ctx ends. After a failure, the next
// renewal tries again.
func (s *Store) keepLeases(ctx context.Context) {
	if s.opts.Lease < 0 {
		return
	}
	every := s.opts.Lease / 3
	for feed.Sleep(ctx, every) == nil {
		bounded, cancel := context.WithTimeout(ctx, every)
		_ = s.transact(bounded, func(b *pgx.Batch) { b.Queue(s.sql.register, s.id, s.opts.Owner, s.opts.Lease) })
		cancel()
	}
}

// Lapsed implements [store.Leaser].
func (s *Store) Lapsed(ctx context.Context, cursor string, limit int) (store.ListPage, error) {
	return s.list(ctx, &store.ListQuery{Cursor: cursor, Limit: limit}, s.sql.unheld)
}

// TakeOver implements [store.Leaser]. A handle that takes no leases cannot:
// [state.ErrInvalidArgument]. It does not wait for a task that another transaction
// has locked, since that may be one of a frozen process: [store.ErrConflict].
func (s *Store) TakeOver(ctx context.Context, at store.Location) error {
	if s.leases.self == 0 {
		return fmt.Errorf("%w: this handle takes no leases", state.ErrInvalidArgument)
	}
	ref := store.Ref{Key: at.Key}
	return s.read(ctx, func(ctx context.Context) error {
		if !wellFormed(ref) {
			return notFound(ref)
		}
		taken, exists := int64(0), true
		err := s.transact(ctx, func(b *pgx.Batch) {
			// The row is already locked, so the update cannot see an earlier
			// holder of the lease.
			b.Queue(s.sql.lock+" NOWAIT", []string{at.Key.Business}, []string{at.Key.Task}).Exec(func(tag pgconn.CommandTag) error {
				exists = tag.RowsAffected() > 0
				return nil
			})
			b.Queue(s.sql.takeOver, s.id, at.Key.Business, at.Key.Task, clamp(at.Revision)).Query(func(rows pgx.Rows) error {
				return each(rows, func(task int64) error { taken = task; return nil })
			})
		})
		var refused *pgconn.PgError
		switch {
		case errors.As(err, &refused) && refused.Code == "55P03": // lock_not_available
			return fmt.Errorf("%w: another transaction has locked task %s", store.ErrConflict, at.Key)
		case err != nil:
			return err
		case !exists:
			return notFound(ref)
		case taken == 0:
			return fmt.Errorf("%w: task %s is not to be taken over at revision %d", store.ErrConflict, at.Key, at.Revision)
		}
		s.leases.took(taken)
		return nil
	})
}
