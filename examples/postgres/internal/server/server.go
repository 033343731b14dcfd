// Package server opens stores on PostgreSQL for the example programs.
package server

import (
	"context"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pipestatus/pipestatus/examples/internal/database"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/pgstore"
)

const usage = `
A server is PostgreSQL: postgres://USER@HOST:PORT/DATABASE. Several URLs with
spaces between them, always in the same order, are one store. Missing parts of a
URL come from PGHOST, PGUSER, PGSSLMODE and so on. Put the password in PGPASSWORD
or ~/.pgpass, because other users of the machine can read a command line.`

// PostgreSQL is the servers that the programs know.
func PostgreSQL() *database.Servers {
	return &database.Servers{
		Openers: map[string]database.Opener{"postgres": open, "postgresql": open},
		Usage:   usage,
		Lease:   pgstore.DefaultLease,
	}
}

// patience bounds the first connection.
const patience = 10 * time.Second

func open(ctx context.Context, url string, o database.Options) (store.Store, error) {
	// An open store retries for a long time, because servers restart. Here a
	// wrong URL must be reported at once, and reading must not create tables.
	exists, err := look(ctx, url)
	if err != nil {
		return nil, err
	}
	if !exists && !o.Create {
		return nil, &missingError{database.Shown(url)}
	}
	lease := o.Lease
	if !o.Run {
		lease = -1
	}
	s, err := pgstore.Open(ctx, url, &pgstore.Options{Owner: o.Owner, Lease: lease})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// missingError says that a database has no store.
type missingError struct{ where string }

func (e *missingError) Error() string {
	return "no store in " + e.where + "; a runner, or statusctl apply or import, makes one"
}

func (e *missingError) Is(target error) bool { return target == fs.ErrNotExist }

// look reports whether there is a store in a database.
func look(ctx context.Context, url string) (exists bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return false, err
	}
	err = conn.QueryRow(ctx, `SELECT to_regclass('pipestatus.tasks') IS NOT NULL`).Scan(&exists)
	_ = conn.Close(ctx) // it has answered
	return exists, err
}
