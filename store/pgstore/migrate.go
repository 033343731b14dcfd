package pgstore

import (
	"context"
	"embed"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pipestatus/pipestatus/store"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// schemaVersion is the version of the tables that this package reads and
// writes: the number of its last migration.
const schemaVersion = 5

// migrationLock is the key of the advisory lock under which tables are made.
const migrationLock = 0x7069_7065_7374

// migrate migrates the tables to schemaVersion. It checks the version without a
// lock, so that processes can start with rights to the data only.
func (s *Store) migrate(ctx context.Context) error {
	version, err := s.version(ctx, s.pool)
	if err != nil {
		return err
	}
	if version == schemaVersion {
		return nil
	}
	return s.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		err := s.migrateOn(ctx, conn)
		if err != nil {
			rollback(ctx, conn)
		}
		return err
	})
}

// migrateOn makes the tables on a connection. The caller rolls back after an
// error. Other processes that start during this wait for the lock and the
// tables. They then see the tables, because each of their statements sees
// everything committed before it.
func (s *Store) migrateOn(ctx context.Context, conn *pgxpool.Conn) error {
	var b pgx.Batch
	s.beginSteps(&b)
	b.Queue("SET LOCAL lock_timeout = 0")
	b.Queue("SET LOCAL statement_timeout = 0")
	b.Queue(`SELECT pg_advisory_xact_lock($1)`, int64(migrationLock))
	if err := conn.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	version, err := s.version(ctx, conn)
	if err != nil {
		return err
	}
	for ; version < schemaVersion; version++ {
		if err := s.step(ctx, conn.Conn(), version+1); err != nil {
			return fmt.Errorf("migration %d: %w", version+1, err)
		}
		if fill := filling[version+1]; fill != nil {
			if err := fill(ctx, s, conn.Conn()); err != nil {
				return fmt.Errorf("migration %d: %w", version+1, err)
			}
		}
	}
	return commitBatch(ctx, conn, new(pgx.Batch))
}

// filling is the part of some migrations after their statements that only this program
// can do.
var filling = map[int]func(ctx context.Context, s *Store, conn *pgx.Conn) error{3: fillNames}

// fillNames fills the columns of version 3 from the headers. It leaves the columns of
// an unreadable header unchanged.
func fillNames(ctx context.Context, s *Store, conn *pgx.Conn) error {
	last := int64(-1) << 63
	for {
		rows, err := conn.Query(ctx, s.sql.in(`SELECT id, header FROM pipestatus.tasks WHERE id > $1 ORDER BY id LIMIT 1000`), last)
		if err != nil {
			return err
		}
		var id int64
		var header pgtype.DriverBytes
		var ids []int64
		var names [][]byte
		var failures []bool
		tag, err := pgx.ForEachRow(rows, []any{&id, &header}, func() error {
			var t store.Task
			if last = id; decodeHeader(header, &t) == nil {
				ids, names, failures = append(ids, id), append(names, []byte(t.Name)), append(failures, t.HasFailures())
			}
			return nil
		})
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		_, err = conn.Exec(ctx, s.sql.in(`
UPDATE pipestatus.tasks t SET name = u.name, failures = u.failures
FROM unnest($1::bigint[], $2::bytea[], $3::boolean[]) AS u (id, name, failures) WHERE t.id = u.id`), ids, names, failures)
		if err != nil {
			return err
		}
	}
}

// querier is a pool or a connection.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// version is the version of the tables, 0 without tables.
func (s *Store) version(ctx context.Context, q querier) (version int, err error) {
	var exists bool
	// Not to_regclass, which may answer from the session's cache, from before it
	// waited for the lock.
	err = q.QueryRow(ctx, `
SELECT count(*) > 0 FROM information_schema.tables WHERE table_schema = $1 AND table_name = 'schema_version'`,
		s.opts.Schema).Scan(&exists)
	if err != nil || !exists {
		return 0, err
	}
	if err := q.QueryRow(ctx, `SELECT max(version) FROM `+s.opts.quotedSchema()+`.schema_version`).Scan(&version); err != nil {
		return 0, err
	}
	if version > schemaVersion {
		return 0, fmt.Errorf("%w: schema %s has version %d, this program knows up to %d",
			store.ErrIncompatible, s.opts.Schema, version, schemaVersion)
	}
	return version, nil
}

// step runs one migration.
func (s *Store) step(ctx context.Context, conn *pgx.Conn, version int) error {
	text, err := migrationFiles.ReadFile(fmt.Sprintf("migrations/%04d.sql", version))
	if err != nil {
		return err
	}
	schema := s.opts.quotedSchema()
	statements := []string{
		`CREATE SCHEMA IF NOT EXISTS ` + schema,
		`SET LOCAL search_path = ` + schema,
		`CREATE TABLE IF NOT EXISTS schema_version (version integer PRIMARY KEY)`,
		s.sql.in(s.partitioned(string(text))),
		fmt.Sprintf(`INSERT INTO schema_version VALUES (%d)`, version),
	}
	for _, sql := range statements {
		if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
			return err
		}
	}
	return nil
}

// partitionedTables are the tables that can be divided, by the column.
var partitionedTables = []struct{ name, column string }{
	{"node_ids", "id"}, {"nodes", "task"}, {"attempts", "task"}, {"data", "task"}, {"transitions", "task"},
}

// partitioned divides the tables of a migration that are marked for it.
func (s *Store) partitioned(text string) string {
	if s.opts.Partitions == 0 {
		return text
	}
	for _, t := range partitionedTables {
		mark := "/* partition " + t.name + " */"
		clause := "PARTITION BY HASH (" + t.column + ")"
		if strings.Contains(text, mark) {
			text = strings.Replace(text, mark, clause, 1)
			for i := range s.opts.Partitions {
				text += fmt.Sprintf("CREATE TABLE %s_%d PARTITION OF %s FOR VALUES WITH (MODULUS %d, REMAINDER %d);\n",
					t.name, i, t.name, s.opts.Partitions, i)
			}
		}
	}
	return text
}
