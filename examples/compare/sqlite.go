package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"

	"modernc.org/sqlite"
)

// dsn names a SQLite file for which every connection has the write-ahead log
// and synchronous=FULL: a transaction is on disk when its commit returns. With
// NORMAL, which some libraries set by themselves, the last ones can be lost to
// a power cut.
func dsn(path string) string {
	q := url.Values{"_pragma": {"busy_timeout(5000)", "foreign_keys(ON)", "journal_mode(WAL)", "synchronous(FULL)"}, "_txlock": {"immediate"}}
	return "file:" + path + "?" + q.Encode()
}

const full = 2 // of PRAGMA synchronous

// connections are those that were opened, by file: also those that a library
// opens for itself, which cannot be asked otherwise.
var connections = struct {
	mu   sync.Mutex
	conn map[string][]sqlite.ExecQuerierContext
}{conn: make(map[string][]sqlite.ExecQuerierContext)}

func init() {
	sqlite.RegisterConnectionHook(func(conn sqlite.ExecQuerierContext, dsn string) error {
		connections.mu.Lock()
		defer connections.mu.Unlock()
		path, _, _ := strings.Cut(strings.TrimPrefix(dsn, "file:"), "?")
		connections.conn[path] = append(connections.conn[path], conn)
		return requireFull(conn)
	})
}

// requireFull asks a connection for its setting.
func requireFull(conn sqlite.ExecQuerierContext) error {
	rows, err := conn.QueryContext(context.Background(), "PRAGMA synchronous", nil)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	value := make([]driver.Value, 1)
	if err := rows.Next(value); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if value[0] != int64(full) {
		return fmt.Errorf("synchronous is %v, not FULL", value[0])
	}
	return nil
}

// requireLastFull asks the last opened connection to a file, which must be idle. It
// is for a library with one hidden connection at a time.
func requireLastFull(path string) error {
	connections.mu.Lock()
	defer connections.mu.Unlock()
	conns := connections.conn[path]
	if len(conns) == 0 {
		return fmt.Errorf("no connection to %s was opened", path)
	}
	return requireFull(conns[len(conns)-1])
}

// requireAllFull asks every open connection of a pool, which must be idle.
func requireAllFull(ctx context.Context, db *sql.DB) error {
	var errs []error
	for range max(db.Stats().OpenConnections, 1) {
		conn, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }() // gives it back
		var value int
		err = conn.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&value)
		if err == nil && value != full {
			err = fmt.Errorf("synchronous is %d, not FULL", value)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
