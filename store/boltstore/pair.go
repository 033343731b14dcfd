package boltstore

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/files"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/journal"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/pages"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/steps"
)

// The journal is next to the file, under its name with journalSuffix appended.
// The first commit makes it and Close removes it. It is only used under bbolt's
// lock of the file. The file records which journal it has, and whether that is
// in use or the file is clean. The journal records which instance of the file
// it belongs to, and its newest frame names the last finished bbolt
// transaction. Open restores the file to exactly that transaction:
//
//	file                     journal                   Open
//	in use, J                J                         reads it
//	in use, J                none, another, truncated  ErrCorrupt
//	clean, last J            J                         removes it
//	clean                    same instance, no frames  removes it
//	clean                    same instance, frames     ErrCorrupt: the file is older
//	clean                    another, or unreadable    sets it aside
//
// The first commit therefore makes the journal, then marks the file, and then
// writes its frame. Close marks the file before it removes the journal.
const journalSuffix = "-journal"

const (
	// journalStart is the size of a new journal. It grows if generations end
	// because the journal is full.
	journalStart = 1 << 20
	// ballast is the number of zeros after the journal's frames, which are
	// given back when the disk is full.
	ballast = 256 << 10
)

// journalSize is the largest size of the journal.
func (s *Store) journalSize() int64 {
	size := int64(s.opts.JournalSize)
	if most := int64(s.opts.MaxSize) / 2; most > 0 {
		size = min(size, most)
	}
	return max(size/journal.Block*journal.Block, s.opts.leastJournal)
}

func (s *Store) journalPath() string { return s.at.Real + journalSuffix }

// openedJournal is a journal file that Open found. Its contents are nil if it
// is not a readable journal.
type openedJournal struct {
	path     string
	file     *os.File
	contents *journal.Contents
	problem  error
}

func (o *openedJournal) close() error {
	if o == nil || o.file == nil {
		return nil
	}
	return o.file.Close()
}

// openJournal opens the journal next to the file. It returns nil if the file has
// no journal.
func (s *Store) openJournal() (*openedJournal, error) {
	o := &openedJournal{path: s.journalPath()}
	info, err := os.Lstat(o.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		o.problem = errNotRegular
		return o, nil
	}
	flag := os.O_RDWR
	if s.opts.ReadOnly {
		flag = os.O_RDONLY
	}
	if o.file, err = s.opts.OpenFile(o.path, flag, 0); err != nil {
		return nil, err
	}
	o.contents, err = journal.Read(o.file, info.Size())
	switch {
	case errors.Is(err, journal.ErrShort), errors.Is(err, journal.ErrUnreadable):
		o.contents, o.problem = nil, err
	case err != nil:
		return nil, errors.Join(err, o.file.Close())
	}
	return o, nil
}

// corrupt is an ErrCorrupt that names the journal.
func (o *openedJournal) corrupt(err error) error {
	return fmt.Errorf("%w: the journal %s: %w", store.ErrCorrupt, o.path, err)
}

// errAgain says that Open changed the file and must open it again.
var errAgain = errors.New("open again")

// pair returns the journal that belongs to the file, nil if the file has none.
// It restores the file to the transaction that the journal names, and returns
// errAgain if that changed the file.
func (s *Store) pair(p *pairing) (*openedJournal, error) {
	o, err := s.openJournal()
	if err != nil {
		return nil, err
	}
	if o == nil {
		if p.inUse {
			return nil, fmt.Errorf("%w: the journal %s is missing, which has the newest transitions", store.ErrCorrupt, s.journalPath())
		}
		return nil, nil
	}
	keep, err := s.paired(o, p)
	if !keep || err != nil {
		return nil, errors.Join(err, o.close())
	}
	return o, nil
}

