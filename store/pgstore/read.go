package pgstore

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// read runs a call that reads, again if the connection broke.
func (s *Store) read(ctx context.Context, f func(ctx context.Context) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	return s.retry(ctx, f)
}

// snapshot sends statements that see the database at one moment, in one round
// trip.
func (s *Store) snapshot(ctx context.Context, queue func(b *pgx.Batch)) error {
	var b pgx.Batch
	b.Queue("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
	queue(&b)
	b.Queue("COMMIT")
	return s.pool.SendBatch(ctx, &b).Close()
}

// wellFormed reports whether a reference can lead anywhere. What cannot be an
// ID may not even be text to the database.
func wellFormed(ref store.Ref) bool {
	if ref.Node != "" {
		return state.CheckID("node ID", ref.Node) == nil
	}
	return ref.Key.Validate() == nil
}

func notFound(ref store.Ref) error { return fmt.Errorf("%w: %s", state.ErrNotFound, ref) }

// Load implements [store.Reader].
func (s *Store) Load(ctx context.Context, ref store.Ref) (snap store.Snapshot, err error) {
	err = s.read(ctx, func(ctx context.Context) error {
		if !wellFormed(ref) {
			return notFound(ref)
		}
		snap, err = s.load(ctx, ref)
		return err
	})
	return snap, err
}

// load reads a task and its nodes. Which nodes it needs it does not know
// before the task's row has come, so they are asked for by a subquery.
func (s *Store) load(ctx context.Context, ref store.Ref) (snap store.Snapshot, err error) {
	var header loadedTask
	var tree *state.Builder
	err = s.snapshot(ctx, func(b *pgx.Batch) {
		task, nodes, args := s.sql.taskByKey, s.sql.nodesByKey, []any{ref.Key.Business, ref.Key.Task}
		if ref.Node != "" {
			task, nodes, args = s.sql.taskByNode, s.sql.nodesByNode, []any{appendID(nil, ref.Node)}
		}
		b.Queue(task, args...).QueryRow(header.scan)
		b.Queue(nodes, args...).Query(func(rows pgx.Rows) (err error) {
			tree, err = readNodes(rows, header.task.Key, header.task.Nodes)
			return err
		})
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return snap, notFound(ref)
	case err != nil:
		return snap, err
	}
	snap.Position, snap.Index = header.position, header.node
	if snap.Tree, err = tree.Tree(header.task.Revision); err != nil {
		return snap, fmt.Errorf("%w: task %s: %w", store.ErrCorrupt, header.task.Key, err)
	}
	return snap, nil
}

// loadedTask is what Load reads of a task beside its nodes.
type loadedTask struct {
	position store.Position
	task     store.Task
	node     int
}

func (t *loadedTask) scan(row pgx.Row) error {
	var revision, last int64
	var header []byte
	if err := row.Scan(&last, (*[16]byte)(&t.position.History), &t.task.Key.Business, &t.task.Key.Task, &revision, &header, &t.node); err != nil {
		return err
	}
	t.position.Sequence, t.task.Revision = uint64(last), uint64(revision)
	return decodeHeader(header, &t.task)
}

func readNodes(rows pgx.Rows, key state.Key, size int) (*state.Builder, error) {
	tree := state.NewBuilder(key, size)
	var index int
	var id, declaration, progress pgtype.DriverBytes // of the connection's buffer
	_, err := pgx.ForEachRow(rows, []any{&index, &id, &declaration, &progress}, func() error {
		n := state.Node{Index: index}
		if err := decodeNode(id, declaration, progress, &n); err != nil {
			return fmt.Errorf("task %s, node %d: %w", key, index, err)
		}
		if err := tree.Add(&n); err != nil {
			return fmt.Errorf("%w: task %s: %w", store.ErrCorrupt, key, err)
		}
		return nil
	})
	return tree, err
}

// Locate implements [store.Reader].
func (s *Store) Locate(ctx context.Context, ref store.Ref) (at store.Location, err error) {
	err = s.read(ctx, func(ctx context.Context) error {
		if !wellFormed(ref) {
			return notFound(ref)
		}
		sql, args := s.sql.locateKey, []any{ref.Key.Business, ref.Key.Task}
		if ref.Node != "" {
			sql, args = s.sql.locateNode, []any{appendID(nil, ref.Node)}
		}
		var revision int64
		err := s.pool.QueryRow(ctx, sql, args...).Scan(&at.Key.Business, &at.Key.Task, &revision)
		if errors.Is(err, pgx.ErrNoRows) {
			return notFound(ref)
		}
		at.Revision = uint64(revision)
		return err
	})
	return at, err
}

// Transitions implements [store.Reader].
func (s *Store) Transitions(ctx context.Context, key state.Key, after uint64, limit int) (trs []*state.Transition, err error) {
	err = s.read(ctx, func(ctx context.Context) error {
		ref := store.Ref{Key: key}
		if !wellFormed(ref) {
			return notFound(ref)
		}
		rows, err := s.pool.Query(ctx, s.sql.transitions, key.Business, key.Task, clamp(after), pageLimit(limit))
		if err != nil {
			return err
		}
		trs = nil
		var seq *int64
		var data pgtype.DriverBytes
		tag, err := pgx.ForEachRow(rows, []any{&seq, &data}, func() error {
			if seq == nil {
				return nil // the task is there and has no more
			}
			tr, err := decodeTransition(data, uint64(*seq), key)
			trs = append(trs, tr)
			return err
		})
		if err == nil && tag.RowsAffected() == 0 {
			return notFound(ref)
		}
		return err
	})
	return trs, err
}

// Attempts implements [store.Reader].
func (s *Store) Attempts(ctx context.Context, node string, skip, limit int) (attempts []state.Attempt, err error) {
	err = s.read(ctx, func(ctx context.Context) error {
		if state.CheckID("node ID", node) != nil {
			return notFound(store.ByNode(node))
		}
		rows, err := s.pool.Query(ctx, s.sql.attempts, appendID(nil, node), max(skip, 0), pageLimit(limit))
		if err != nil {
			return err
		}
		attempts = nil
		var n *int64
		var data pgtype.DriverBytes
		tag, err := pgx.ForEachRow(rows, []any{&n, &data}, func() error {
			if n == nil {
				return nil // the node is there and has no more
			}
			a, err := decodeAttempt(data)
			attempts = append(attempts, a)
			return err
		})
		if err == nil && tag.RowsAffected() == 0 {
			return notFound(store.ByNode(node))
		}
		return err
	})
	return attempts, err
}

// Feed implements [store.Reader].
func (s *Store) Feed(ctx context.Context, after store.Position, limit int) (feed store.FeedPage, err error) {
	err = s.read(ctx, func(ctx context.Context) error {
		feed = store.FeedPage{}
		var past store.Histories
		from := clamp(after.Sequence)
		to := from + min(int64(pageLimit(limit)), math.MaxInt64-from)
		err := s.snapshot(ctx, func(b *pgx.Batch) {
			b.Queue(s.sql.ends).QueryRow(func(row pgx.Row) error {
				var first, last int64
				err := row.Scan(&first, &last, (*[16]byte)(&feed.Last.History))
				feed.First, feed.Last.Sequence = uint64(first), uint64(last)
				return err
			})
			b.Queue(s.sql.known, pgtype.UUID{Bytes: after.History, Valid: true}).Query(func(rows pgx.Rows) (err error) {
				past, err = readHistories(rows)
				return err
			})
			b.Queue(s.sql.changes, from, to).Query(func(rows pgx.Rows) error { return readFeed(rows, &feed) })
		})
		if err != nil {
			return err
		}
		return past.Check(after, feed.First, feed.Last.Sequence)
	})
	if err != nil {
		return store.FeedPage{}, err
	}
	return feed, nil
}

func readHistories(rows pgx.Rows) (past store.Histories, err error) {
	var b store.Beginning
	var began int64
	_, err = pgx.ForEachRow(rows, []any{(*[16]byte)(&b.History), &began}, func() error {
		b.After = uint64(began)
		past = append(past, b)
		return nil
	})
	return past, err
}

func readFeed(rows pgx.Rows, feed *store.FeedPage) error {
	var seq int64
	var key state.Key
	var data pgtype.DriverBytes
	_, err := pgx.ForEachRow(rows, []any{&seq, &key.Business, &key.Task, &data}, func() error {
		tr, err := decodeTransition(data, uint64(seq), key)
		feed.Transitions = append(feed.Transitions, tr)
		return err
	})
	return err
}

// clamp is a sequence as the database has them: none is as large as the
// largest.
func clamp(seq uint64) int64 { return int64(min(seq, math.MaxInt64)) }

func pageLimit(limit int) int {
	if limit <= 0 {
		return store.DefaultLimit
	}
	return limit
}
