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

// Commit implements [store.Store]. It takes at most two round trips for any number of
// changes: one locks the tasks and looks names up, the other writes and commits. A
// context that ends between them ends the commit; after that, Commit waits for the
// outcome.
func (s *Store) Commit(ctx context.Context, changes []store.Write) ([]store.Result, error) {
	if err := store.ValidateWrites(changes); err != nil {
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
	if p := s.ordinary(ctx, changes); p != nil {
		results, err = s.commitAtOnce(ctx, p)
		if !notAsExpected(err) {
			return results, err
		}
		s.familiar.forget(changes)
	}
	return s.commitInTwoSteps(ctx, changes)
}

func (s *Store) commitAtOnce(ctx context.Context, p *plan) ([]store.Result, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	if p.movesOne() {
		return s.write(ctx, conn, p, s.move)
	}
	return s.write(ctx, conn, p, s.atOnce)
}

func (s *Store) commitInTwoSteps(ctx context.Context, changes []store.Write) (results []store.Result, err error) {
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
	if len(p.transitions.task) > 0 {
		return s.write(ctx, conn, p, s.inSteps)
	}
	if tasks := s.contested(changes, p, f); tasks != nil {
		s.claims.keep(conn, tasks, s.holdFor)
		kept = true
		return p.results, nil
	}
	rollback(ctx, conn)
	conn.Release() // it may be the only one that the pool has
	kept = true
	// The fact that a name is taken must be durable before it is answered.
	return p.results, s.settle(ctx, unknownSequence)
}

// find begins a transaction, unless one is kept, locks the tasks to be changed and
// looks up the names in use.
func (s *Store) find(ctx context.Context, conn *pgxpool.Conn, begun bool, n names) (found, error) {
	f := found{tasks: make(map[int]*row), keys: make(map[int]bool), ids: make(map[string]int64)}
	var b pgx.Batch
	if !begun {
		s.beginSteps(&b)
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
	bounded, cancel := s.bounded(ctx) // others may have the locks
	defer cancel()
	return f, conn.SendBatch(bounded, &b).Close()
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

// attempt is one transaction that writes a plan, with its outcome: the sequence
// before its first, and the history.
type attempt struct {
	plan  *plan
	token token
	alone bool // nobody else seems to commit

	happened bool
	base     int64
	history  store.History
}

// sender sends all writes of an attempt and the commit together, and sets the
// outcome. It returns nil if and only if the server has acknowledged the commit or
// has answered that the tasks differ from the plan.
type sender func(ctx context.Context, conn *pgxpool.Conn, a *attempt) error

// write sends all writes of a plan and the commit together, and returns the results.
// If the answer is lost, it determines the outcome of the commit. A context that ends
// does not end it any more.
func (s *Store) write(ctx context.Context, conn *pgxpool.Conn, p *plan, send sender) ([]store.Result, error) {
	if s.beforeWrite != nil {
		s.beforeWrite()
	}
	ctx = context.WithoutCancel(ctx)
	a := attempt{plan: p, token: s.commits.take(), alone: s.company.begin()}
	defer s.company.end(&a)
	sent, cancel := s.bounded(ctx)
	err := send(sent, conn, &a)
	cancel()
	switch {
	case err == nil && !a.happened:
		s.commits.done(a.token)
		return nil, errNotAsExpected
	case err == nil:
	case errors.Is(err, errRolledBack), refusedForSure(err):
		s.commits.done(a.token)
		rollback(ctx, conn)
		return nil, err
	default:
		conn.Release() // it may be the only one that the pool has
		if err := s.outcome(ctx, &a, err); err != nil {
			return nil, err
		}
	}
	s.commits.done(a.token)
	for i := range p.results {
		if r := &p.results[i]; r.Err == nil {
			r.First += uint64(a.base)
			r.History = a.history
		}
	}
	s.leases.committed(p.kept)
	s.familiar.committed(p, a.base)
	s.durable.reached(uint64(a.base) + uint64(len(p.transitions.task)))
	s.announce()
	return p.results, nil
}

// bounded is ctx for as long as one step of a commit may take.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.opts.Recover < 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, s.opts.Recover)
}

// atOnce makes an ordinary commit.
func (s *Store) atOnce(ctx context.Context, conn *pgxpool.Conn, a *attempt) error {
	b := new(pgx.Batch)
	b.Queue(beginWrite)
	s.queueWrites(b, a, true)
	return a.commit(ctx, conn, b)
}

// inSteps ends a commit in two steps.
func (s *Store) inSteps(ctx context.Context, conn *pgxpool.Conn, a *attempt) error {
	b := new(pgx.Batch)
	if d := &a.plan.deleted; len(d.tasks) > 0 {
		b.Queue(s.sql.forgetKeys, d.keys.business, d.keys.task)
		b.Queue(s.sql.forgetIDs, d.tasks)
		b.Queue(s.sql.forgetNodes, d.tasks)
		b.Queue(s.sql.forgetAttempts, d.tasks)
		b.Queue(s.sql.forgetData, d.tasks)
	}
	s.queueWrites(b, a, false)
	return a.commit(ctx, conn, b)
}

// commit sends a batch and commits.
func (a *attempt) commit(ctx context.Context, conn *pgxpool.Conn, b *pgx.Batch) error {
	if a.alone {
		return commitBatch(ctx, conn, b)
	}
	return commitDurably(ctx, conn, b)
}

func (s *Store) queueWrites(b *pgx.Batch, a *attempt, checks bool) {
	statements := s.sql.writes(a, s.id, checks)
	for i, st := range statements {
		q := b.Queue(st.sql, st.args...)
		if i < len(statements)-1 {
			continue
		}
		q.Query(func(rows pgx.Rows) error {
			_, err := pgx.ForEachRow(rows, []any{&a.base, (*[16]byte)(&a.history), nil}, func() error {
				a.happened = true
				return nil
			})
			return err
		})
	}
}

// refusedForSure reports whether the server has answered that the transaction did not
// happen: with an error before the commit, which it then skipped. An error about a
// connection may come from a pooler, about its connection to the server.
func refusedForSure(err error) bool {
	var refused *pgconn.PgError
	var undecided *undecidedError
	return !errors.As(err, &undecided) && errors.As(err, &refused) && refused.Severity == "ERROR" && !aboutConnection(refused) &&
		refused.Code != "40003" // statement_completion_unknown
}

// outcome determines, on another connection, whether a commit whose answer was lost
// has happened. If not, it never will, and the error has cause. The handle fails if
// the outcome cannot be determined.
func (s *Store) outcome(ctx context.Context, a *attempt, cause error) error {
	bounded, cancel := s.bounded(ctx)
	defer cancel()
	err := s.retry(bounded, func(ctx context.Context) error {
		if err := s.transact(ctx, func(b *pgx.Batch) {
			b.Queue(s.sql.outcome, s.id, a.token.slot, a.token.number).QueryRow(func(row pgx.Row) error { return row.Scan(&a.base, nil) })
		}); err != nil {
			return err
		}
		// Asked afterwards: the commit may have begun it.
		return s.pool.QueryRow(ctx, s.sql.history).Scan((*[16]byte)(&a.history))
	})
	switch {
	case err != nil:
		return s.fail(fmt.Errorf("%w; asking for its outcome: %w", cause, err))
	case a.base < 0:
		s.commits.done(a.token)
		return &notCommitted{cause}
	}
	a.happened = true
	return nil
}

// notCommitted is the error of a commit that certainly did not happen because the
// connection broke.
type notCommitted struct{ cause error }

func (e *notCommitted) Error() string { return "not committed: " + e.cause.Error() }
func (e *notCommitted) Unwrap() error { return e.cause }
