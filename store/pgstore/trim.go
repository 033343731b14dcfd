package pgstore

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

// trimSize is how many deleted tasks one transaction of a trim removes.
const trimSize = 100

// Trim shortens the changes feed: it removes what is left of deleted tasks
// whose delete is not among the latest FeedTransitions transitions, and returns
// how many. The feed then begins after them. Transitions of tasks that exist
// are their history and stay. Every handle does this now and then by itself;
// several may at the same time.
func (s *Store) Trim(ctx context.Context) (removed int, err error) {
	for {
		n := 0
		err := s.read(ctx, func(ctx context.Context) (err error) {
			n, err = s.trimSome(ctx)
			return err
		})
		removed += n
		if err != nil || n < trimSize {
			return removed, err
		}
	}
}

// trimSome removes up to trimSize tasks. Like a commit it takes the feed's lock
// last.
func (s *Store) trimSome(ctx context.Context) (n int, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var ids []int64
		var last int64
		rows, err := tx.Query(ctx, s.sql.trimmable, s.opts.FeedTransitions, trimSize)
		if err != nil {
			return err
		}
		var id int64
		if _, err := pgx.ForEachRow(rows, []any{&id, &last}, func() error { ids = append(ids, id); return nil }); err != nil {
			return err
		}
		if n = len(ids); n == 0 {
			return nil
		}
		var b pgx.Batch
		b.Queue(s.sql.trimTransitions, ids)
		b.Queue(s.sql.trimTasks, ids)
		b.Queue(s.sql.trimFeed, last)
		return tx.SendBatch(ctx, &b).Close()
	})
	return n, err
}

// maintenance is how often on average a handle tidies up.
const maintenance = 10 * time.Minute

// maintain tidies up until ctx ends. What fails is left to the next time or to
// another handle.
func (s *Store) maintain(ctx context.Context) {
	for sleep(ctx, maintenance/2+rand.N(maintenance)) == nil {
		_, _ = s.Trim(ctx)
		var b pgx.Batch
		b.Queue(s.sql.oldHolders)
		b.Queue(s.sql.oldCommits)
		_ = s.pool.SendBatch(ctx, &b).Close()
	}
}
