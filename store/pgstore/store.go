package pgstore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pipestatus/pipestatus/store"
)

// Store is one handle of a store in PostgreSQL. It is a [store.Store], a
// [store.Checker], a [store.Leaser] and a [store.Notifier].
type Store struct {
	pool    *pgxpool.Pool
	ownPool bool
	opts    Options
	sql     *statements
	id      int64 // the number of this handle, in the tables holders and commits
	leases  leases
	commits tokens
	claims  claims
	changed changed
	loads   shared[store.Ref, store.Snapshot]
	feeds   shared[feedQuery, store.FeedPage]
	recent  recent

	familiar  familiar
	durable   durable
	company   company
	committed chan struct{} // has a value if there is a commit to announce

	stop    context.CancelFunc // ends the background goroutines
	running sync.WaitGroup     // the background goroutines

	beforeWrite func() // for tests: called before a commit writes
	inTwoSteps  bool   // for tests: no commit is ordinary
	trimRows    int
	holdFor     time.Duration
	idleLimit   time.Duration

	mu     sync.Mutex // protects everything below
	closed bool
	failed error          // if not nil, the handle refuses every call, see store.ErrFailed
	calls  sync.WaitGroup // in progress; none begins once closed
}

var (
	_ store.Store    = (*Store)(nil)
	_ store.Checker  = (*Store)(nil)
	_ store.Leaser   = (*Store)(nil)
	_ store.Notifier = (*Store)(nil)
)

// Open opens a store in the database of a connection string or URL in the form
// of pgx, and makes its tables if they do not exist; o may be nil. To follow
// failovers, list several hosts with target_session_attrs=read-write. The error
// matches [store.ErrIncompatible] if the tables are of a newer version.
func Open(ctx context.Context, connString string, o *Options) (*Store, error) {
	config, err := pgxpool.ParseConfig(connString)
	if err != nil {
		return nil, fmt.Errorf("pgstore: open: %w", err)
	}
	prepareSessions(config)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("pgstore: open: %w", err)
	}
	s, err := OpenPool(ctx, pool, o)
	if err != nil {
		pool.Close()
		return nil, err
	}
	s.ownPool = true
	return s, nil
}

// OpenPool is [Open] with the connections of a caller's pool. The caller closes
// the pool after the store. A commit, each reading call and the renewal of
// leases take one connection at a time. Sessions must have the client encoding
// UTF8, otherwise the error matches [state.ErrInvalidArgument].
func OpenPool(ctx context.Context, pool *pgxpool.Pool, o *Options) (*Store, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("pgstore: open: %w", err)
	}
	s := &Store{pool: pool, opts: opts, sql: newStatements(opts.quotedSchema()), trimRows: trimRows, holdFor: holdFor, idleLimit: idleLimit}
	s.changed.wanted, s.committed = make(chan struct{}, 1), make(chan struct{}, 1)
	s.company.after = aloneAfter
	if err := s.open(ctx); err != nil {
		return nil, fmt.Errorf("pgstore: open: %w", err)
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	if err := s.retry(ctx, s.checkSession); err != nil {
		return err
	}
	if err := s.retry(ctx, s.migrate); err != nil {
		return err
	}
	if err := s.retry(ctx, s.register); err != nil {
		return err
	}
	if err := s.retry(ctx, s.flush); err != nil {
		return err
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.running.Go(func() { s.keepLeases(background) })
	s.running.Go(func() { s.watch(background) })
	s.running.Go(func() { s.maintain(background) })
	s.running.Go(func() { s.notify(background) })
	return nil
}

// Close waits for calls in progress, gives up the handle's leases and releases the
// connections. Other handles can then take over its unfinished tasks.
func (s *Store) Close() error {
	s.mu.Lock()
	wasClosed := s.closed
	s.closed = true
	s.mu.Unlock()
	s.calls.Wait()
	s.claims.drop()
	s.stop()
	s.running.Wait()
	if wasClosed {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	s.unregister(ctx)
	if s.ownPool {
		s.pool.Close()
	}
	return nil
}

// closeTimeout bounds how long Close tries to give up leases, which would expire
// anyway.
const closeTimeout = 5 * time.Second

// enter begins a call. The caller calls s.calls.Done when it ends.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	if s.failed != nil {
		return s.failed
	}
	s.calls.Add(1)
	return nil
}

// fail makes the handle refuse every later call.
func (s *Store) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = fmt.Errorf("%w: %w", store.ErrFailed, err)
	}
	return s.failed
}
