package pgstore

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pipestatus/pipestatus/store/feed"
)

// Limits of deleted tasks, and of their transitions, that one transaction of a trim
// removes. They keep its locks short, and leave autovacuum and standbys time to
// follow.
const (
	trimTasks = 100
	trimRows  = 10_000
)

// Trim shortens the feed: it removes the remaining transitions of deleted tasks whose
// delete is not among the latest FeedTransitions transitions, and returns their
// number. The feed then begins after them. Transitions of existing tasks are their
// history and stay. Trim works in small steps, between which others write. Every
// handle also trims at intervals; several handles may trim at the same time.
func (s *Store) Trim(ctx context.Context) (removed int, err error) {
	for more := true; more && err == nil; {
		err = s.read(ctx, func(ctx context.Context) error {
			n := 0
			n, more, err = s.trimSome(ctx)
			removed += n
			return err
		})
	}
	return removed, err
}

// trimSome is one step: it removes some transitions, and the tasks without any
// left. It reports the number of transitions and whether there may be more. The
// feed begins after the tasks from the first step on, so readers never see the
// rest of an interrupted trim, which the next trim removes. Like a commit it
// takes the feed's lock last.
func (s *Store) trimSome(ctx context.Context) (removed int, more bool, err error) {
	err = s.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		removed, more, err = s.trimOn(ctx, conn)
		if err != nil {
			rollback(ctx, conn)
		}
		return err
	})
	if err != nil {
		return 0, false, err
	}
	return removed, more, nil
}

// trimOn is trimSome on a connection. The caller rolls back after an error.
func (s *Store) trimOn(ctx context.Context, conn *pgxpool.Conn) (removed int, more bool, err error) {
	var ids []int64
	var id, last int64
	var b pgx.Batch
	s.beginSteps(&b)
	b.Queue(s.sql.trimmable, s.opts.FeedTransitions, trimTasks).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&id, &last}, func() error { ids = append(ids, id); return nil })
		return err
	})
	if err := conn.SendBatch(ctx, &b).Close(); err != nil {
		return 0, false, err
	}
	if len(ids) == 0 {
		rollback(ctx, conn)
		return 0, false, nil
	}
	done, err := conn.Exec(ctx, s.sql.trimTransitions, ids, s.trimRows)
	if err != nil {
		return 0, false, err
	}
	b = pgx.Batch{}
	allGone := done.RowsAffected() < int64(s.trimRows)
	if allGone {
		removed = len(ids)
		b.Queue(s.sql.trimTasks, ids)
	}
	// The feed's row is locked until the commit and not until the disk has it:
	// a trim that a crash undoes is repeated.
	b.Queue("SET LOCAL synchronous_commit = off")
	b.Queue(s.sql.trimFeed, last)
	return removed, !allGone || len(ids) == trimTasks, commitBatch(ctx, conn, &b)
}

// maintenance is the average interval of a handle's maintenance.
const maintenance = 10 * time.Minute

// maintain runs maintenance until ctx ends. A failure is left to the next run or to
// another handle.
func (s *Store) maintain(ctx context.Context) {
	for feed.Sleep(ctx, maintenance/2+rand.N(maintenance)) == nil {
		_, _ = s.Trim(ctx)
		_ = s.transact(ctx, func(b *pgx.Batch) {
			b.Queue(s.sql.oldHolders)
			b.Queue(s.sql.oldCommits)
		})
	}
}
