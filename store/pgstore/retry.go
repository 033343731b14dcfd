package pgstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/feed"
)

// trouble is the remedy for an error.
type trouble int

const (
	permanent   trouble = iota // nothing
	raced                      // another transaction was first: retry at once
	unreachable                // the server cannot be reached or used: retry later
)

// brokenConnection reports whether an error that is not the server's is about
// the connection to it.
func brokenConnection(err error) bool {
	var broken *notCommitted
	var unconnected *pgconn.ConnectError
	var network net.Error
	return pgconn.SafeToRetry(err) || pgconn.Timeout(err) || errors.As(err, &broken) || errors.As(err, &unconnected) ||
		errors.As(err, &network) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// maxRaces bounds how often a transaction is tried again after conflicts. Each
// conflict means that another transaction has made progress.
const maxRaces = 30

// troubleOf classifies the error of a call whose context has not ended.
func troubleOf(err error) trouble {
	var refused *pgconn.PgError
	if errors.Is(err, store.ErrFailed) {
		return permanent // regardless of other errors
	}
	if !errors.As(err, &refused) {
		if brokenConnection(err) {
			return unreachable
		}
		return permanent
	}
	switch refused.Code {
	case "23505", "40001", "40P01", // unique_violation, serialization_failure, deadlock_detected
		"55P03",          // lock_not_available: a lock_timeout
		"25P03", "25P04": // idle_in_transaction_session_timeout, transaction_timeout: the handle did not continue in time
		return raced
	case "25006", // read_only_sql_transaction: this is a standby
		"57P01", "57P02", "57P03", // shut down, crashed, starting
		"53300": // too_many_connections
		return unreachable
	}
	if aboutConnection(refused) {
		return unreachable
	}
	return permanent
}

// aboutConnection reports whether an error is of class connection_exception.
func aboutConnection(refused *pgconn.PgError) bool {
	return len(refused.Code) == 5 && refused.Code[:2] == "08"
}

// retry repeats f as long as that can help. f must have had no effect when it returns
// an error.
func (s *Store) retry(ctx context.Context, f func(ctx context.Context) error) error {
	deadline := time.Now().Add(s.opts.Recover)
	pause := feed.Backoff{Min: 5 * time.Millisecond, Max: time.Second} // spreads the retries of many callers
	for races := 0; ; {
		err := f(ctx)
		if err == nil {
			return nil
		}
		if ended := ctx.Err(); ended != nil && !errors.Is(err, store.ErrFailed) {
			return ended
		}
		trouble := troubleOf(err)
		switch trouble {
		case raced:
			if races++; races > maxRaces {
				return fmt.Errorf("other transactions were first %d times: %w", maxRaces, err)
			}
			if races < 3 {
				continue
			}
		case permanent:
			return translate(err)
		}
		wait := pause.Next()
		if trouble == unreachable && time.Now().Add(wait).After(deadline) {
			return fmt.Errorf("pgstore: %w", err)
		}
		if err := feed.Sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// translate replaces errors of the server by the corresponding errors of
// package store.
func translate(err error) error {
	var refused *pgconn.PgError
	if errors.Is(err, store.ErrFailed) || !errors.As(err, &refused) {
		return err
	}
	switch refused.Code {
	case "53100": // disk_full
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	case "XX001", "XX002": // data_corrupted, index_corrupted
		return fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	return fmt.Errorf("pgstore: %w", err)
}
