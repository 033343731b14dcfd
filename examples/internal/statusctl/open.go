package statusctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

// memory in place of a file name is a store that begins empty and is gone in
// the end.
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

// create opens the database for writing and makes it if there is none.
func (t *tool) create() (store.Store, error) {
	switch t.db {
	case "":
		return nil, &usageError{problem: "-db is empty"}
	case memory:
		return store.NewMemory(), nil
	}
	return boltstore.Open(t.db, nil)
}

// open opens a database that exists.
func (t *tool) open() (*boltstore.Store, error) {
	if err := t.exists(); err != nil {
		return nil, err
	}
	return boltstore.Open(t.db, nil)
}

// exists returns an error unless -db names a file that is there.
func (t *tool) exists() error {
	switch t.db {
	case "":
		return &usageError{problem: "-db is empty"}
	case memory:
		return &usageError{problem: "-db :memory: is for apply only"}
	}
	if _, err := os.Stat(t.db); err != nil {
		return fmt.Errorf("no database to read, see -db: %w", err)
	}
	return nil
}

// maintain opens a database that exists, has f work on it and closes it again.
func (t *tool) maintain(f func(*boltstore.Store) error) error {
	s, err := t.open()
	if err != nil {
		return err
	}
	return errors.Join(f(s), s.Close())
}

// read opens the database, has f read it and closes it again.
func (t *tool) read(f func(*reader) error) error {
	return t.maintain(func(s *boltstore.Store) error { return f(newReader(s, t.zone)) })
}

// operate opens the database, has f work on it through an engine and closes
// both again.
func (t *tool) operate(ctx context.Context, f func(*engine.Engine) error) error {
	return t.maintain(func(s *boltstore.Store) error {
		e, err := engine.Open(ctx, s, nil)
		if err != nil {
			return err
		}
		return errors.Join(f(e), e.Close())
	})
}

// explain is err as a person reads it, with what to do about it where that is
// known.
func explain(err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.Is(err, store.ErrCorrupt):
		return message(err) + "\nOf a damaged file, salvage copies what can still be read."
	case errors.Is(err, store.ErrLocked):
		return message(err) + "\nIts runner, or another command, has it open. Ask the runner (-http), or look at a backup."
	}
	return message(err)
}
