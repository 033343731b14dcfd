package pgstore

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// beginWrite begins a transaction that writes. It names the isolation level,
// since a server, a database or a role may have another default. It does not
// name READ WRITE: where an operator has made transactions read-only by
// default, as during a switch to another server, nothing is written.
const beginWrite = "BEGIN ISOLATION LEVEL READ COMMITTED"

// idleLimit is how long the server waits for the next round trip of a transaction
// that has several. A handle needs a part of a millisecond between them. One that is
// frozen, because its process is stopped or its machine is paused, must not keep
// its locks: the kernel of a stopped process still answers keepalives. The limit is far
// below the default of [Options.Recover], for which others wait for a lock.
const idleLimit = 5 * time.Second

// beginSteps begins a transaction that writes in several round trips.
func (s *Store) beginSteps(b *pgx.Batch) {
	b.Queue(beginWrite)
	b.Queue("SET LOCAL idle_in_transaction_session_timeout = " + strconv.FormatInt(s.idleLimit.Milliseconds(), 10))
}

// errRolledBack says that the server answered a COMMIT with ROLLBACK.
var errRolledBack = errors.New("the server rolled the transaction back instead of committing it")

// commitBatch adds the COMMIT to a batch and sends it. It returns nil if and
// only if the server has acknowledged the commit. The server can report an
// error after that, such as a timeout or the end of the session; the transaction has
// happened nevertheless.
func commitBatch(ctx context.Context, conn *pgxpool.Conn, b *pgx.Batch) error {
	committed := false
	b.Queue("COMMIT").Exec(func(tag pgconn.CommandTag) error {
		committed = tag.String() == "COMMIT"
		return nil
	})
	err := conn.SendBatch(ctx, b).Close()
	switch {
	case committed:
		return nil
	case err == nil:
		return errRolledBack
	}
	return err
}

// transact runs statements as one transaction in one round trip. An error says
// that the transaction has not happened, or that the connection broke before
// the answer arrived. Running the statements again must then do no harm.
func (s *Store) transact(ctx context.Context, queue func(b *pgx.Batch)) error {
	return s.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		var b pgx.Batch
		b.Queue(beginWrite)
		queue(&b)
		err := commitBatch(ctx, conn, &b)
		if err != nil {
			rollback(ctx, conn)
		}
		return err
	})
}

// rollback ends an uncommitted transaction. If it cannot, the pool drops the
// connection.
func rollback(ctx context.Context, conn *pgxpool.Conn) {
	if !conn.Conn().IsClosed() {
		_, _ = conn.Exec(ctx, "ROLLBACK")
	}
}
