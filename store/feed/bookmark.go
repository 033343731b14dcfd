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

// Bookmark keeps, durably, how far one consumer of a feed has come. [File] and
// [Memory] are bookmarks; a consumer that writes to a database can keep its own
// there, in the same transaction.
type Bookmark interface {
	// Load returns the position that was saved last. found is false if none
	// ever was.
	Load(ctx context.Context) (at store.Position, found bool, err error)
	// Save replaces the position. When it returns nil, the position survives a
	// crash; after an error either the old or the new one is there.
	Save(ctx context.Context, at store.Position) error
}

// File returns a bookmark in a small file of its own, one line of text. Save
// replaces the file atomically and syncs it, with a temporary file named path.tmp
// that a killed process may leave and the next Save removes. The file belongs to
// its owner alone. A file that holds anything else is an error that matches
// [state.ErrInvalidArgument] and is never overwritten by [Follow].
func File(path string) Bookmark { return file(path) }

type file string

// longest is more than any position takes.
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
// consumers that begin anew each time. The zero Memory has no position yet. It may
// be used from many goroutines.
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
