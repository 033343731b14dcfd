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
	Whole  int // copied, and nothing known of them is missing
	Partly int // copied without something that could not be read
	Lost   int // not copied, although there are traces of them
}

// Salvage copies what can be read of a damaged file into a new store and calls
// report, which may be nil, for each thing that cannot. The damaged file is
// only read, page by page, so that one page that is unreadable costs no more
// than what is on it; pages that nothing leads to any more are read too, unless
// they are known to be free.
//
// A task whose transitions fit together and lead to what else is known of it is
// copied whole. Otherwise, if all its nodes and attempts are there, these are
// copied: with every value, but with transitions made up from them, by the
// actor "salvage". Otherwise it is copied as it was at the last transition up
// to which none is missing. What an unreadable part of the journal alone had,
// the latest transitions of tasks otherwise whole, is reported by its place.
// Sequences and revisions are the new store's own.
//
// A task of which nothing can be read but its business and task ID, in the index
// of keys, is reported as lost by these. Whether a page that nothing leads to is
// free is known from the list of free pages, which has no checksum: where it does
// not agree with the pages in use, and where pages are found that neither lists,
// the report says that what was removed may be among what is copied.
//
// The new file appears when it is complete and on disk. The error says that
// there is none: it matches [state.ErrInvalidArgument] if path names something
// else than a file, [store.ErrLocked] if another process has the damaged file
// open, [store.ErrIncompatible] if a newer version wrote it,
// [store.ErrCorrupt] if nothing of a store can be read in it,
// [fs.ErrExist] if there is a file of the new name, and [store.ErrFull] if
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
	// Before it is opened: a pipe would wait for its writer.
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
	// Both files are made in a directory of their own, beside where one goes.
	dir, err := os.MkdirTemp(filepath.Dir(newPath), files.TempName(newPath)+"*")
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	finds, err := newFinds(filepath.Join(dir, files.SalvageFinds))
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, finds.close()) }()
	if err := newWreck(file, finds, report).search(ctx); err != nil {
		return done, err
	}
	name := filepath.Join(dir, files.SalvageStore)
	if done, err = finds.rebuild(ctx, name, report); err != nil {
		return done, err
	}
	if err := files.Publish(name, newPath, fs.ErrExist); err != nil {
		return done, err
	}
	return done, files.SyncDir(filepath.Dir(newPath))
}

// lockDamaged keeps others from opening a file for writing, as far as bbolt
// can open it at all: a store cannot be opened on what it cannot.
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

// finds is what was found in a damaged file, by task: a scratch file of the
// same buckets and records, and of three more.
type finds struct {
	db    *bolt.DB
	tx    *bolt.Tx
	size  int    // of what tx has put
	upTo  uint64 // the checkpoint, 0 if it was not found
	stale bool   // it is not known which pages are free, so these were read too
}

var (
	// piecesBucket has the pieces of the journal: blockKey -> count, business,
	// task, block.
	piecesBucket = []byte("pieces")
	// numbersBucket has the number of every task that left traces: number ->
	// empty, or "deleted".
	numbersBucket = []byte("numbers")
	// keyedBucket has the tasks of the index of keys: number -> business, task.
	keyedBucket = []byte("keyed")
)

func newFinds(path string) (*finds, error) {
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
	return &finds{db: db}, nil
}

func (f *finds) close() (err error) {
	if f.tx != nil {
		err = f.tx.Rollback()
	}
	return errors.Join(err, f.db.Close())
}

// put keeps a record unless the one that is kept under its key is better.
func (f *finds) put(bucket, k, v []byte, better func(old []byte) bool) (err error) {
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

func (f *finds) flush() error {
	if f.tx == nil {
		return nil
	}
	err := f.tx.Commit()
	f.tx, f.size = nil, 0
	return err
}

func never([]byte) bool { return false }

// name keeps an entry of the index of keys; ok is false if it is none.
func (f *finds) name(k, v []byte) (ok bool, err error) {
	number, err := decodeNumber(v)
	if _, bad := keyOf(k); bad || err != nil {
		return false, nil
	}
	return true, f.put(keyedBucket, seqKey(number), k, never)
}

// keyOf is the task of a key of the index.
func keyOf(k []byte) (key state.Key, bad bool) {
	d := decoder{b: k}
	key = state.Key{Business: d.id(), Task: d.id()}
	return key, d.bad || len(d.b) > 0 || key.Validate() != nil
}

// record keeps a sealed record of the file.
func (f *finds) record(b bucket, k, v []byte) error {
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

// group keeps what a record of the nodes bucket has, each node in a record of its
// own, since one of a later copy may be better and another one worse.
func (f *finds) group(k, v []byte) error {
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

// data keeps an input or output, which is good for nothing without its task.
func (f *finds) data(p put) error {
	return f.put([]byte(bucketNames[dataBucket]), p.key, p.value, never)
}

// frame keeps the pieces of a journal record.
func (f *finds) frame(k, v []byte) error {
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
