package boltstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// hanging is a consumer that reads nothing until it is released.
type hanging struct {
	bytes.Buffer
	asked, proceed chan struct{}
}

func newHanging() *hanging {
	return &hanging{asked: make(chan struct{}), proceed: make(chan struct{})}
}

func (h *hanging) Write(p []byte) (int, error) {
	select {
	case <-h.proceed:
	default:
		close(h.asked)
		<-h.proceed
	}
	return h.Buffer.Write(p)
}

// During this the file outgrows its mapping, for which a commit waits for all
// readers.
func TestAHangingConsumerOfABackupBlocksNobody(t *testing.T) {
	dir := t.TempDir()
	s := openQuick(t, filepath.Join(dir, "tasks.db"), &Options{OverlayTransitions: 50, mapped: 1 << 15})
	m := newModel()
	m.commit(t, s, m.large(t, "before", 10))
	before := m.clone()
	consumer, done := newHanging(), make(chan error)
	go func() { done <- s.Backup(t.Context(), consumer) }()
	<-consumer.asked
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("the directory holds %v, %v; want the file and its journal", entries, err)
	}
	for i := range 400 {
		m.commit(t, s, m.large(t, fmt.Sprint("task", i), 250))
	}
	must(t, s.Compact(t.Context()))
	m.expect(t, s, "while the consumer hangs")
	must(t, s.Close())
	close(consumer.proceed)
	must(t, <-done)
	before.expect(t, openImage(t, consumer.Bytes(), nil), "the backup")
}

func TestAReaderContinuesWithTheOldFileDuringACompaction(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tasks.db")
	s := openQuick(t, path, nil)
	m := newModel()
	m.commit(t, s, m.large(t, "1", 10))
	s.writeBackAll()
	old := s.boltFile
	reading, proceed, done := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		done <- s.view(t.Context(), func() {}, func(tx *bolt.Tx) error {
			close(reading)
			<-proceed
			if n := tasksBucket.in(tx).Stats().KeyN; n != 1 {
				return fmt.Errorf("%d tasks in the old file", n)
			}
			return nil
		})
	}()
	<-reading
	must(t, s.Compact(t.Context()))
	for i := range 20 {
		m.commit(t, s, m.large(t, fmt.Sprint("later", i), 200))
	}
	m.expect(t, s, "compacted")
	close(proceed)
	must(t, <-done)
	if _, err := old.file.Stat(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the old file: %v, want it closed", err)
	}
	must(t, s.Close())
	m.expect(t, openQuick(t, path, nil), "reopened")
}

// A commit, a compaction or a check may have to wait for another one, but not
// beyond the end of its context.
func TestEveryWaitEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	s := openQuick(t, filepath.Join(dir, "tasks.db"), nil)
	m := newModel()
	m.commit(t, s, m.large(t, "1", 10))
	s.writer.Lock()
	for name, f := range map[string]func(ctx context.Context) error{
		"commit": func(ctx context.Context) error {
			_, err := s.Commit(ctx, []store.Write{m.large(t, "2", 10)})
			return err
		},
		"compact":    s.Compact,
		"compact to": func(ctx context.Context) error { return s.CompactTo(ctx, filepath.Join(dir, "copy")) },
		"check":      func(ctx context.Context) error { return s.Check(ctx, func(string) {}) },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- f(ctx) }()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v, want one that matches %q", name, err, context.Canceled)
		}
	}
	s.writer.Unlock()
	m.do(t, s, state.Key{Business: "2", Task: "1"}, start("1"))
	m.expect(t, s, "after the wait")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("the directory holds %v, %v; want the file and its journal", entries, err)
	}
}
