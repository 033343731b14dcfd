package boltstore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/files"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/journal"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/pages"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/steps"
)

// CompactTo is [Store.BackupTo] without the free room of the file. It takes longer.
// Writers continue during it.
func (s *Store) CompactTo(ctx context.Context, path string) error {
	err := files.WriteNew(path, s.opts.FileMode, func(f *os.File) error { return s.compactInto(ctx, f) })
	if err != nil {
		return fmt.Errorf("boltstore: compact to %s: %w", path, full(path, err))
	}
	return nil
}

// copyBatch is the number of bytes that one transaction copies.
const copyBatch = 4 << 20

// copyInto copies every record into an empty file, which it syncs. It refuses
// damaged pages: the records that such pages no longer lead to would be
// silently missing in the copy. The caller read the meta page when the
// transaction began. Unless the overlay is nil, it is written into the copy
// too.
func (s *Store) copyInto(ctx context.Context, tx *bolt.Tx, file *boltFile, meta *pages.Meta, o *overlay, path string, last journal.ID) error {
	dst, err := bolt.Open(path, s.opts.FileMode, &bolt.Options{FreelistType: bolt.FreelistMapType, NoGrowSync: true})
	if err != nil {
		return err
	}
	dst.NoSync = true // the end syncs everything
	copyAll := func() error {
		problem := ""
		if !file.walkPages(ctx, tx, meta, func(p string) { problem = cmp.Or(problem, p) }) {
			return cmp.Or(ctx.Err(), fmt.Errorf("%w: %s", store.ErrCorrupt, problem))
		}
		for b := range bucketCount {
			if err := copyBucket(ctx, dst, tx, b); err != nil {
				return err
			}
		}
		return dst.Update(func(to *bolt.Tx) error {
			seq, err := s.writeOverlay(to, o)
			if err != nil {
				return err
			}
			return recordCopy(metaBucket.in(to), seq, last)
		})
	}
	if err := errors.Join(copyAll(), dst.Sync(), dst.Close()); err != nil {
		return err
	}
	steps.Done(steps.Written, path)
	return nil
}

