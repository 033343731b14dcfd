package statusctl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/examples/internal/database"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

// memory instead of a file name means an empty store in memory, which is lost at the
// end.
const memory = ":memory:"

// input opens the file that the arguments name, standard input without one.
func (t *tool) input(args []string) (io.ReadCloser, error) {
	if len(args) > 0 && args[0] != "-" {
		return os.Open(args[0])
	}
	if f, ok := t.stdin.(*os.File); ok {
		return f, nil
	}
	return io.NopCloser(t.stdin), nil
}

// create opens the database for writing and makes it if it does not exist. o
// configures a file.
func (t *tool) create(ctx context.Context, o *boltstore.Options) (store.Store, error) {
	switch {
	case t.db == "":
		return nil, &usageError{problem: "-db is empty"}
	case t.db == memory:
		return store.NewMemory(), nil
	case t.running():
		return nil, t.errOnlyRead()
	case database.OnServer(t.db):
		return t.server(ctx, database.Options{Create: true})
	}
	return writable(t.db, o)
}

// writable opens a file, and explains a missing permission to write.
func writable(path string, o *boltstore.Options) (*boltstore.Store, error) {
	s, err := boltstore.Open(path, o)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return nil, fmt.Errorf("cannot write the database: %w", err)
	}
	return s, err
}

// opener opens the file that -db names, which exists.
type opener func(path string) (*boltstore.Store, error)

func forWriting(path string) (*boltstore.Store, error) { return writable(path, nil) }

// forReading needs no permission to write and does not change the file, unless an
// older version wrote it: such a file is migrated first.
func forReading(path string) (*boltstore.Store, error) {
	s, err := boltstore.Open(path, &boltstore.Options{ReadOnly: true})
	if errors.Is(err, store.ErrIncompatible) {
		return forWriting(path)
	}
	return s, err
}

// forChecking is for writing if that is permitted: a check compares more when
// everything is written back.
func forChecking(path string) (*boltstore.Store, error) {
	s, err := forWriting(path)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return boltstore.Open(path, &boltstore.Options{ReadOnly: true})
	}
	return s, err
}

// open opens a database that exists.
func (t *tool) open(ctx context.Context, o opener) (store.Store, error) {
	switch {
	case t.running():
		return nil, t.errOnlyRead()
	case database.OnServer(t.db):
		return t.server(ctx, database.Options{})
	}
	return t.openFile(o)
}

func (t *tool) server(ctx context.Context, o database.Options) (store.Store, error) {
	s, err := t.servers.Open(ctx, t.db, o)
	var unknown *database.UnknownError
	if errors.As(err, &unknown) {
		return nil, &usageError{problem: err.Error()}
	}
	return s, err
}

func (t *tool) openFile(o opener) (*boltstore.Store, error) {
	if err := t.existingFile(); err != nil {
		return nil, err
	}
	s, err := o(t.db)
	if errors.Is(err, store.ErrCorrupt) && isText(t.db) {
		return nil, fmt.Errorf("%s: %w", t.db, errText)
	}
	return s, err
}

// errText says that -db names a file without the zero bytes that every page of a
// database has.
var errText = errors.New("this is a text file and not a pipestatus database")

func isText(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	beginning, err := io.ReadAll(io.LimitReader(f, 64<<10))
	return err == nil && len(beginning) > 0 && !bytes.ContainsRune(beginning, 0)
}

// existingFile returns an error unless -db names an existing file.
func (t *tool) existingFile() error {
	switch {
	case t.db == "":
		return &usageError{problem: "-db is empty"}
	case t.db == memory:
		return &usageError{problem: "-db :memory: is for apply only"}
	case t.running():
		return t.errOnlyRead()
	case database.OnServer(t.db):
		return &usageError{problem: "works on files; for a database on a server use the server's tools, such as pg_dump"}
	}
	if _, err := os.Stat(t.db); err != nil {
		return fmt.Errorf("no database to read, see -db: %w", err)
	}
	return nil
}

// where is the name of the database, safe to print.
func (t *tool) where() string { return database.Shown(t.db) }

// with opens an existing database, calls f with it and closes it again.
func (t *tool) with(ctx context.Context, o opener, f func(store.Store) error) error {
	s, err := t.open(ctx, o)
	if err != nil {
		return err
	}
	return errors.Join(f(s), s.Close())
}

// withFile is with for operations that only files have.
func (t *tool) withFile(o opener, f func(*boltstore.Store) error) error {
	s, err := t.openFile(o)
	if err != nil {
		return err
	}
	return errors.Join(f(s), s.Close())
}

// operate opens the database, calls f with an engine on it and closes both again.
func (t *tool) operate(ctx context.Context, f func(*engine.Engine) error) error {
	return t.with(ctx, forWriting, func(s store.Store) error { return withEngine(ctx, s, f) })
}

func withEngine(ctx context.Context, s store.Store, f func(*engine.Engine) error) error {
	e, err := engine.Open(ctx, s, nil)
	if err != nil {
		return err
	}
	return errors.Join(f(e), e.Close())
}

// explain is err in words for people, with a remedy where one is known.
func explain(err error) string {
	var unknown *query.NotFoundError
	switch {
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.As(err, &unknown) && unknown.Node == "":
		return message(err) + "\n'statusctl list -name NAME' finds the ID of a task by its name, -text by a part of it."
	case errors.Is(err, store.ErrCorrupt):
		return message(err) + "\n'statusctl salvage' copies what can still be read of a damaged file."
	case errors.Is(err, store.ErrLocked):
		return message(err) + "\nIts runner, or another command, has it open. If that serves HTTP (-http, serve), read it there,\nwith -db http://HOST:PORT instead of the file. Otherwise try again later, or look at a backup."
	}
	return message(err)
}
