package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pipestatus/pipestatus/examples/internal/runner"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/pgstore"
)

// shared is a store with the log of what runners must know beside it, so that a
// runner on another machine can go on with a task. The lines are bytes, as
// PostgreSQL's texts cannot hold all that a command may print.
//
// A line's number is one more than that of the last line its writer knows. Of
// two runners that both believe a task theirs, the key lets one add a line: the
// one that took the task over, once it has written that it did.
type shared struct {
	*pgstore.Store
	pool *pgxpool.Pool // of one connection
}

var (
	_ runner.Log     = (*shared)(nil)
	_ store.Leaser   = (*shared)(nil)
	_ store.Notifier = (*shared)(nil)
)

// resultsLock is the key of the advisory lock under which the table is made.
const resultsLock = 0x7069_7065_7275

const makeResults = `
CREATE SCHEMA IF NOT EXISTS pipestatus_runner;
CREATE TABLE IF NOT EXISTS pipestatus_runner.results (
    business text COLLATE "C" NOT NULL,
    task     text COLLATE "C" NOT NULL,
    number   bigint NOT NULL, -- from 1, without gap
    line     bytea NOT NULL,
    PRIMARY KEY (business, task, number)
)`

func openShared(ctx context.Context, s *pgstore.Store, url string) (*shared, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	// Each statement has to see what others committed before it, whatever the
	// server's default is.
	err = pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(resultsLock)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, makeResults)
		return err
	})
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("the table of results: %w", err)
	}
	return &shared{s, pool}, nil
}

// ResultLines implements [runner.Log].
func (s *shared) ResultLines(ctx context.Context, task state.Key) (lines [][]byte, err error) {
	err = persist(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, `SELECT line FROM pipestatus_runner.results WHERE business = $1 AND task = $2 ORDER BY number`,
			task.Business, task.Task)
		if err != nil {
			return err
		}
		lines, err = pgx.CollectRows(rows, pgx.RowTo[[]byte])
		return err
	})
	return lines, err
}

// AddResultLine implements [runner.Log].
func (s *shared) AddResultLine(ctx context.Context, task state.Key, n int, line []byte) error {
	return persist(ctx, func(ctx context.Context) error {
		added, err := s.insertResult(ctx, task, n+1, line)
		if added || err != nil && unreachable(err) {
			return err
		}
		// The server can report an error after it has added the line, and a
		// try whose answer was lost can have added it.
		var there []byte
		lookErr := s.pool.QueryRow(ctx, `SELECT line FROM pipestatus_runner.results WHERE business = $1 AND task = $2 AND number = $3`,
			task.Business, task.Task, n+1).Scan(&there)
		switch {
		case errors.Is(lookErr, pgx.ErrNoRows):
			return err
		case lookErr != nil:
			return errors.Join(err, lookErr)
		case !bytes.Equal(there, line):
			return fmt.Errorf("%w: results of task %s", store.ErrFenced, task)
		}
		return nil
	})
}

// insertResult adds a line unless there is one of that number.
func (s *shared) insertResult(ctx context.Context, task state.Key, number int, line []byte) (added bool, err error) {
	err = pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `INSERT INTO pipestatus_runner.results VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			task.Business, task.Task, number, line)
		added = tag.RowsAffected() > 0
		return err
	})
	return added && err == nil, err
}

// Close closes the store too.
func (s *shared) Close() error {
	s.pool.Close()
	return s.Store.Close()
}

const (
	// persistence is how long a call is tried while the server cannot be
	// reached, as it is by the store.
	persistence = 30 * time.Second
	pause       = 200 * time.Millisecond
)

// persist calls f again and again while it fails for want of a connection.
func persist(ctx context.Context, f func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, persistence)
	defer cancel()
	for {
		err := f(bounded)
		if err == nil || !unreachable(err) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-bounded.Done():
			return err
		}
	}
}

// unreachable reports whether an error is of the connection or of a server that
// ends, begins or only reads, and not of the statement.
func unreachable(err error) bool {
	var answered *pgconn.PgError
	if errors.As(err, &answered) {
		return len(answered.Code) == 5 && (answered.Code[:2] == "08" || answered.Code[:3] == "57P" || answered.Code == "25006")
	}
	return !errors.Is(err, store.ErrFenced)
}
