package pgstore

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// # Commits of one task
//
// Where processes have few writers, most ordinary commits are of one task. These
// call the procedure move_task, which does what the statements of writing.go do,
// in the same order. It is a procedure and not a function because it ends the
// first transaction of a commit among others itself. The second one, or the only
// one of a handle that is alone, ends with the call.

// movesOne reports whether an ordinary plan is one that move_task can write.
func (p *plan) movesOne() bool {
	return len(p.moved.id) == 1 && len(p.made.id) == 0 && len(p.added.id) <= 1 && len(p.changed.task) <= 1 && len(p.attempts.task) <= 1 &&
		len(p.data.task) == 0 && len(p.oldLabels.key) == 0 && len(p.newLabels.key) == 0
}

// callMove calls move_task with the task, the node that it declares, the one that
// it changes, the superseded attempt, the transitions and the token.
const callMove = `CALL pipestatus.move_task($1::bigint, $2::bigint, $3::bigint, $4::smallint, $5::boolean, $6::boolean, $7::bytea,
	$8::bytea, $9::integer, $10::bytea, $11::bytea, $12::integer, $13::bytea, $14::integer, $15::bigint, $16::bytea, $17::bytea, $18::bytea[],
	$19::bigint, $20::integer, $21::bigint, $22::boolean, NULL, NULL)`

// move makes the commit of one task.
func (s *Store) move(ctx context.Context, conn *pgxpool.Conn, a *attempt) error {
	m, added, changed, past, data := &a.plan.moved, &a.plan.added, &a.plan.changed, &a.plan.attempts, a.plan.transitions.data
	var more any
	if len(data) > 1 {
		more = data[1:]
	}
	rows, err := conn.Query(ctx, s.sql.move,
		m.id[0], m.base[0], m.holder[0], m.shown[0], m.unfinished[0], m.failures[0], m.header[0],
		firstOf(added.id), firstOf(added.index), firstOf(added.declaration), firstOf(added.progress),
		firstOf(changed.index), firstOf(changed.progress),
		firstOf(past.index), firstOf(past.n), firstOf(past.data),
		data[0], more, s.id, a.token.slot, a.token.number, a.alone)
	answered := false
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&a.base, (*[16]byte)(&a.history)}, func() error { answered = true; return nil })
	}
	a.happened = err == nil
	if err != nil && (answered || !a.alone && !beforeCommit(err)) {
		return &undecidedError{err}
	}
	return err
}

// firstOf is the first value, nil if there is none.
func firstOf[T any](values []T) any {
	if len(values) == 0 {
		return nil
	}
	return values[0]
}

// beforeCommit reports whether an error can only come from a statement of
// move_task before its COMMIT.
func beforeCommit(err error) bool {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return false
	}
	switch refused.Code {
	case "22012", "23505", // division_by_zero, unique_violation
		"40001", "40P01", "55P03", // serialization_failure, deadlock_detected, lock_not_available
		"25006", "53100": // read_only_sql_transaction, disk_full
		return true
	}
	return false
}
