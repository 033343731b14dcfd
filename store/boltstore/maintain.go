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

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Backup implements [store.Backuper]. The writer may take its time: the copy is
// complete in a nameless file next to the store's before the first byte is
// written, so there must be room for it; a full disk is copied to another one
// by [Store.BackupTo]. A store that was opened for reading only needs no such
// file.
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	if err := s.backup(ctx, w); err != nil {
		return fmt.Errorf("boltstore: backup: %w", err)
	}
	return nil
}

func (s *Store) backup(ctx context.Context, w io.Writer) (err error) {
	if s.opts.ReadOnly { // nobody waits for its transaction
		return s.copyPages(ctx, w)
	}
	spool, err := tempFile(s.at.real, 0o600)
	if err != nil {
		return full(s.path, err)
	}
	// Where open files cannot be removed it goes when it is closed.
	removed := remove(spool.Name()) == nil
	defer func() {
		if err = errors.Join(err, spool.Close()); !removed {
			err = errors.Join(err, remove(spool.Name()))
		}
	}()
	if err := s.copyPages(ctx, spool); err != nil {
		return full(s.path, err)
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err = io.Copy(cancelled{ctx, w}, spool)
	return err
}

// copyPages copies the file, in one long transaction, so the file may grow if
// writers go on.
func (s *Store) copyPages(ctx context.Context, w io.Writer) error {
	return s.view(ctx, func() {}, func(tx *bolt.Tx) error {
		return writeTo(tx, cancelled{ctx, w})
	})
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
// is complete and on disk. The error matches [fs.ErrExist] if there is a file
// of that name, and [store.ErrFull] if there is no room for it. A process that
// is killed meanwhile may leave an unfinished one with ".new-" in its name. Once
// nobody has written to it for a minute, the next store that opens or makes a
// file in that directory removes it.
func (s *Store) BackupTo(ctx context.Context, path string) error {
	err := writeNew(path, s.opts.FileMode, func(f *os.File) error {
		if err := lock(f, false, 0); err != nil {
			return err
		}
		return s.copyPages(ctx, f)
	})
	if err != nil {
		return fmt.Errorf("boltstore: backup to %s: %w", path, full(path, err))
	}
	return nil
}

// CompactTo is [Store.BackupTo] with all free room left out. It takes longer.
// Writers go on meanwhile.
func (s *Store) CompactTo(ctx context.Context, path string) error {
	if err := s.writer.LockUntil(ctx); err != nil {
		return err
	}
	unlock := sync.OnceFunc(s.writer.Unlock)
	defer unlock()
	err := writeNew(path, s.opts.FileMode, func(f *os.File) error { return s.copyInto(ctx, f.Name(), unlock) })
	if err != nil {
		return fmt.Errorf("boltstore: compact to %s: %w", path, full(path, err))
	}
	return nil
}

// copyBatch is how many bytes one transaction copies.
const copyBatch = 4 << 20

// copyInto copies every record into an empty file, which it syncs. Pages that
// are damaged are not copied: what they no longer lead to would be missing in the
// copy without a word. It is called with the writer lock held and calls begun
// when that may go.
func (s *Store) copyInto(ctx context.Context, path string, begun func()) error {
	dst, err := bolt.Open(path, s.opts.FileMode, &bolt.Options{FreelistType: bolt.FreelistMapType, NoGrowSync: true})
	if err != nil {
		return err
	}
	dst.NoSync = true // nobody knows the file yet
	var file *boltFile
	var meta bboltMeta
	read := func() {
		file = s.boltFile
		meta, _ = readMeta(file.file, file.pageSize)
		begun()
	}
	err = s.view(ctx, read, func(tx *bolt.Tx) error {
		problem := ""
		if !file.walkPages(ctx, tx, &meta, func(p string) { problem = cmp.Or(problem, p) }) {
			return cmp.Or(ctx.Err(), fmt.Errorf("%w: %s", store.ErrCorrupt, problem))
		}
		for b := range bucketCount {
			if err := copyBucket(ctx, dst, tx, b); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, dst.Sync(), dst.Close())
}

func copyBucket(ctx context.Context, dst *bolt.DB, src *bolt.Tx, b bucket) error {
	c := b.in(src).Cursor()
	k, v := c.First()
	for begun := false; !begun || k != nil; begun = true {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := dst.Update(func(tx *bolt.Tx) error {
			to, err := tx.CreateBucketIfNotExists([]byte(bucketNames[b]))
			if err != nil {
				return err
			}
			to.FillPercent = 0.9 // they come in order; some room for changes
			for n := 0; k != nil && n < copyBatch; k, v = c.Next() {
				n += len(k) + len(v)
				if err := to.Put(k, bytes.Clone(v)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Compact implements [store.Compacter]: it copies the file into a new one
// beside it, which takes the name of the old one when it is complete and on
// disk. Commits wait, readers do not: those that are reading go on with the old
// file. A process that is killed meanwhile leaves the old file or the new
// one, and maybe an unfinished one with ".new-" in its name, which the next
// Open removes. Where open files cannot be renamed, as on Windows, it returns
// an error; use [Store.CompactTo]. The error matches [store.ErrReplaced], and
// nothing changes, if the path leads to another file by now, or if the file has
// several names, by hard links.
func (s *Store) Compact(ctx context.Context) error {
	if err := s.writer.LockUntil(ctx); err != nil {
		return err
	}
	defer s.writer.Unlock()
	if err := s.writable(); err != nil {
		return err
	}
	s.writeBackAll()
	if err := s.replaceFile(ctx); err != nil {
		return fmt.Errorf("boltstore: compact %s: %w", s.path, full(s.path, err))
	}
	return nil
}

// replaceFile is called with the writer lock held.
func (s *Store) replaceFile(ctx context.Context) (err error) {
	path := s.at.real // a link stays a link
	if err := s.at.mayReplace(s.info); err != nil {
		return err
	}
	temp, err := tempFile(path, s.opts.FileMode)
	if err != nil {
		return err
	}
	name := temp.Name()
	defer func() { err = errors.Join(err, remove(name)) }()
	if info, err := s.file.Stat(); err == nil {
		_ = temp.Chmod(info.Mode().Perm()) // as far as that is ours to set
	}
	if err := errors.Join(temp.Close(), s.copyInto(ctx, name, func() {})); err != nil {
		return err
	}
	// Locked before it has the name, so that nobody comes in between.
	compacted, err := s.openBolt(name)
	if err != nil {
		return err
	}
	old, err := s.swap(compacted, name, path)
	return errors.Join(err, old.release())
}

// swap gives the new file the old one's name and place and returns the one
// that the store no longer uses: after an error, the new one.
func (s *Store) swap(compacted *boltFile, name, path string) (unused *boltFile, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return compacted, err
	}
	if err := s.at.mayReplace(s.info); err != nil { // again: copying takes a while
		return compacted, err
	}
	if err := os.Rename(name, path); err != nil {
		return compacted, err
	}
	unused, s.boltFile = s.boltFile, compacted
	if err := syncDir(filepath.Dir(path)); err != nil {
		// A power cut may bring the old file back, without what is committed
		// from now on.
		s.failed = fmt.Errorf("%w: %w", store.ErrFailed, err)
		return unused, s.failed
	}
	return unused, nil
}

// Stats implements [store.Statter].
func (s *Store) Stats(ctx context.Context) (stats store.Stats, err error) {
	var file *boltFile
	begun := func() {
		file = s.boltFile
		stats.Last, stats.Pending, stats.Checkpoint = s.last, s.overlay.pending, s.checkpoint
		free := s.db.Stats()
		stats.Free = int64(free.FreePageN+free.PendingPageN) * s.pageSize
	}
	err = s.view(ctx, begun, func(tx *bolt.Tx) error {
		info, err := file.file.Stat()
		if err != nil {
			return err
		}
		// What lies behind the last page in use was never written.
		stats.Bytes = info.Size()
		stats.Free += max(info.Size()-tx.Size(), 0)
		stats.First, stats.Oldest = stats.Last+1, state.Instant{}
		k, v := journalBucket.in(tx).Cursor().First()
		if k == nil {
			return nil
		}
		h, _, err := decodeFrameHead(k, v)
		stats.First, stats.Oldest = seqOf(k), h.recorded
		return err
	})
	if err != nil {
		return store.Stats{}, fmt.Errorf("boltstore: stats: %w", err)
	}
	return stats, nil
}
