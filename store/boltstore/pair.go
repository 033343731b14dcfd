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

// The journal lies next to the file, under its name with journalSuffix
// appended. It is made by the first commit and removed by Close, and only
// touched under bbolt's lock of the file. The file says "clean" or "in use",
// and which journal; the journal says which instance of the file it belongs to,
// and in its newest frame which bbolt transaction was the last to end. Open
// brings the file to exactly that transaction:
//
//	file                     journal                   Open
//	in use, J                J                         reads it
//	in use, J                none, another, too short  ErrCorrupt
//	clean, last J            J                         removes it
//	clean                    same instance, no frames  removes it
//	clean                    same instance, frames     ErrCorrupt: the file is older
//	clean                    another, or unreadable    sets it aside
//
// So the first commit makes the journal, then marks the file, then writes its
// frame, and Close marks the file before it removes the journal.
const journalSuffix = "-journal"

const (
	// journalStart is the size of a new journal. It grows when it is what
	// ends generations.
	journalStart = 1 << 20
	// ballast is what lies behind the journal's frames, to be given back when
	// the disk is full.
	ballast = 256 << 10
)

// journalSize is how large the journal may become.
func (s *Store) journalSize() int64 {
	size := int64(s.opts.JournalSize)
	if most := int64(s.opts.MaxSize) / 2; most > 0 {
		size = min(size, most)
	}
	return max(size/journal.Block*journal.Block, s.opts.leastJournal)
}

func (s *Store) journalPath() string { return s.at.Real + journalSuffix }

// openedJournal is a journal file that Open found. Its contents are nil if it
// cannot be read as a journal.
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

// openJournal opens the journal next to the file, nil if there is none.
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

// errAgain says that the file was changed and must be opened again.
var errAgain = errors.New("open again")

// pair finds the journal that belongs to the file, nil if there is none. It
// brings the file to the transaction that the journal names, and then returns
// errAgain.
func (s *Store) pair(p *pairing) (*openedJournal, error) {
	o, err := s.openJournal()
	if err != nil {
		return nil, err
	}
	if o == nil {
		if p.inUse {
			return nil, fmt.Errorf("%w: the journal %s is missing, which has the newest part", store.ErrCorrupt, s.journalPath())
		}
		return nil, nil
	}
	keep, err := s.paired(o, p)
	if !keep || err != nil {
		return nil, errors.Join(err, o.close())
	}
	return o, nil
}

// paired decides what the journal is to the file, and reports whether it is in
// use.
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
		if err := s.bringTo(o); err != nil {
			return false, err
		}
	}
	switch {
	case p.inUse && head.Journal != p.journal:
		return false, o.corrupt(errors.New("it is another one, not the file's"))
	case p.inUse:
		return true, nil
	case head.Journal == p.journal, ours && o.contents.Empty():
		return false, s.removeJournal(o.path)
	case ours:
		return false, o.corrupt(errors.New("the file is older than its journal"))
	}
	return false, s.setAside(o.path)
}

// bringTo makes the transaction that the journal names the file's newest one.
// If its meta page is damaged, it is written again. One transaction above it
// is discarded: bbolt does not write over what the one before needs.
func (s *Store) bringTo(o *openedJournal) error {
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
		return nil // written over a discarded one
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

// readMark reads the meta page of the file's last transaction, which has ended.
func (s *Store) readMark(checkpoint uint64) (journal.Mark, error) {
	newest, ok := pages.ReadMeta(s.file, s.pageSize)
	if !ok {
		return journal.Mark{}, fmt.Errorf("%w: no meta page is whole", store.ErrCorrupt)
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

// setAside gives a journal that is not the file's another name. It is never
// read and never removed.
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
// open file cannot be removed, as on Windows, it stays, and the next Open
// removes it.
func (s *Store) removeJournal(path string) error {
	if s.opts.ReadOnly || files.Remove(path) != nil {
		return nil
	}
	return files.SyncDir(filepath.Dir(path))
}

// beginJournal makes the journal, unless there is one, and marks the file. The
// caller has the turn.
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
		_ = files.Chown(f, info) // as far as that is ours to set
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
// the histories in a transaction of its own.
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

// useJournal lets commits append to a journal, in which the frame with the
// checkpoint has a position.
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
