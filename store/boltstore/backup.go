package boltstore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/files"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/journal"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/pages"
)

// Backup implements [store.Backuper]. It writes everything back first, which it
// needs room in the file for. The writer may take its time: the copy is complete
// in a nameless file next to the store's before the first byte is written, so
// there must be room for it; a full disk is copied to another one by
// [Store.BackupTo]. A store that was opened for reading only needs no such file,
// unless its journal has what the file has not: then it is made among the
// system's temporary files.
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	if err := s.backup(ctx, w); err != nil {
		return fmt.Errorf("boltstore: backup: %w", err)
	}
	return nil
}

func (s *Store) backup(ctx context.Context, w io.Writer) error {
	if s.opts.ReadOnly && s.settled() { // nobody waits for its transaction
		return s.copyPages(ctx, w)
	}
	if s.opts.ReadOnly {
		return s.spooled(ctx, w, filepath.Join(os.TempDir(), filepath.Base(s.at.Real)), false, s.compactInto)
	}
	pages := func(ctx context.Context, f *os.File) error { return s.copyPages(ctx, f) }
	err := s.spooled(ctx, w, s.at.Real, true, pages)
	if errors.Is(err, errUnsettled) {
		err = s.spooled(ctx, w, s.at.Real, false, s.compactInto)
	}
	return err
}

// spooled makes a copy in a temporary file near a path, nameless if it may be,
// and then writes it.
func (s *Store) spooled(ctx context.Context, w io.Writer, near string, nameless bool, copyTo func(ctx context.Context, f *os.File) error) (err error) {
	spool, err := files.Temp(near, 0o600)
	if err != nil {
		return full(s.path, err)
	}
	// Where open files cannot be removed it goes when it is closed.
	removed := nameless && files.Remove(spool.Name()) == nil
	defer func() {
		if err = errors.Join(err, spool.Close()); !removed {
			err = errors.Join(err, files.Remove(spool.Name()))
		}
	}()
	if err := copyTo(ctx, spool); err != nil {
		return full(s.path, err)
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err = io.Copy(cancelled{ctx, w}, spool)
	return err
}

// copyPages copies the file, in one long transaction, so the file may grow if
// writers go on. The copy is an instance of its own, without a journal.
func (s *Store) copyPages(ctx context.Context, w io.Writer) error {
	return s.settledView(ctx, func(tx *bolt.Tx, file *boltFile, _ *pages.Meta) error {
		old := bytes.Clone(metaBucket.in(tx).Get(keyJournal))
		if _, err := decodePairing(old); err != nil {
			return err
		}
		at, err := file.recordAt(tx, keyJournal, old)
		if err != nil {
			return err
		}
		made := pairing{instance: newID()}
		return writeTo(tx, &patched{w: cancelled{ctx, w}, at: at, patch: made.record()})
	})
}

// compactInto copies the store into a file without its free room. What cannot be
// written back, in a full store or one that is open for reading only, is copied
// from the overlay, and commits wait that long.
func (s *Store) compactInto(ctx context.Context, f *os.File) error {
	err := errUnsettled
	if !s.opts.ReadOnly {
		err = s.settledView(ctx, func(tx *bolt.Tx, file *boltFile, meta *pages.Meta) error {
			return s.copyInto(ctx, tx, file, meta, nil, f.Name(), journal.ID{})
		})
	}
	if !errors.Is(err, errUnsettled) {
		return err
	}
	if err := s.writer.LockUntil(ctx); err != nil {
		return err
	}
	defer s.writer.Unlock()
	if s.phase == writing {
		if err := s.await(ctx, s.closing); err != nil {
			return err
		}
	}
	return s.copyAllInto(ctx, f.Name(), journal.ID{})
}

// copyAllInto copies the file and the overlay. It is called with the turn, while
// nothing is being written back.
func (s *Store) copyAllInto(ctx context.Context, path string, last journal.ID) error {
	var meta pages.Meta
	return s.view(ctx, func() { meta, _ = pages.ReadMeta(s.file, s.pageSize) }, func(tx *bolt.Tx) error {
		return s.copyInto(ctx, tx, s.boltFile, &meta, &s.overlay, path, last)
	})
}

// errUnsettled says that there is no room to write everything back.
var errUnsettled = errors.New("the file has no room for what the journal has")

// settled reports whether the file has everything.
func (s *Store) settled() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.overlay.transitions() == 0
}

