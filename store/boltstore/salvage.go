package boltstore

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/files"
)

// Salvaged counts the tasks of a damaged file.
type Salvaged struct {
	Whole  int // copied completely, as far as is known
	Partly int // copied without parts that could not be read
	Lost   int // not copied, although some of their records were found
}

// Salvage copies the readable parts of a damaged file into a new store and calls report,
// which may be nil, for each unreadable part. It only reads the damaged file, page by
// page, so that an unreadable page loses only its own records; it also reads pages that
// no page refers to any more, unless they are known to be free.
//
// A task with complete and consistent transitions is copied completely. Otherwise, if
// all its nodes and attempts are readable, these are copied with every value, but with
// transitions that are made from them, by the actor "salvage". Otherwise the task is
// copied as of the last transition before the first missing one. The latest transitions
// of complete tasks may have been only in an unreadable part of the journal, which is
// reported by its place. The new store assigns new sequences and revisions.
//
// A task of which only the business and task ID can be read, in the index of keys, is
// reported as lost. The list of free pages, which has no checksum, decides whether an
// unreferenced page is free. If the list does not agree with the pages in use, or if
// pages are in neither, the report says that removed tasks may be among the copied ones.
//
// The new file appears when it is complete and on disk. On an error there is no new
// file: the error matches [state.ErrInvalidArgument] if path does not name a file,
// [store.ErrLocked] if another process has the damaged file open,
// [store.ErrIncompatible] if a newer version wrote it, [store.ErrCorrupt] if it has no
// readable part of a store, [fs.ErrExist] if the new file exists, and [store.ErrFull] if
// there is no room for it.
func Salvage(ctx context.Context, path, newPath string, report func(problem string)) (done Salvaged, err error) {
	if report == nil {
		report = func(string) {}
	}
	err = guard(func() (err error) {
		done, err = salvage(ctx, path, newPath, report)
		return err
	})
	if err != nil {
		return Salvaged{}, fmt.Errorf("boltstore: salvage %s to %s: %w", path, newPath, full(newPath, err))
	}
	return done, nil
}

func salvage(ctx context.Context, path, newPath string, report func(string)) (done Salvaged, err error) {
	// Checked before opening, since opening a pipe waits for its writer.
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return done, cmp.Or(err, errNotRegular)
	}
	file, err := os.Open(path)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	unlock, err := lockDamaged(path)
	if err != nil {
		return done, err
	}
	defer unlock()
	if err := files.Vacant(newPath); err != nil {
		return done, err
	}
	files.RemoveAbandoned(newPath)
	// The scratch file and the new store are made in a temporary directory next
	// to newPath.
	dir, err := os.MkdirTemp(filepath.Dir(newPath), files.TempName(newPath)+"*")
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	scratch, err := newScratch(filepath.Join(dir, files.SalvageScratch))
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, scratch.close()) }()
	if err := newDamagedFile(file, scratch, report).search(ctx); err != nil {
		return done, err
	}
	name := filepath.Join(dir, files.SalvageStore)
	if done, err = scratch.rebuild(ctx, name, report); err != nil {
		return done, err
	}
	if err := files.Publish(name, newPath, fs.ErrExist); err != nil {
		return done, err
	}
	return done, files.SyncDir(filepath.Dir(newPath))
}

