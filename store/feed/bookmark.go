package feed

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/pipestatus/pipestatus/store"
)

// Bookmark keeps the position of one consumer of a feed. [File] and [Memory] are
// bookmarks. A consumer that writes to a database can implement one that saves the
// position there, in the same transaction.
type Bookmark interface {
	// Load returns the position that was saved last. found is false if no
	// position has been saved.
	Load(ctx context.Context) (at store.Position, found bool, err error)
	// Save replaces the position. When it returns nil, the position survives a
	// crash. After an error, the bookmark holds either the old or the new position.
	Save(ctx context.Context, at store.Position) error
}

// File returns a bookmark in a file with one line of text. Save replaces the file
// atomically and syncs it. It uses a temporary file named path.tmp, which a killed
// process may leave and the next Save removes. Only the owner can read or write the
// file. If the file holds anything else, Load returns an error that matches
// [state.ErrInvalidArgument], and [Follow] never overwrites the file.
func File(path string) Bookmark { return file(path) }

type file string

// longest is more than the length of any position.
const longest = 256

func (f file) Load(context.Context) (store.Position, bool, error) {
	r, err := os.Open(string(f))
	if errors.Is(err, os.ErrNotExist) {
		return store.Position{}, false, nil
	}
	if err != nil {
		return store.Position{}, false, err
	}
	defer func() { _ = r.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(r, longest))
	if err != nil {
		return store.Position{}, false, err
	}
	at, err := store.ParsePosition(strings.TrimSuffix(string(text), "\n"))
	if err != nil {
		return at, false, invalid("%s is no bookmark", string(f))
	}
	return at, true, nil
}

func (f file) Save(_ context.Context, at store.Position) error {
	name := string(f) + ".tmp"
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	w, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = w.WriteString(at.String() + "\n")
	err = errors.Join(err, w.Sync(), w.Close())
	if err == nil {
		err = os.Rename(name, string(f))
	}
	if err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return syncDir(filepath.Dir(string(f)))
}

// syncDir makes a rename in a directory durable.
func syncDir(name string) error {
	if runtime.GOOS == "windows" { // directories cannot be synced there
		return nil
	}
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Memory is a bookmark that does not outlive the process, for tests and for
// consumers that start from the beginning each time. The zero Memory has no
// position. It may be used from many goroutines.
type Memory struct {
	mu    sync.Mutex // protects everything below
	at    store.Position
	found bool
}

// Load implements [Bookmark].
func (m *Memory) Load(context.Context) (at store.Position, found bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at, m.found, nil
}

// Save implements [Bookmark].
func (m *Memory) Save(_ context.Context, at store.Position) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at, m.found = at, true
	return nil
}