// settledView runs f in a read transaction of a file that has everything that
// was committed before the call, with the meta page of the transaction. What a
// store has that was opened for reading only stays in the overlay.
func (s *Store) settledView(ctx context.Context, f func(tx *bolt.Tx, file *boltFile, meta *pages.Meta) error) error {
	if err := s.writer.LockUntil(ctx); err != nil {
		return err
	}
	unlock := sync.OnceFunc(s.writer.Unlock)
	defer unlock()
	if err := s.state(); err != nil {
		return err
	}
	if err := s.settle(ctx, s.closing); isFull(err) || errors.Is(err, store.ErrFull) {
		return fmt.Errorf("%w: %w", errUnsettled, err)
	} else if err != nil {
		return err
	}
	var file *boltFile
	var meta pages.Meta
	begun := func() {
		file = s.boltFile
		meta, _ = pages.ReadMeta(file.file, file.pageSize)
		unlock()
	}
	return s.view(ctx, begun, func(tx *bolt.Tx) error { return f(tx, file, &meta) })
}

// recordAt is where in the file the value of a record of the meta bucket is.
func (f *boltFile) recordAt(tx *bolt.Tx, key, value []byte) (int64, error) {
	page, name := uint64(metaBucket.in(tx).RootPage()), key
	if page == 0 { // the bucket lies within a leaf of the root
		page, name = uint64(tx.Cursor().Bucket().RootPage()), []byte(bucketNames[metaBucket])
	}
	for {
		p, err := pages.Read(f.file, f.pageSize, page, uint64(tx.Size()/f.pageSize))
		if err != nil {
			return 0, err
		}
		if p.Flags() != pages.Branch {
			return p.Find(append(bytes.Clone(key), value...), len(key))
		}
		first := true
		for i := range min(p.Count(), p.Room()) {
			e := p.Element(i)
			k, err := p.Part(e.Key, e.Value)
			if err != nil {
				return 0, err
			}
			if first || bytes.Compare(k, name) <= 0 {
				page, first = e.Child, false
			}
		}
	}
}

// patched is a writer that replaces some bytes of what it is given.
type patched struct {
	w     io.Writer
	at    int64 // where they are
	patch []byte
	done  int64
}

func (p *patched) Write(b []byte) (int, error) {
	from, to := max(p.at, p.done), min(p.at+int64(len(p.patch)), p.done+int64(len(b)))
	if from < to {
		b = bytes.Clone(b)
		copy(b[from-p.done:to-p.done], p.patch[from-p.at:])
	}
	n, err := p.w.Write(b)
	p.done += int64(n)
	return n, err
}

// writeTo writes what the transaction reads. The error is the writer's own, of
// which bbolt keeps the text alone.
func writeTo(tx *bolt.Tx, w io.Writer) error {
	own := keeper{w: w}
	_, err := tx.WriteTo(&own)
	return cmp.Or(own.err, err)
}

// keeper keeps the error of a writer.
type keeper struct {
	w   io.Writer
	err error
}

func (k *keeper) Write(p []byte) (n int, err error) {
	n, k.err = k.w.Write(p)
	return n, k.err
}

// cancelled is a writer that fails when its context ends.
type cancelled struct {
	ctx context.Context
	w   io.Writer
}

func (c cancelled) Write(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.w.Write(p)
}

// BackupTo writes a backup to a new file, which appears under its name when it
// is complete and on disk. The error matches [state.ErrInvalidArgument] if the name
// is empty, [fs.ErrExist] if there is a file of that name, and [store.ErrFull] if
// there is no room for it. A process that
// is killed meanwhile may leave an unfinished one with ".new-" in its name. Once
// nobody has written to it for a minute, the next store that opens or makes a
// file in that directory removes it.
func (s *Store) BackupTo(ctx context.Context, path string) error {
	err := files.WriteNew(path, s.opts.FileMode, func(f *os.File) error {
		if s.opts.ReadOnly && !s.settled() {
			return s.compactInto(ctx, f)
		}
		if err := files.Lock(f, false, 0); err != nil {
			return err
		}
		err := s.copyPages(ctx, f)
		if errors.Is(err, errUnsettled) {
			err = errors.Join(files.Unlock(f), s.compactInto(ctx, f))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("boltstore: backup to %s: %w", path, full(path, err))
	}
	return nil
}
