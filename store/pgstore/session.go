package pgstore

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pipestatus/pipestatus/state"
)

// prepareSessions sets the session parameters of the store's own pool, regardless of
// the defaults of the server, the database or the role. It uses only parameters that
// poolers track for each client.
func prepareSessions(config *pgxpool.Config) {
	config.ConnConfig.RuntimeParams["client_encoding"] = "UTF8"
	config.ConnConfig.RuntimeParams["standard_conforming_strings"] = "on"
	config.AfterConnect = keepAlive
}

// keepAlive makes the server notice within half a minute that a client's
// machine is down, which may hold a lock that all others need. Servers without
// these settings work without them.
func keepAlive(ctx context.Context, conn *pgx.Conn) error {
	for _, set := range []string{"tcp_keepalives_idle = 10", "tcp_keepalives_interval = 5", "tcp_keepalives_count = 3"} {
		if _, err := conn.Exec(ctx, "SET "+set); err != nil && conn.IsClosed() {
			return err
		}
	}
	return nil
}

// checkSession refuses sessions that would change stored texts or misread bytes.
func (s *Store) checkSession(ctx context.Context) error {
	return s.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		if encoding := conn.Conn().PgConn().ParameterStatus("client_encoding"); encoding != "UTF8" {
			return fmt.Errorf("%w: sessions have the client_encoding %q, not UTF8", state.ErrInvalidArgument, encoding)
		}
		switch mode := conn.Conn().Config().DefaultQueryExecMode; mode {
		case pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol: // the modes that get answers as text
			var output string
			if err := conn.QueryRow(ctx, "SHOW bytea_output").Scan(&output); err != nil {
				return err
			}
			if output != "hex" {
				return fmt.Errorf("%w: sessions have the bytea_output %q, and mode %v needs hex", state.ErrInvalidArgument, output, mode)
			}
		}
		return nil
	})
}
