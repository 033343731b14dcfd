package pgstore

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pipestatus/pipestatus/store/feed"
)

// # Locks that end before the disk has the commit
//
// The holder of the feed's row keeps all others from committing. Its transaction
// therefore ends without waiting for the disk, with synchronous_commit off. A second
// transaction in the same batch, which writes only a word to the server's log, waits
// until the disk and a synchronous standby have both. The syncs of many commits then
// happen together, and a commit is answered when its second transaction has ended.
//
// A crash loses the end of the log. If a commit is lost, all later ones are lost too
// and the sequences stay without a gap; a new history begins (see sql.go).
//
// A handle that has been the only one to commit for a while saves the second
// transaction: its commits wait for the disk themselves, which delays no one.
// If another handle begins to commit, it waits for one of these commits, once.
//
// A call of move_task has both transactions in it. An error that may have come after
// the first one has ended says nothing about the commit, which is then looked up.
//
// Readers see a commit before the disk has it, and must not answer it yet: before a
// handle answers with something newer than the last sequence that it knows to be
// durable, it makes the server flush its log. Reads of older data need no flush.

// durable is the sequence up to which a handle knows the store to be on disk.
type durable struct{ sequence atomic.Uint64 }

func (d *durable) reached(sequence uint64) {
	for {
		known := d.sequence.Load()
		if sequence <= known || d.sequence.CompareAndSwap(known, sequence) {
			return
		}
	}
}

// company detects whether other handles commit too: the sequences of this
// handle's commits then have gaps.
type company struct {
	mu      sync.Mutex // protects everything below
	running int        // commits of this handle in progress
	last    int64      // sequence of the last one that ended
	streak  int        // number of commits in a row without a gap

	after int // aloneAfter; tests use other values
}

// aloneAfter is the number of commits in a row without a gap after which a
// handle assumes to be alone.
const aloneAfter = 16

// begin begins a commit and reports whether it is alone.
func (c *company) begin() (alone bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running++
	return c.running == 1 && c.streak >= c.after
}

func (c *company) end(a *attempt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running--
	if !a.happened || a.base != c.last || c.running > 0 {
		c.streak = 0
	} else {
		c.streak++
	}
	if a.happened {
		c.last = a.base + int64(len(a.plan.transitions.task))
	}
}

// unknownSequence is the sequence of a missing row, such as a deleted task.
const unknownSequence = math.MaxUint64

// settle returns when everything up to a sequence that the caller has read is
// durable.
func (s *Store) settle(ctx context.Context, sequence uint64) error {
	if sequence == unknownSequence {
		var last int64
		if err := s.pool.QueryRow(ctx, s.sql.last).Scan(&last); err != nil {
			return err
		}
		sequence = uint64(last)
	}
	if sequence <= s.durable.sequence.Load() {
		return nil
	}
	return s.flush(ctx)
}

// flush makes all earlier commits durable.
func (s *Store) flush(ctx context.Context) error {
	return s.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		var last int64
		var b pgx.Batch
		// Even if transactions are read-only by default, because this changes
		// nothing.
		b.Queue(beginWrite + " READ WRITE")
		b.Queue(s.sql.flush).QueryRow(func(row pgx.Row) error { return row.Scan(&last, nil, nil) })
		err := commitBatch(ctx, conn, &b)
		if err != nil {
			rollback(ctx, conn)
			return err
		}
		s.durable.reached(uint64(last))
		return nil
	})
}

// undecidedError is the error of a commit that others may see but a crash can
// still undo.
type undecidedError struct{ cause error }

func (e *undecidedError) Error() string { return "not known to be durable: " + e.cause.Error() }
func (e *undecidedError) Unwrap() error { return e.cause }

// commitDurably adds a COMMIT that does not wait for the disk to a batch, and a
// transaction that does, and sends it. It returns nil if and only if the server
// has acknowledged both, even if it reports an error after that.
func commitDurably(ctx context.Context, conn *pgxpool.Conn, b *pgx.Batch) error {
	committed := 0
	count := func(tag pgconn.CommandTag) error {
		if tag.String() == "COMMIT" {
			committed++
		}
		return nil
	}
	b.Queue("COMMIT AND CHAIN").Exec(count)
	b.Queue("SELECT " + logged + ", " + noTimeout)
	b.Queue("COMMIT").Exec(count)
	err := conn.SendBatch(ctx, b).Close()
	switch {
	case committed == 2:
		return nil
	case err == nil:
		err = errRolledBack
	}
	if committed == 1 {
		return &undecidedError{err}
	}
	return err
}

// announcements is the shortest interval of a handle's notifications, and
// unheard that of its checks for listeners.
const (
	announcements = 50 * time.Millisecond
	unheard       = 500 * time.Millisecond
)

// announce requests a notification of listeners about a commit.
func (s *Store) announce() {
	select {
	case s.committed <- struct{}{}:
	default: // a notification is already due
	}
}

// notify notifies listeners of commits until ctx ends. A transaction that
// notifies takes a lock that is common to all such transactions. Commits
// therefore do not notify themselves, and notify does so only if there are
// listeners. Polling finds commits without a notification.
func (s *Store) notify(ctx context.Context) {
	if s.opts.NoNotify {
		return
	}
	for {
		select {
		case <-s.committed:
		case <-ctx.Done():
			return
		}
		heard := true
		bounded, cancel := context.WithTimeout(ctx, s.opts.Poll)
		_ = s.transact(bounded, func(b *pgx.Batch) {
			b.Queue(s.sql.notify, s.opts.Schema).QueryRow(func(row pgx.Row) error { return row.Scan(&heard, nil) })
		})
		cancel()
		pause := announcements
		if !heard {
			pause = unheard
		}
		if feed.Sleep(ctx, pause) != nil {
			return
		}
	}
}
