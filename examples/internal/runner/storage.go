package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pipestatus/pipestatus/examples/internal/database"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

// storage is a database that is open.
type storage struct {
	store.Store
	// leases is the store if other processes can use it too, nil for a file,
	// which only one process can have open.
	leases store.Leaser
}

// open opens the database that -db names. It makes a new one, unless the call is
// to resume what is recorded in it.
func (c *call) open(ctx context.Context) (*storage, error) {
	if database.OnServer(c.db) {
		return c.openOnServer(ctx)
	}
	if err := c.databaseFile(); err != nil {
		return nil, err
	}
	s, err := boltstore.Open(c.db, nil)
	if err != nil {
		return nil, err
	}
	return &storage{Store: s}, nil
}

func (c *call) openOnServer(ctx context.Context) (*storage, error) {
	s, err := c.servers.Open(ctx, c.db, database.Options{Create: !c.resume || c.standby, Run: true, Owner: c.owner, Lease: c.lease})
	var unknown *database.UnknownError
	if errors.As(err, &unknown) {
		return nil, &usageError{err.Error()}
	}
	if err != nil {
		return nil, err
	}
	leases, shared := s.(store.Leaser)
	if !shared {
		return nil, errors.Join(fmt.Errorf("%s cannot be shared by runners", c.where()), s.Close())
	}
	return &storage{Store: s, leases: leases}, nil
}

// databaseFile sets the path of a new database, or checks that of an old one.
func (c *call) databaseFile() error {
	if c.resume {
		if _, err := os.Stat(c.db); err != nil {
			return &usageError{"nothing to resume: " + err.Error()}
		}
	}
	if c.db == "" {
		dir, err := os.MkdirTemp("", "runner-")
		if err != nil {
			return err
		}
		c.db = filepath.Join(dir, "pipeline.db")
	}
	return nil
}

// where is the database as it may be printed.
func (c *call) where() string { return database.Shown(c.db) }
