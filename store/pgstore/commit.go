package pgstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Commit implements [store.Store]. It takes two round trips, however many
// changes there are: one locks the tasks and looks names up, the other writes
// and commits. A context that ends between them ends the commit; after that
// the outcome is waited for.
func (s *Store) Commit(ctx context.Context, changes []store.Write) ([]store.Result, error) {
	if err := validate(changes); err != nil {
		return nil, err
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	if len(changes) == 0 {
		return nil, nil
	}
	var results []store.Result
	err := s.retry(ctx, func(ctx context.Context) (err error) {
		results, err = s.commit(ctx, changes)
		return err
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// commit tries once. When it returns an error, other than [store.ErrFailed],
// nothing was or will be committed.
func (s *Store) commit(ctx context.Context, changes []store.Write) (results []store.Result, err error) {
	conn := s.claims.take(changes)
	claimed := conn != nil
	if !claimed {
		if conn, err = s.pool.Acquire(ctx); err != nil {
			return nil, err
		}
	}
	kept := false
	defer func() {
		if !kept {
			conn.Release()
		}
	}()
	f, err := s.find(ctx, conn, claimed, namesOf(changes))
	if err == nil {
		err = ctx.Err()
	}
	var p *plan
	if err == nil {
		p, err = s.plan(changes, f)
	}
	if err != nil {
		rollback(ctx, conn)
		return nil, err
	}
	if len(p.transitions.task) == 0 {
		if tasks := s.contested(changes, p, f); tasks != nil {
			s.claims.keep(conn, tasks, s.holdFor)
			kept = true
		} else {
			rollback(ctx, conn)
		}
		return p.results, nil
	}
	if s.beforeWrite != nil {
		s.beforeWrite()
	}
	base, history, err := s.write(context.WithoutCancel(ctx), conn, p)
	if err != nil {
		return nil, err
	}
	for i := range p.results {
		if r := &p.results[i]; r.Err == nil {
			r.First += uint64(base)
			r.History = history
		}
	}
	s.leases.committed(p.kept)
	return p.results, nil
}

// find begins a transaction, unless one goes on, locks the tasks to be changed
// and looks up what names are in use.
func (s *Store) find(ctx context.Context, conn *pgxpool.Conn, begun bool, n names) (found, error) {
	f := found{tasks: make(map[int]*row), keys: make(map[int]bool), ids: make(map[string]int64)}
	var b pgx.Batch
	if !begun {
		b.Queue(beginWrite)
	}
	if len(n.updates.change) > 0 {
		b.Queue(s.sql.lock, n.updates.business, n.updates.task).Query(func(rows pgx.Rows) error {
			return f.readTasks(rows, n.updates)
		})
		b.Queue(s.sql.nodes, n.nodes.business, n.nodes.task, n.nodes.change, n.nodes.index).Query(f.readNodes)
	}
	if len(n.creates.change) > 0 {
		b.Queue(s.sql.keys, n.creates.business, n.creates.task).Query(func(rows pgx.Rows) error {
			return each(rows, func(i int64) error { f.keys[n.creates.change[i]] = true; return nil })
		})
		b.Queue(s.sql.taskIDs, len(n.creates.change)).Query(func(rows pgx.Rows) error {
			return each(rows, func(id int64) error { f.taskIDs = append(f.taskIDs, id); return nil })
		})
	}
	if len(n.ids) > 0 {
		b.Queue(s.sql.ids, n.ids).Query(f.readIDs)
	}
	return f, conn.SendBatch(ctx, &b).Close()
}

// each reads rows of one column.
func each[T any](rows pgx.Rows, f func(v T) error) error {
	var v T
	_, err := pgx.ForEachRow(rows, []any{&v}, func() error { return f(v) })
	return err
}

func (f *found) readTasks(rows pgx.Rows, of keys) error {
	var i, id, number, revision, holder, sec int64
	var nsec int32
	var shown int16
	var header pgtype.DriverBytes
	fields := []any{&i, &id, &number, &revision, &holder, &sec, &nsec, &shown, &header}
	_, err := pgx.ForEachRow(rows, fields, func() error {
		r := &row{id: id, holder: holder, nodes: make(map[int]state.Trace), task: store.Task{
			Key: state.Key{Business: of.business[i], Task: of.task[i]}, Number: uint64(number), Revision: uint64(revision), Shown: state.State(shown),
			Recorded: state.UnixInstant(sec, int(nsec)),
		}}
		f.tasks[of.change[i]] = r
		r.err = decodeHeader(header, &r.task)
		return nil
	})
	return err
}

// readNodes reads the traces of nodes. One that cannot be read is an error of
// its task only.
func (f *found) readNodes(rows pgx.Rows) error {
	var i, index int
	var id, declaration, progress pgtype.DriverBytes
	_, err := pgx.ForEachRow(rows, []any{&i, &index, &id, &declaration, &progress}, func() error {
		r := f.tasks[i]
		if r == nil {
			return nil
		}
		var n state.Node
		if err := decodeNode(id, declaration, progress, &n); err != nil {
			r.err = cmp.Or(r.err, fmt.Errorf("node %d: %w", index, err))
			return nil
		}
		r.nodes[index] = state.TraceOf(n.ID, n.Kind, &n.Progress)
		return nil
	})
	return err
}

func (f *found) readIDs(rows pgx.Rows) error {
	var packed pgtype.DriverBytes
	var task int64
	_, err := pgx.ForEachRow(rows, []any{&packed, &task}, func() error {
		d := decoder{b: packed}
		f.ids[d.id()] = task
		return d.end("node ID")
	})
	return err
}

// write sends all that a plan writes and the commit, in one go, and returns
// the sequence before the first, and its history. It finds out what became of a
// commit whose answer was lost.
func (s *Store) write(ctx context.Context, conn *pgxpool.Conn, p *plan) (base int64, history store.History, err error) {
	n := s.commits.take()
	b := s.batch(p, n, &base, &history)
	sent, cancel := s.bounded(ctx)
	err = commitBatch(sent, conn, b)
	cancel()
	switch {
	case err == nil:
		s.commits.acknowledge(n)
		return base, history, nil
	case errors.Is(err, errRolledBack):
		return 0, history, err
	case refusedForSure(err):
		rollback(ctx, conn)
		return 0, history, err
	}
	conn.Release() // it may be the only one that the pool has
	return s.outcome(ctx, n, err)
}

// bounded is ctx for as long as one commit may take.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.opts.Recover < 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, s.opts.Recover)
}

// batch is the statements of a plan. Names come first: an insert that has to
// wait for another transaction must not hold up the feed.
func (s *Store) batch(p *plan, n int64, base *int64, history *store.History) *pgx.Batch {
	b := new(pgx.Batch)
	if d := &p.deleted; len(d.tasks) > 0 {
		b.Queue(s.sql.forgetKeys, d.keys.business, d.keys.task)
		b.Queue(s.sql.forgetIDs, d.tasks)
		b.Queue(s.sql.forgetNodes, d.tasks)
		b.Queue(s.sql.forgetAttempts, d.tasks)
	}
	if len(p.createdIDs) > 0 {
		b.Queue(s.sql.insertKeys, p.created.business, p.created.task, p.createdIDs)
	}
	if a := &p.added; len(a.id) > 0 {
		b.Queue(s.sql.insertIDs, a.id, a.task, a.index)
		b.Queue(s.sql.insertNodes, a.id, a.task, a.index, a.declaration, a.progress)
	}
	if c := &p.changed; len(c.task) > 0 {
		b.Queue(s.sql.updateNodes, c.task, c.index, c.progress)
	}
	if a := &p.attempts; len(a.task) > 0 {
		b.Queue(s.sql.insertAttempts, a.task, a.index, a.n, a.data)
	}
	if known := s.commits.known(); len(known) > 0 {
		b.Queue(s.sql.acknowledge, s.id, known)
	}
	if !s.opts.NoNotify {
		b.Queue(s.sql.notify, s.opts.Schema)
	}
	t := &p.tasks
	b.Queue(
		s.sql.finish, len(p.transitions.task), s.id, n, p.transitions.task, p.transitions.data,
		t.id, t.business, t.task, t.number, t.first, t.last, t.shown, t.unfinished, t.recordedS, t.recordedNS,
		t.holder, t.gone, t.header,
	).QueryRow(func(row pgx.Row) error { return row.Scan(base, (*[16]byte)(history), nil) })
	return b
}

// refusedForSure reports whether the server has answered that the transaction
// did not happen: with an error before the commit, which it then passed over.
// An error about a connection may be a pooler's, about its own to the server.
func refusedForSure(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Severity == "ERROR" && !aboutConnection(refused) &&
		refused.Code != "40003" // statement_completion_unknown
}

// outcome finds out about a commit whose answer was lost, on another
// connection. If it did not happen, it never will, and the error is cause. The
// handle fails if this cannot be found out.
func (s *Store) outcome(ctx context.Context, n int64, cause error) (base int64, history store.History, err error) {
	bounded, cancel := s.bounded(ctx)
	defer cancel()
	err = s.retry(bounded, func(ctx context.Context) error {
		if err := s.transact(ctx, func(b *pgx.Batch) {
			b.Queue(s.sql.outcome, s.id, n).QueryRow(func(row pgx.Row) error { return row.Scan(&base, nil) })
		}); err != nil {
			return err
		}
		// Asked afterwards: the commit may have begun it.
		return s.pool.QueryRow(ctx, s.sql.history).Scan((*[16]byte)(&history))
	})
	switch {
	case err != nil:
		return 0, history, s.fail(fmt.Errorf("%w; asking for its outcome: %w", cause, err))
	case base < 0:
		return 0, history, &notCommitted{cause}
	}
	s.commits.acknowledge(n)
	return base, history, nil
}

// notCommitted is the error of a commit that did not happen because the
// connection broke, though it looks like one that may have.
type notCommitted struct{ cause error }

func (e *notCommitted) Error() string { return "not committed: " + e.cause.Error() }
func (e *notCommitted) Unwrap() error { return e.cause }
