package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/journal"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/pages"
)

// openedPair is a store in use and images of it: before its first commit, after
// some, with everything written back, later still, and closed.
type openedPair struct {
	new, early, settled, late, closed image
	m, earlyModel                     *model // at the end, and of early
}

func pairs(t *testing.T) (p openedPair) {
	t.Helper()
	s := openQuick(t, filepath.Join(t.TempDir(), "pair.db"), &Options{OverlayTransitions: 40})
	p.new = s.image(t)
	p.m = story(t, s, 30, 3)
	p.early, p.earlyModel = s.image(t), p.m.clone()
	s.writeBackAll()
	p.settled = s.image(t)
	key := state.Key{Business: "2", Task: "late"}
	p.m.do(t, s, key, newRoot("late"))
	s.writeBackAll()
	p.m.do(t, s, key, start("late"))
	p.late = s.image(t)
	p.closed.file = s.closedImage(t)
	if _, err := os.Stat(s.journalPath()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Close the journal is there: %v", err)
	}
	return p
}

// refused opens an image, which Open must refuse and leave unchanged.
func (i image) refused(t *testing.T, what string) {
	t.Helper()
	path := i.write(t)
	for range 2 { // the first must not leave it locked
		s, err := Open(path, nil)
		if err == nil {
			_ = s.Close()
		}
		if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), path+journalSuffix) {
			t.Fatalf("%s: error %v, want one that matches %q and names the journal", what, err, store.ErrCorrupt)
		}
	}
	if !slices.Equal(readFile(t, path), i.file) {
		t.Errorf("%s: the file was changed", what)
	}
	if i.journal != nil && !slices.Equal(readFile(t, path+journalSuffix), i.journal) {
		t.Errorf("%s: the journal was changed", what)
	}
}

func TestFileWithoutItsJournalIsRefused(t *testing.T) {
	p := pairs(t)
	other := pairs(t)
	noise := slices.Clone(p.late.journal)
	for i := range noise[:4096] {
		noise[i] = byte(i * i)
	}
	for what, i := range map[string]image{
		"the journal was deleted":            {p.late.file, nil},
		"it was deleted when all is written": {p.settled.file, nil},
		"it is empty":                        {p.late.file, []byte{}},
		"its header is damaged":              {p.late.file, noise},
		"it was truncated":                   {p.late.file, p.late.journal[:len(p.late.journal)/2]},
		"its last block is missing":          {p.late.file, p.late.journal[:journalStart-journal.Block]},
		"it is an older one of the file":     {p.late.file, p.early.journal},
		"it is another file's":               {p.late.file, other.late.journal},
		"the file is an older one":           {p.early.file, p.late.journal},
		"the file is older than the journal": {p.new.file, p.late.journal},
	} {
		i.refused(t, what)
	}
}

// expectSetAside opens an image with the journal of another file.
func (i image) expectSetAside(t *testing.T, m *model, what string) {
	t.Helper()
	path := i.write(t)
	write(t, path+journalSuffix+".foreign", []byte("an earlier one"))
	s := openQuick(t, path, nil)
	m.expect(t, s, what)
	m.do(t, s, state.Key{Business: "x", Task: "x"}, newRoot("x"))
	m.expect(t, s, what+", written to")
	_ = s.Close()
	expectNeighbors(t, path, "image.db-journal.foreign", "image.db-journal.foreign.2")
	if got := readFile(t, path+journalSuffix+".foreign.2"); !slices.Equal(got, i.journal) {
		t.Errorf("%s: the journal that was set aside is another", what)
	}
}

func TestAJournalOfAnotherFileIsNeitherReadNorRemoved(t *testing.T) {
	p, other := pairs(t), pairs(t)
	image{p.closed.file, other.late.journal}.expectSetAside(t, p.m.clone(), "of another file")
	image{p.closed.file, []byte("no journal")}.expectSetAside(t, p.m.clone(), "no journal")

	// The file was deleted, and a new one has its name.
	path := other.late.write(t)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	m := newModel()
	s := openQuick(t, path, nil)
	m.expect(t, s, "a new file")
	m.do(t, s, state.Key{Business: "2", Task: "1"}, newRoot("1"))
	_ = s.Close()
	m.expect(t, openQuick(t, path, nil), "a new file, reopened")
	expectNeighbors(t, path, "image.db-journal.foreign")
}