// paired decides whether the journal is the file's, and whether it is in use.
// It removes a journal that is no longer needed, and renames one of another
// file.
func (s *Store) paired(o *openedJournal, p *pairing) (inUse bool, err error) {
	switch {
	case o.contents == nil && p.inUse:
		return false, o.corrupt(o.problem)
	case o.contents == nil:
		return false, s.setAside(o.path)
	}
	head := &o.contents.Head
	ours := head.Instance == p.instance
	if ours {
		if err := s.restore(o); err != nil {
			return false, err
		}
	}
	switch {
	case p.inUse && head.Journal != p.journal:
		return false, o.corrupt(errors.New("it belongs to another file"))
	case p.inUse:
		return true, nil
	case head.Journal == p.journal, ours && o.contents.Empty():
		return false, s.removeJournal(o.path)
	case ours:
		return false, o.corrupt(errors.New("the file is older than its journal"))
	}
	return false, s.setAside(o.path)
}

// restore makes the transaction that the journal names the newest one of the
// file. It writes the transaction's meta page again if that is damaged, and
// discards a single later transaction: bbolt does not overwrite pages that the
// transaction before needs.
func (s *Store) restore(o *openedJournal) error {
	newest := o.contents.Newest()
	mark := &newest.Mark
	at := int64(mark.Transaction%2) * s.pageSize
	named, namedOK := pages.ReadRawMeta(s.file, at)
	other, otherOK := pages.ReadRawMeta(s.file, s.pageSize-at)
	there := namedOK && named.Transaction() == mark.Transaction
	switch {
	case there && s.opts.ReadOnly && otherOK && other.Transaction() == mark.Transaction+1:
		return nil // every transaction leaves a consistent store
	case there && !bytes.Equal(named[:], mark.Meta[:]):
		return o.corrupt(errors.New("it belongs to another file"))
	case there && (!otherOK || other.Transaction() < mark.Transaction):
		return nil
	case there && other.Transaction() == mark.Transaction:
		return nil // it replaced a discarded one
	case namedOK && !there, otherOK && other.Transaction()+1 < mark.Transaction, otherOK && other.Transaction() > mark.Transaction+1:
		return o.corrupt(fmt.Errorf("it names transaction %d, and the file has another one: one of them is older", mark.Transaction))
	}
	if s.opts.ReadOnly {
		return o.corrupt(errors.New("the file must be opened for writing once"))
	}
	for i := range int64(2) {
		if _, err := s.file.WriteAt(mark.Meta[:], i*s.pageSize+pages.HeaderBytes); err != nil {
			return err
		}
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	steps.Done(steps.Written, s.at.Real)
	return errAgain
}

// readMark reads the meta page of the file's last transaction, which has
// finished.
func (s *Store) readMark(checkpoint uint64) (journal.Mark, error) {
	newest, ok := pages.ReadMeta(s.file, s.pageSize)
	if !ok {
		return journal.Mark{}, fmt.Errorf("%w: both meta pages are damaged", store.ErrCorrupt)
	}
	m, ok := pages.ReadRawMeta(s.file, int64(newest.Transaction%2)*s.pageSize)
	if !ok || m.Transaction() != newest.Transaction {
		// After a transaction was discarded both pages have the same one.
		if m, ok = pages.ReadRawMeta(s.file, int64((newest.Transaction+1)%2)*s.pageSize); !ok || m.Transaction() != newest.Transaction {
			return journal.Mark{}, fmt.Errorf("%w: no meta page is that of transaction %d", store.ErrCorrupt, newest.Transaction)
		}
	}
	return journal.Mark{Transaction: newest.Transaction, Checkpoint: checkpoint, Meta: m}, nil
}

// setAside renames a journal that does not belong to the file. It is never read
// or removed.
func (s *Store) setAside(path string) error {
	if s.opts.ReadOnly {
		return nil
	}
	name := path + ".foreign"
	for n := 2; ; n++ {
		err := files.Publish(path, name, fs.ErrExist)
		if err == nil {
			return errors.Join(files.Remove(path), files.SyncDir(filepath.Dir(path)))
		}
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		name = fmt.Sprintf("%s.foreign.%d", path, n)
	}
}

// removeJournal removes a journal whose contents are all in the file. Where an
// open file cannot be removed, as on Windows, the next Open removes it.
func (s *Store) removeJournal(path string) error {
	if s.opts.ReadOnly || files.Remove(path) != nil {
		return nil
	}
	return files.SyncDir(filepath.Dir(path))
}

// beginJournal makes the journal, unless there is one, and marks the file as
// using it. The caller has the turn.
func (s *Store) beginJournal(past store.Histories) error {
	c := checkpoint{seq: s.checkpoint, acked: s.last, at: s.markAt}
	if s.journal != nil {
		if !s.named() {
			if err := s.appendFrame(0, nil); err != nil {
				return err
			}
		}
		c.journal = s.journal.ID()
		outcome, err := s.recordPairing(pairing{inUse: true, instance: s.instance, journal: c.journal}, c, past)
		if err != nil && outcome == unknown {
			return s.fail(err)
		}
		return err
	}
	o, err := s.makeJournal()
	if err != nil {
		return err
	}
	start := o.contents.Start()
	c.journal, c.at = o.contents.Head.Journal, start
	outcome, err := s.recordPairing(pairing{inUse: true, instance: s.instance, journal: c.journal}, c, past)
	switch {
	case err == nil:
		return s.useJournal(o, start)
	case outcome == unknown:
		return errors.Join(s.fail(err), o.close())
	}
	return errors.Join(err, o.close(), files.Remove(o.path))
}

// makeJournal makes and opens a journal that the file does not know yet.
func (s *Store) makeJournal() (*openedJournal, error) {
	mark, err := s.readMark(s.checkpoint)
	if err != nil {
		return nil, err
	}
	head := journal.Head{Journal: newID(), Instance: s.instance, Size: min(s.opts.leastJournal, s.journalSize()), Mark: mark}
	info, err := s.file.Stat()
	if err != nil {
		return nil, err
	}
	err = files.WriteNew(s.journalPath(), info.Mode().Perm(), func(f *os.File) error {
		_ = files.Chown(f, info) // as far as permitted
		return journal.Format(f, &head, ballast)
	})
	if err != nil {
		return nil, err
	}
	o, err := s.openJournal()
	if err == nil && o != nil && o.contents != nil {
		return o, nil
	}
	return nil, errors.Join(cmp.Or(err, fs.ErrNotExist), o.close(), files.Remove(s.journalPath()))
}

// recordPairing records the pairing, the checkpoint and, unless they are nil,
// the histories in one transaction.
func (s *Store) recordPairing(p pairing, c checkpoint, past store.Histories) (outcome, error) {
	outcome, err := s.transact(func(tx *bolt.Tx) (bool, error) {
		err := errors.Join(s.putMeta(tx, keyJournal, p.record()), s.putMeta(tx, keyCheckpoint, c.record()))
		if err == nil && past != nil {
			err = s.putMeta(tx, keyHistories, historiesRecord(past))
		}
		return true, err
	})
	if err != nil {
		return outcome, err
	}
	if s.mark, err = s.readMark(c.seq); err != nil {
		return unknown, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base = int(s.mark.Transaction)
	return nothing, nil
}

// useJournal makes commits append to a journal. at is the position of the frame
// with the checkpoint.
func (s *Store) useJournal(o *openedJournal, at journal.Position) (err error) {
	if s.journal, err = journal.Resume(o.file, o.contents, o.contents.Needed(at)); err != nil {
		return o.corrupt(err)
	}
	s.journal.NoSync = s.noSync
	s.kept, s.markAt = at, at
	return nil
}

// endJournal marks the file clean and removes the journal. Everything has been
// written back, and the caller has the turn.
func (s *Store) endJournal() error {
	if s.journal == nil {
		return nil
	}
	if !s.named() {
		if err := s.appendFrame(0, nil); err != nil {
			return err
		}
	}
	id := s.journal.ID()
	outcome, err := s.recordPairing(pairing{instance: s.instance, journal: id}, checkpoint{seq: s.checkpoint, acked: s.last, journal: id, at: s.markAt}, nil)
	if err != nil {
		if outcome == unknown {
			return s.fail(err)
		}
		return err
	}
	err = s.journal.Close()
	s.journal = nil
	return errors.Join(err, s.removeJournal(s.journalPath()))
}
