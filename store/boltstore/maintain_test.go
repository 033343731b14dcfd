package boltstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

func TestBackupAnswersLikeTheStore(t *testing.T) {
	dir := t.TempDir()
	s := openQuick(t, filepath.Join(dir, "whole.db"), &Options{OverlayTransitions: 60})
	m := story(t, s, 200, 5)
	var copied bytes.Buffer
	if err := s.Backup(t.Context(), &copied); err != nil {
		t.Fatal(err)
	}
	m.expect(t, openImage(t, copied.Bytes(), nil), "backup")
	for name, make := range map[string]func(ctx context.Context, path string) error{"backup": s.BackupTo, "compacted": s.CompactTo} {
		path := filepath.Join(dir, name)
		if err := make(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		m.expect(t, openQuick(t, path, nil), name+" to a file")
		before, _ := os.ReadFile(path)
		if err := make(t.Context(), path); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s over a file: error %v, want one that matches %q", name, err, fs.ErrExist)
		}
		if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
			t.Errorf("%s changed a file that was there", name)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := make(ctx, filepath.Join(dir, "canceled")); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a context that ended: %v", name, err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 4 {
		t.Errorf("the directory holds %v, %v; want the store with its journal and two copies", entries, err)
	}
}

// keepWriting commits to a separate task until stop is closed, and stores in
// acked the node that was acknowledged last.
func keepWriting(t *testing.T, s *Store, name string, stop <-chan struct{}, acked *sync.Map) {
	m := newModel()
	key := state.Key{Business: name, Task: name}
	m.do(t, s, key, newRoot(name), start(name))
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		m.do(t, s, key, activity(fmt.Sprint(name, ".", i), name))
		acked.Store(name, i)
	}
}

func TestBackupsAndCompactionWhileWritersRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "busy.db")
	s := openQuick(t, path, &Options{OverlayTransitions: 40})
	var acked sync.Map
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for w := range 4 {
		wg.Go(func() { keepWriting(t, s, fmt.Sprint("w", w), stop, &acked) })
	}
	complete := func(s *Store, before map[string]int, when string) {
		for name, n := range before {
			if _, err := s.Locate(t.Context(), store.ByNode(fmt.Sprint(name, ".", n))); err != nil {
				t.Errorf("%s: %v", when, err)
			}
		}
		if err := s.Check(t.Context(), func(p string) { t.Errorf("%s: check: %s", when, p) }); err != nil {
			t.Errorf("%s: check: %v", when, err)
		}
	}
	said := func() map[string]int {
		before := make(map[string]int)
		acked.Range(func(name, n any) bool { before[name.(string)] = n.(int); return true })
		return before
	}
	for i := range 8 {
		before := said()
		var copied bytes.Buffer
		if err := s.Backup(t.Context(), &copied); err != nil {
			t.Fatal(err)
		}
		if err := s.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
		backup := openImage(t, copied.Bytes(), nil)
		complete(backup, before, fmt.Sprint("backup ", i))
		_ = backup.Close()
	}
	close(stop)
	wg.Wait()
	complete(s, said(), "in the end")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	complete(openQuick(t, path, nil), said(), "reopened")
}

func TestCompactionReleasesRoomAndChangesNoAnswer(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "shrink.db")
	s := openQuick(t, path, &Options{OverlayTransitions: 100, FeedTransitions: 10, FileMode: 0o640})
	m := newModel()
	for i := range 3000 {
		m.commit(t, s, m.large(t, fmt.Sprint("task", i), 200))
	}
	for i := range 2950 {
		m.commit(t, s, m.deletion(state.Key{Business: "2", Task: fmt.Sprint("task", i)}))
	}
	before, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if after.Bytes*4 > before.Bytes || before.Free < before.Bytes/2 || after.Last != before.Last || after.Pending != 0 || after.Checkpoint != after.Last {
		t.Errorf("before: %+v, after: %+v", before, after)
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() != after.Bytes || info.Mode().Perm() != 0o640 {
		t.Errorf("the file is %+v, %v", info, err)
	}
	m.expect(t, s, "compacted")
	r := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		m.commit(t, s, m.random(r, 3))
	}
	m.expect(t, s, "compacted and written to")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	m.expect(t, openQuick(t, path, nil), "reopened")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the directory holds %v, %v; want the file alone", entries, err)
	}
}

// A process that waits for the lock of a file that is being replaced gets the
// new file: the old one has no name any more, and writes to it would be lost.
func TestOpenThatWaitsDuringACompactionGetsTheNewFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wait.db")
	s := openQuick(t, path, nil)
	m := newModel()
	m.commit(t, s, m.large(t, "1", 10))
	type opened struct {
		s   *Store
		err error
	}
	opens := make(chan opened)
	begun := make(chan struct{})
	go func() {
		second, err := Open(path, &Options{LockTimeout: time.Minute, OpenFile: func(name string, flag int, mode fs.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode)
			select {
			case <-begun:
			default:
				close(begun)
			}
			return f, err
		}})
		opens <- opened{second, err}
	}()
	<-begun
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.commit(t, s, m.large(t, "2", 10))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	second := <-opens
	if second.err != nil {
		t.Fatal(second.err)
	}
	defer second.s.Close()
	m.expect(t, second.s, "opened by the one who waited")
}

func TestCompactionThroughALinkKeepsTheLink(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "file.db"), filepath.Join(dir, "link.db")
	_ = openQuick(t, path, nil).Close()
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	s := openQuick(t, link, nil)
	m := newModel()
	m.commit(t, s, m.large(t, "1", 10))
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(link); err != nil || to != path {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	m.expect(t, openQuick(t, path, nil), "by its own name")
}

func TestStatsOfANewStore(t *testing.T) {
	s := openQuick(t, filepath.Join(t.TempDir(), "new.db"), nil)
	stats, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if stats.First != 1 || stats.Last != 0 || stats.Oldest.IsSet() || stats.Bytes == 0 {
		t.Errorf("stats are %+v", stats)
	}
	m := newModel()
	m.do(t, s, state.Key{Business: "2", Task: "1"}, newRoot("1"), start("1"))
	if stats, err = s.Stats(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := m.feed[1].Recorded; stats.First != 1 || stats.Last != 2 || stats.Pending != 2 || stats.Checkpoint != 0 || stats.Oldest != want {
		t.Errorf("stats are %+v, want the oldest from %v", stats, want)
	}
}