// Between the steps of the first commit and of Close, the pair of files is one
// of these.
func TestProcessKilledWhileTheJournalBeginsOrEndsLosesNothing(t *testing.T) {
	p := pairs(t)
	empty := newModel()
	s := openQuick(t, p.new.write(t), nil)
	s.quiet(t, func() {
		o, err := s.makeJournal()
		if err != nil {
			t.Fatal(err)
		}
		made := image{readFile(t, s.path), readFile(t, s.journalPath())}
		empty.expect(t, openPair(t, made, nil), "the journal is made")
		after := openPair(t, made, nil)
		expectNeighbors(t, after.path)

		start := o.contents.Start()
		c := checkpoint{journal: o.contents.Head.Journal, at: start}
		if _, err := s.recordPairing(pairing{inUse: true, instance: s.instance, journal: c.journal}, c, nil); err != nil {
			t.Fatal(err)
		}
		marked := image{readFile(t, s.path), made.journal}
		again := openPair(t, marked, nil)
		empty.expect(t, again, "the file is marked")
		m := newModel()
		m.do(t, again, state.Key{Business: "2", Task: "1"}, newRoot("1"))
		m.expect(t, openPair(t, again.image(t), nil), "the file was marked, and a commit followed")
		if err := o.close(); err != nil {
			t.Fatal(err)
		}
	})

	// Close has marked the file and not removed the journal yet.
	s = openQuick(t, p.late.write(t), nil)
	s.writeBackAll()
	s.quiet(t, func() {
		if err := s.appendFrame(0, nil); err != nil { // as Close does
			t.Fatal(err)
		}
	})
	settled := s.image(t)
	closed := s.closedImage(t)
	last := image{closed, settled.journal}
	p.m.expect(t, openPair(t, last, nil), "the journal is not removed yet")
	s = openPair(t, last, nil)
	_ = s.Close()
	expectNeighbors(t, s.path)
	p.m.expect(t, openImage(t, readFile(t, s.path), nil), "closed at last")
}

// bbolt would silently use the older meta page. If the damaged one may be the
// newest, Open refuses the file.
func TestADamagedMetaPageLosesNoCommit(t *testing.T) {
	p := pairs(t)
	refused := 0
	for what, i := range map[string]struct {
		image
		m *model
	}{"late": {p.late, p.m}, "settled": {p.settled, p.earlyModel}} {
		pageSize := os.Getpagesize()
		for page := range 2 {
			for at := pages.HeaderBytes; at < pages.HeaderBytes+64; at += 7 {
				damaged := image{slices.Clone(i.file), i.journal}
				damaged.file[page*pageSize+at] ^= 0x08
				s, err := Open(damaged.write(t), nil)
				if errors.Is(err, store.ErrCorrupt) {
					refused++
					continue
				}
				must(t, err)
				s.NoSync()
				i.m.expect(t, s, what)
				must(t, s.Close())
			}
		}
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
}

// A bbolt transaction that no frame names is discarded, regardless of its
// contents.
func TestTransactionThatNoFrameNamesIsDiscarded(t *testing.T) {
	p := pairs(t)
	path := p.late.write(t)
	alterBolt(t, path, func(tx *bolt.Tx) error { return tasksBucket.in(tx).Delete(seqKey(p.m.feed[0].Sequence)) })
	p.m.expect(t, openPair(t, image{readFile(t, path), p.late.journal}, nil), "one more transaction")
	alterBolt(t, path, func(*bolt.Tx) error { return nil })
	image{readFile(t, path), p.late.journal}.refused(t, "two more transactions")
}

// For every flipped bit of the journal, either all acknowledged transitions are
// there, or Open says that the journal is corrupt. Only the last frame may be
// missing.
func TestFlippedBitsInTheJournalAreNoticed(t *testing.T) {
	p := pairs(t)
	c, err := journal.Read(bytes.NewReader(p.early.journal), int64(len(p.early.journal)))
	if err != nil {
		t.Fatal(err)
	}
	newest := c.Newest()
	step := int64(61)
	if *Long {
		step = 3
	}
	for at := int64(0); at < newest.Offset+journal.Block; at += step {
		damaged := image{p.early.file, slices.Clone(p.early.journal)}
		damaged.journal[at] ^= 1 << (at % 8)
		s, err := Open(damaged.write(t), nil)
		switch {
		case errors.Is(err, store.ErrCorrupt):
			continue
		case err != nil:
			t.Fatalf("byte %d: %v", at, err)
		}
		s.NoSync()
		if at < newest.Offset && s.last != uint64(len(p.earlyModel.feed)) {
			t.Errorf("byte %d: the store ends at %d without a word, want %d", at, s.last, len(p.earlyModel.feed))
		}
		if s.last == uint64(len(p.earlyModel.feed)) {
			p.earlyModel.differences(s, func(d string) { t.Errorf("byte %d: %s", at, d) }, func(err error) { t.Errorf("byte %d: %v", at, err) })
		}
		_ = s.Close()
		if t.Failed() {
			return
		}
	}
}

func TestReadOnlyJournalIsAnErrorAndChangesNothing(t *testing.T) {
	if os.Getuid() == 0 || runtime.GOOS == "windows" {
		// Root may write to any file; the option replaces the missing
		// permission.
		p := pairs(t)
		path := p.late.write(t)
		o := &Options{OpenFile: func(name string, flag int, mode fs.FileMode) (*os.File, error) {
			if strings.HasSuffix(name, journalSuffix) {
				return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
			}
			return os.OpenFile(name, flag, mode)
		}}
		if _, err := Open(path, o); !errors.Is(err, fs.ErrPermission) || errors.Is(err, store.ErrCorrupt) {
			t.Errorf("error %v, want one that matches %q alone", err, fs.ErrPermission)
		}
		p.m.expect(t, openQuick(t, path, nil), "with permission again")
		return
	}
	p := pairs(t)
	path := p.late.write(t)
	if err := os.Chmod(path+journalSuffix, 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, nil); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("error %v, want one that matches %q", err, fs.ErrPermission)
	}
}

func TestJournalHasTheModeOfItsFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // has no such modes
	}
	s := openQuick(t, filepath.Join(t.TempDir(), "mode.db"), &Options{FileMode: 0o640})
	newModel().do(t, s, state.Key{Business: "2", Task: "1"}, newRoot("1"))
	info, err := os.Stat(s.journalPath())
	if err != nil || info.Mode() != 0o640 {
		t.Errorf("the journal is %+v, %v", info, err)
	}
}

func TestJournalOfALinkLiesNextToTheFile(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "file.db"), filepath.Join(t.TempDir(), "link.db")
	_ = openQuick(t, path, nil).Close()
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	s := openQuick(t, link, nil)
	m := newModel()
	m.do(t, s, state.Key{Business: "2", Task: "1"}, newRoot("1"))
	expectNeighbors(t, path, "file.db-journal")
	expectNeighbors(t, link)
	m.expect(t, openPair(t, s.image(t), nil), "by its own name")
}

// A write that does not fit a quarter of the journal is refused alone.
func TestAWriteTooLargeForTheJournalIsReported(t *testing.T) {
	s := openQuick(t, filepath.Join(t.TempDir(), "large.db"), &Options{JournalSize: 1})
	m := newModel()
	small, other := m.large(t, "small", 10), m.large(t, "other", 10)
	ops := []state.Op{newRoot("large")}
	for i := range 4000 {
		ops = append(ops, activity(fmt.Sprintf("%060d", i), "large"))
	}
	large, err := m.change(state.Key{Business: "2", Task: "large"}, ops...)
	if err != nil {
		t.Fatal(err)
	}
	results, err := s.Commit(t.Context(), []store.Write{small, large, other})
	if err != nil {
		t.Fatal(err)
	}
	var tooLarge *store.TooLargeError
	if !errors.As(results[1].Err, &tooLarge) || !errors.Is(results[1].Err, state.ErrInvalidArgument) || tooLarge.Limit >= journalStart/4 || tooLarge.Bytes <= tooLarge.Limit {
		t.Errorf("error %v, want a %T", results[1].Err, tooLarge)
	}
	if results[0].Err != nil || results[2].Err != nil {
		t.Fatalf("the others: %v, %v", results[0].Err, results[2].Err)
	}
	m.accept(small, results[0].First)
	m.accept(other, results[2].First)
	m.expect(t, s, "without the large one")
}

// A commit that does not fit a frame is committed in parts.
func TestCommitLargerThanAFrameIsSplitByTask(t *testing.T) {
	o := &Options{JournalSize: 1}
	s := openQuick(t, filepath.Join(t.TempDir(), "parts.db"), o)
	m := newModel()
	var writes []store.Write
	for i := range 3000 {
		writes = append(writes, m.large(t, string(rune('a'+i%26))+strings.Repeat("t", i/26), 250))
	}
	m.commit(t, s, writes...)
	if n := s.image(t); len(n.journal) > journalStart+ballast {
		t.Errorf("the journal has %d bytes", len(n.journal))
	}
	m.expect(t, s, "in parts")
	m.expect(t, openPair(t, s.image(t), o), "in parts, killed")
}

// By default the journal begins small and grows with the needs of commits.
func TestJournalGrowsWithItsCommits(t *testing.T) {
	s := openQuick(t, filepath.Join(t.TempDir(), "grows.db"), nil)
	m := newModel()
	m.commit(t, s, m.large(t, "small", 10))
	if n := len(s.image(t).journal); n != journalStart+ballast {
		t.Errorf("a new journal has %d bytes", n)
	}
	for i := range 400 {
		m.commit(t, s, m.large(t, fmt.Sprint("task", i), 10))
	}
	i := s.image(t)
	if len(i.journal) <= journalStart+ballast {
		t.Errorf("the journal still has %d bytes", len(i.journal))
	}
	m.expect(t, openPair(t, i, nil), "grown")
	truncated := image{i.file, i.journal[:journalStart]}
	truncated.refused(t, "cut to its old size")
	m.expect(t, s, "in the end")
}