// writeOverlay writes the overlay into a copy of the file and returns the new
// checkpoint.
func (s *Store) writeOverlay(tx *bolt.Tx, o *overlay) (uint64, error) {
	at, err := decodeCheckpoint(metaBucket.in(tx).Get(keyCheckpoint))
	if err != nil || o == nil {
		return at.seq, err
	}
	for _, g := range slices.Backward(o.generations()) {
		if g.last <= at.seq {
			continue
		}
		if err := s.writeGeneration(tx, g, unexamined); err != nil {
			return 0, err
		}
		at.seq = g.last
	}
	return at.seq, nil
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
			to.FillPercent = 0.9 // keys come in order; leave some room for changes
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

// Compact implements [store.Compacter]: it copies the file into a new one in the same
// directory, which takes the name of the old one when it is complete and on disk.
// Commits wait; readers do not, and continue with the old file. A process that is
// killed during this leaves the old file or the new one, and maybe an unfinished one
// with ".new-" in its name, which the next Open removes. Where open files cannot be
// renamed, as on Windows, it returns an error; use [Store.CompactTo]. The error matches
// [store.ErrReplaced], and nothing changes, if the path now leads to another file, or
// if the file has several names (hard links).
func (s *Store) Compact(ctx context.Context) error {
	if err := s.writer.LockUntil(ctx); err != nil {
		return err
	}
	defer s.writer.Unlock()
	if err := s.writable(); err != nil {
		return err
	}
	if s.phase == writing {
		if err := s.await(ctx, s.closing); err != nil {
			return err
		}
	}
	if err := s.replaceFile(ctx); err != nil {
		return fmt.Errorf("boltstore: compact %s: %w", s.path, full(s.path, err))
	}
	return nil
}

// replaceFile replaces the file by a compacted copy. The caller has the turn,
// and no write-back runs.
func (s *Store) replaceFile(ctx context.Context) (err error) {
	path := s.at.Real // not the link that leads to it
	if err := s.at.MayReplace(s.info); err != nil {
		return err
	}
	temp, err := files.Temp(path, s.opts.FileMode)
	if err != nil {
		return err
	}
	name := temp.Name()
	defer func() { err = errors.Join(err, files.Remove(name)) }()
	if info, err := s.file.Stat(); err == nil {
		_ = errors.Join(temp.Chmod(info.Mode().Perm()), files.Chown(temp, info)) // as far as permitted
	}
	var last journal.ID
	if s.journal != nil {
		last = s.journal.ID()
	}
	err = temp.Close()
	if err == nil {
		err = s.copyAllInto(ctx, name, last)
	}
	if err != nil {
		return err
	}
	// Locked before it has the name, so that no other process opens it first.
	compacted, err := s.openBolt(name)
	if err != nil {
		return err
	}
	old, err := s.swap(compacted, name, path)
	return errors.Join(err, old.release())
}

// swap renames the new file to the old one's name and makes the store use it.
// It returns the file that the store no longer uses; after an error that may be
// the new one. The new file has everything, so the journal is removed.
func (s *Store) swap(compacted *boltFile, name, path string) (unused *boltFile, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usableLocked(); err != nil {
		return compacted, err
	}
	if err := s.at.MayReplace(s.info); err != nil { // again, since copying takes long
		return compacted, err
	}
	if err := files.Rename(name, path); err != nil {
		return compacted, err
	}
	unused, s.boltFile = s.boltFile, compacted
	if err := errors.Join(files.SyncDir(filepath.Dir(path)), s.reloadLocked()); err != nil {
		// A power cut may bring the old file back, which would lose all later
		// commits.
		s.failed = fmt.Errorf("%w: %w", store.ErrFailed, err)
		return unused, s.failed
	}
	return unused, nil
}

// reload switches to a new file, which has everything, and ends the journal.
func (s *Store) reloadLocked() error {
	var err error
	if s.journal != nil {
		err = errors.Join(s.journal.Close(), s.removeJournal(s.journalPath()))
		s.journal = nil
	}
	s.phase, s.overlay = idle, newOverlay()
	return errors.Join(err, s.db.View(func(tx *bolt.Tx) error {
		at, p, err := readMetaRecords(tx, schemaVersion)
		if err != nil {
			return err
		}
		s.instance, s.checkpoint, s.base = p.instance, at.seq, tx.ID()
		s.mark, err = s.readMark(at.seq)
		s.ahead, s.atOnce = make(map[uint64]struct{}), removalsAtOnce
		s.measureRoom()
		return err
	}))
}

// Stats implements [store.Statter].
func (s *Store) Stats(ctx context.Context) (stats store.Stats, err error) {
	var file *boltFile
	var first feedRecord
	begun := func() {
		file = s.boltFile
		stats.Last, stats.Pending, stats.Checkpoint = s.last, s.overlay.transitions(), s.checkpoint
		for _, g := range s.overlay.generations() {
			if len(g.records) > 0 {
				first = g.records[0]
			}
		}
		free := s.db.Stats()
		stats.Free = int64(free.FreePageN+free.PendingPageN) * s.pageSize
	}
	err = s.view(ctx, begun, func(tx *bolt.Tx) error {
		info, err := file.file.Stat()
		if err != nil {
			return err
		}
		// The pages after the last one in use were never written.
		stats.Bytes = info.Size()
		stats.Free += max(info.Size()-tx.Size(), 0)
		if journal, err := os.Stat(s.journalPath()); err == nil {
			stats.Bytes += journal.Size()
		}
		if stats.First, stats.Oldest = first.first, first.recorded; first.first == 0 {
			stats.First = stats.Last + 1
		}
		k, v := feedBucket.in(tx).Cursor().First()
		if k == nil {
			return nil
		}
		h, _, err := decodeFeedHead(k, v)
		stats.First, stats.Oldest = seqOf(k), h.recorded
		return err
	})
	if err != nil {
		return store.Stats{}, fmt.Errorf("boltstore: stats: %w", err)
	}
	return stats, nil
}
