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

// Backup implements [store.Backuper]. It writes everything back first, which needs
// room in the file. The writer may be slow, because the copy is complete in a nameless
// file next to the store's before the first byte is written. There must be room for
// this file; to copy from a full disk to another one, use [Store.BackupTo]. A store
// that was opened for reading only needs no such file, unless its journal has later
// transitions: then the file is among the system's temporary files.
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	if err := s.backup(ctx, w); err != nil {
		return fmt.Errorf("boltstore: backup: %w", err)
	}
	return nil
}

func (s *Store) backup(ctx context.Context, w io.Writer) error {
	if s.opts.ReadOnly && s.allWrittenBack() { // no writer waits for the transaction
		return s.copyPages(ctx, w)
	}
	if s.opts.ReadOnly {
		return s.spooled(ctx, w, filepath.Join(os.TempDir(), filepath.Base(s.at.Real)), false, s.compactInto)
	}
	pages := func(ctx context.Context, f *os.File) error { return s.copyPages(ctx, f) }
	err := s.spooled(ctx, w, s.at.Real, true, pages)
	if errors.Is(err, errNoRoomToWriteBack) {
		err = s.spooled(ctx, w, s.at.Real, false, s.compactInto)
	}
	return err
}

// spooled makes a copy in a temporary file near a path, and then writes the
// copy to w. A nameless file is removed at once, where the system can.
func (s *Store) spooled(ctx context.Context, w io.Writer, near string, nameless bool, copyTo func(ctx context.Context, f *os.File) error) (err error) {
	spool, err := files.Temp(near, 0o600)
	if err != nil {
		return full(s.path, err)
	}
	// Where open files cannot be removed, it is removed after it is closed.
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
	_, err = io.Copy(canceled{ctx, w}, spool)
	return err
}

// copyPages copies the file in one long transaction, so the file may grow while
// writers continue. The copy is a new instance without a journal.
func (s *Store) copyPages(ctx context.Context, w io.Writer) error {
	return s.viewWrittenBack(ctx, func(tx *bolt.Tx, file *boltFile, _ *pages.Meta) error {
		old := bytes.Clone(metaBucket.in(tx).Get(keyJournal))
		if _, err := decodePairing(old); err != nil {
			return err
		}
		at, err := file.recordAt(tx, keyJournal, old)
		if err != nil {
			return err
		}
		made := pairing{instance: newID()}
		return writeTo(tx, &patched{w: canceled{ctx, w}, at: at, patch: made.record()})
	})
}

// compactInto copies the store into a file without its free room. Transitions that
// cannot be written back, in a full store or one that is open for reading only, are
// copied from the overlay, and commits wait during this.
func (s *Store) compactInto(ctx context.Context, f *os.File) error {
	err := errNoRoomToWriteBack
	if !s.opts.ReadOnly {
		err = s.viewWrittenBack(ctx, func(tx *bolt.Tx, file *boltFile, meta *pages.Meta) error {
			return s.copyInto(ctx, tx, file, meta, nil, f.Name(), journal.ID{})
		})
	}
	if !errors.Is(err, errNoRoomToWriteBack) {
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

// copyAllInto copies the file and the overlay. The caller has the turn, and no
// write-back runs.
func (s *Store) copyAllInto(ctx context.Context, path string, last journal.ID) error {
	var meta pages.Meta
	return s.view(ctx, func() { meta, _ = pages.ReadMeta(s.file, s.pageSize) }, func(tx *bolt.Tx) error {
		return s.copyInto(ctx, tx, s.boltFile, &meta, &s.overlay, path, last)
	})
}

// errNoRoomToWriteBack says that the overlay cannot be written back.
var errNoRoomToWriteBack = errors.New("the file has no room for the transitions in the journal")

// allWrittenBack reports whether the file has all transitions.
func (s *Store) allWrittenBack() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.overlay.transitions() == 0
}

// viewWrittenBack runs f in a read transaction of a file that has all commits from before
// the call, with the meta page of the transaction. In a store that was opened for
// reading only, the overlay stays.
func (s *Store) viewWrittenBack(ctx context.Context, f func(tx *bolt.Tx, file *boltFile, meta *pages.Meta) error) error {
	if err := s.writer.LockUntil(ctx); err != nil {
		return err
	}
	unlock := sync.OnceFunc(s.writer.Unlock)
	defer unlock()
	if err := s.state(); err != nil {
		return err
	}
	if err := s.drainOverlay(ctx, s.closing); isFull(err) || errors.Is(err, store.ErrFull) {
		return fmt.Errorf("%w: %w", errNoRoomToWriteBack, err)
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

// recordAt returns the offset in the file of the value of a record of the meta
// bucket.
func (f *boltFile) recordAt(tx *bolt.Tx, key, value []byte) (int64, error) {
	page, name := uint64(metaBucket.in(tx).RootPage()), key
	if page == 0 { // the bucket is part of a leaf of the root
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

// patched is a writer that replaces some of the bytes that pass through it.
type patched struct {
	w     io.Writer
	at    int64 // offset of the bytes to replace
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

// writeTo writes a copy of the file as the transaction sees it. It returns the
// error of w itself, of which bbolt keeps only the text.
func writeTo(tx *bolt.Tx, w io.Writer) error {
	own := keeper{w: w}
	_, err := tx.WriteTo(&own)
	return cmp.Or(own.err, err)
}

// keeper is a writer that keeps the error of another one.
type keeper struct {
	w   io.Writer
	err error
}

func (k *keeper) Write(p []byte) (n int, err error) {
	n, k.err = k.w.Write(p)
	return n, k.err
}

// canceled is a writer that fails when its context ends.
type canceled struct {
	ctx context.Context
	w   io.Writer
}

func (c canceled) Write(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.w.Write(p)
}

// BackupTo writes a backup to a new file, which appears under its name when it
// is complete and on disk. The error matches [state.ErrInvalidArgument] if the name
// is empty, [fs.ErrExist] if a file of that name exists, and [store.ErrFull] if
// there is no room for it. A process that is killed during this may leave an
// unfinished file with ".new-" in its name. If it has not been written to for a
// minute, the next store that opens or makes a file in that directory removes it.
func (s *Store) BackupTo(ctx context.Context, path string) error {
	err := files.WriteNew(path, s.opts.FileMode, func(f *os.File) error {
		if s.opts.ReadOnly && !s.allWrittenBack() {
			return s.compactInto(ctx, f)
		}
		if err := files.Lock(f, false, 0); err != nil {
			return err
		}
		err := s.copyPages(ctx, f)
		if errors.Is(err, errNoRoomToWriteBack) {
			err = errors.Join(files.Unlock(f), s.compactInto(ctx, f))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("boltstore: backup to %s: %w", path, full(path, err))
	}
	return nil
}