// lockDamaged keeps other processes from opening a file for writing, if bbolt
// can open the file at all. If bbolt cannot, no store can be opened on it
// either.
func lockDamaged(path string) (unlock func(), err error) {
	var file *os.File
	var db *bolt.DB
	panicked := true
	err = guard(func() (err error) {
		db, err = bolt.Open(path, 0, &bolt.Options{
			ReadOnly: true, Timeout: time.Second,
			OpenFile: func(name string, flag int, mode fs.FileMode) (*os.File, error) {
				file, err = os.OpenFile(name, flag&^os.O_CREATE, mode)
				return file, err
			},
		})
		panicked = false
		return err
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, store.ErrLocked
	case panicked:
		return func() { _ = abandon(file) }, nil
	case err != nil:
		return func() {}, nil
	}
	return func() { _ = guard(db.Close) }, nil
}

// scratch has the records found in a damaged file, by task: a temporary file
// with the same buckets and records as a store, and three more buckets.
type scratch struct {
	db    *bolt.DB
	tx    *bolt.Tx
	size  int    // bytes that tx has put
	upTo  uint64 // the checkpoint, 0 if it was not found
	stale bool   // free pages were read too, since it is not known which ones are free
}

var (
	// piecesBucket has the pieces of the feed and the journal: blockKey -> count,
	// business, task, block.
	piecesBucket = []byte("pieces")
	// numbersBucket has the number of every task with a record: number ->
	// empty, or "deleted".
	numbersBucket = []byte("numbers")
	// keyedBucket has the tasks of the index of keys: number -> business, task.
	keyedBucket = []byte("keyed")
)

func newScratch(path string) (*scratch, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoSync: true, NoFreelistSync: true, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		if err := initialise(tx); err != nil {
			return err
		}
		_, pieces := tx.CreateBucket(piecesBucket)
		_, numbers := tx.CreateBucket(numbersBucket)
		_, keyed := tx.CreateBucket(keyedBucket)
		return errors.Join(pieces, numbers, keyed)
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &scratch{db: db}, nil
}

func (f *scratch) close() (err error) {
	if f.tx != nil {
		err = f.tx.Rollback()
	}
	return errors.Join(err, f.db.Close())
}

// put adds a record, unless there is one with the same key that better prefers.
func (f *scratch) put(bucket, k, v []byte, better func(old []byte) bool) (err error) {
	if f.tx == nil {
		if f.tx, err = f.db.Begin(true); err != nil {
			return err
		}
	}
	b := f.tx.Bucket(bucket)
	if old := b.Get(k); old != nil && !better(old) {
		return nil
	}
	if err := b.Put(k, v); err != nil {
		return err
	}
	if f.size += len(k) + len(v); f.size < copyBatch {
		return nil
	}
	return f.flush()
}

func (f *scratch) flush() error {
	if f.tx == nil {
		return nil
	}
	err := f.tx.Commit()
	f.tx, f.size = nil, 0
	return err
}

func never([]byte) bool { return false }

// indexedKey adds an entry of the index of keys; ok is false if k and v are not
// such an entry.
func (f *scratch) indexedKey(k, v []byte) (ok bool, err error) {
	number, err := decodeNumber(v)
	if _, bad := keyOf(k); bad || err != nil {
		return false, nil
	}
	return true, f.put(keyedBucket, seqKey(number), k, never)
}

// keyOf returns the task of a key in the index of keys.
func keyOf(k []byte) (key state.Key, bad bool) {
	d := decoder{b: k}
	key = state.Key{Business: d.id(), Task: d.id()}
	return key, d.bad || d.left() > 0 || key.Validate() != nil
}

// record adds a sealed record of the file.
func (f *scratch) record(b bucket, k, v []byte) error {
	switch b {
	case feedBucket:
		return f.frame(k, v)
	case dataBucket:
		return f.data(put{k, v})
	}
	better := never
	switch b {
	case tasksBucket:
		found, err := decodeTask(k, v)
		if err != nil {
			return err
		}
		better = func(old []byte) bool { t, err := decodeTask(k, old); return err != nil || t.Revision < found.Revision }
	case nodesBucket:
		return f.group(k, v)
	case transitionsBucket:
		better = func(old []byte) bool { return len(old) < len(v) }
	}
	if err := f.put([]byte(bucketNames[b]), k, v, better); err != nil {
		return err
	}
	return f.put(numbersBucket, k[:8], nil, never)
}

// group adds the nodes of a record of the nodes bucket, each as a separate
// record, because another copy of the group may have a newer version of some
// nodes and an older one of others.
func (f *scratch) group(k, v []byte) error {
	g, err := decodeGroup(k, v)
	if err != nil {
		return err
	}
	if g.header != nil {
		at := k[:8:8]
		if err := f.record(tasksBucket, at, seal(at, bytes.Clone(g.header))); err != nil {
			return err
		}
	}
	err = eachNode(k, v, func(index int, node []byte) error {
		var found state.Node
		if err := decodeNode(node, &found); err != nil {
			return err
		}
		at := nodeKey(seqOf(k[:8]), index)
		return f.put([]byte(bucketNames[nodesBucket]), at, seal(at, bytes.Clone(node)), func(old []byte) bool {
			var n state.Node
			kept, err := decodeGroup(at, old)
			return err != nil || decodeNode(kept.rest, &n) != nil || found.Updated.After(n.Updated)
		})
	})
	return errors.Join(err, f.put(numbersBucket, k[:8], nil, never))
}

// data adds an input or output. It does not count as a record of its task,
// since it is of no use without the task.
func (f *scratch) data(p put) error {
	return f.put([]byte(bucketNames[dataBucket]), p.key, p.value, never)
}

// frame adds the pieces of a record of the feed or the journal.
func (f *scratch) frame(k, v []byte) error {
	pieces, err := decodeFeed(k, v)
	if err != nil {
		return err
	}
	for i := range pieces {
		p := &pieces[i]
		trs, err := p.transitions(p.key)
		if err != nil {
			return err
		}
		if trs[0].Op == state.Delete {
			err = f.put(numbersBucket, seqKey(p.number), []byte("deleted"), func(old []byte) bool { return len(old) == 0 })
		} else {
			body := binary.AppendUvarint(nil, uint64(p.count))
			body = append(appendID(appendID(body, p.key.Business), p.key.Task), p.block...)
			err = errors.Join(f.put(piecesBucket, blockKey(p.number, p.first), body, never), f.put(numbersBucket, seqKey(p.number), nil, never))
		}
		if err != nil {
			return err
		}
	}
	return f.put([]byte(bucketNames[feedBucket]), k, binary.BigEndian.AppendUint64(nil, pieces[len(pieces)-1].last()), never)
}
