package boltstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/files"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/pages"
)

// large returns a change that creates a task with a name of n bytes.
func (m *model) large(t testing.TB, task string, n int) store.Write {
	t.Helper()
	c, err := m.change(state.Key{Business: "2", Task: task}, state.Op{Kind: state.Create, Node: task, Name: strings.Repeat("x", n)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFullFileRefusesCleanlyUntilThereIsRoom(t *testing.T) {
	for _, overlay := range []int{1, 200, 1 << 16} {
		t.Run(fmt.Sprint("overlay=", overlay), func(t *testing.T) {
			o := &Options{MaxSize: 1 << 20, OverlayTransitions: overlay, FeedTransitions: 1}
			path := filepath.Join(t.TempDir(), "full.db")
			s := openQuick(t, path, o)
			s.db.AllocSize = 32 << 10
			m := newModel()
			full := 0
			for i := 0; full < 3; i++ {
				c := m.large(t, fmt.Sprint("task", i), 255)
				results, err := s.Commit(t.Context(), []store.Write{c})
				switch {
				case err == nil:
					m.accept(c, results[0].First)
				case errors.Is(err, store.ErrFull) && !errors.Is(err, store.ErrFailed) && strings.Contains(err.Error(), path):
					full++
				default:
					t.Fatalf("commit %d: %v", i, err)
				}
			}
			if n := len(m.tasks); n < 200 {
				t.Fatalf("full after %d tasks", n)
			}
			m.expect(t, s, "when full")
			if info, err := os.Stat(path); err != nil || info.Size() > int64(o.MaxSize) {
				t.Errorf("the file has %d bytes, more than its bound", info.Size())
			}

			// It accepts deletes, also after a crash, and reuses the room that
			// they free.
			for round := range 2 {
				n := len(m.tasks) / 2
				for key := range m.clone().tasks {
					if n--; n < 0 {
						break
					}
					m.commit(t, s, m.deletion(key))
				}
				m.expect(t, s, "after deletes")
				s = openPair(t, s.image(t), o)
				s.db.AllocSize = 32 << 10
				for i := range 50 {
					m.commit(t, s, m.large(t, fmt.Sprint("later", round, "-", i), 255))
				}
				m.expect(t, s, "after deletes and a crash")
			}
			if err := s.Compact(t.Context()); err != nil {
				t.Error(err)
			}
			m.expect(t, s, "compacted")
		})
	}
}

// A commit that is too large gets ErrFull, and a later small one is accepted.
func TestCommitTooLargeForTheFileLeavesTheOthersAlone(t *testing.T) {
	s := openQuick(t, filepath.Join(t.TempDir(), "full.db"), &Options{MaxSize: 1 << 20})
	m := newModel()
	m.commit(t, s, m.large(t, "1", 10))
	var changes []store.Write
	for i := range 10_000 {
		changes = append(changes, m.large(t, fmt.Sprint("many", i), 250))
	}
	if _, err := s.Commit(t.Context(), changes); !errors.Is(err, store.ErrFull) {
		t.Fatalf("error %v, want one that matches %q", err, store.ErrFull)
	}
	m.commit(t, s, m.large(t, "2", 10))
	m.expect(t, s, "afterwards")
}

// capture makes Open report the file that it opened.
func capture(o Options, file **os.File) *Options {
	o.OpenFile = func(name string, flag int, mode fs.FileMode) (f *os.File, err error) {
		f, err = os.OpenFile(name, flag, mode)
		*file = f
		return f, err
	}
	return &o
}

func TestFailedWriteStopsTheStoreUntilItIsReopened(t *testing.T) {
	for _, overlay := range []int{1, 1 << 16} {
		t.Run(fmt.Sprint("overlay=", overlay), func(t *testing.T) {
			var file *os.File
			path := filepath.Join(t.TempDir(), "failing.db")
			s := openQuick(t, path, capture(Options{OverlayTransitions: overlay}, &file))
			m := newModel()
			key := state.Key{Business: "2", Task: "1"}
			m.do(t, s, key, newRoot("1"), start("1"), activity("a", "1"))

			_ = file.Close()
			c := m.large(t, "lost", 10)
			for range 2 {
				_, err := s.Commit(t.Context(), []store.Write{c})
				expectFailed(t, "commit", err)
			}
			_, err := s.Load(t.Context(), store.Ref{Key: key})
			expectFailed(t, "load", err)
			_, err = s.Locate(t.Context(), store.ByNode("a"))
			expectFailed(t, "locate", err)
			_, err = s.List(t.Context(), store.ListQuery{})
			expectFailed(t, "list", err)
			_, err = s.Transitions(t.Context(), key, 0, 0)
			expectFailed(t, "transitions", err)
			_, err = s.Attempts(t.Context(), store.ByNode("a"), store.AttemptQuery{})
			expectFailed(t, "attempts", err)
			_, err = s.Feed(t.Context(), store.Position{}, 0)
			expectFailed(t, "changes", err)
			expectFailed(t, "check", s.Check(t.Context(), func(string) {}))
			_ = s.Close() // returns that the file is closed already

			s = openQuick(t, path, nil)
			if _, err := s.Load(t.Context(), store.Ref{Key: c.Key()}); err == nil {
				t.Fatal("nothing could be written, and yet it is there")
			}
			m.expect(t, s, "reopened")
			m.do(t, s, key, start("a"))
			m.expect(t, s, "after another commit")
		})
	}
}

// A commit without room for pages that no page leads to yet has failed; one
// whose meta page readers can see has an unknown outcome.
func TestAVisibleCommitWithAnErrorHasAnUnknownOutcome(t *testing.T) {
	s := openQuick(t, filepath.Join(t.TempDir(), "shown.db"), nil)
	for _, errno := range files.NoRoom {
		outcome, err := s.transact(func(tx *bolt.Tx) (bool, error) {
			tx.OnCommit(func() { panic(fmt.Sprint("late: ", errno)) }) // when all is written
			return true, nil
		})
		if outcome != unknown || !files.LacksRoom(err) {
			t.Errorf("%v: outcome %d, error %v", errno, outcome, err)
		}
	}
}

func expectFailed(t testing.TB, what string, err error) {
	t.Helper()
	if !errors.Is(err, store.ErrFailed) || !strings.Contains(err.Error(), "reopen") {
		t.Errorf("%s: error %v, want one that matches %q and says what to do", what, err, store.ErrFailed)
	}
}

// everyCall makes each kind of call and returns its error.
func everyCall(ctx context.Context, s *Store, key state.Key, node string) map[string]error {
	errs := make(map[string]error)
	_, errs["load"] = s.Load(ctx, store.Ref{Key: key})
	_, errs["load by node"] = s.Load(ctx, store.ByNode(node))
	_, errs["locate"] = s.Locate(ctx, store.Ref{Key: key})
	_, errs["list"] = s.List(ctx, store.ListQuery{})
	_, errs["transitions"] = s.Transitions(ctx, key, 0, 0)
	_, errs["attempts"] = s.Attempts(ctx, store.ByNode(node), store.AttemptQuery{})
	_, errs["changes"] = s.Feed(ctx, store.Position{}, 0)
	return errs
}

// damaged makes a file with a few hundred tasks and lets change alter its
// pages from the third on.
func damaged(t *testing.T, change func(pages []byte)) (path string, key state.Key, node string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "damaged.db")
	s := openQuick(t, path, nil)
	m := newModel()
	for i := range 300 {
		key = state.Key{Business: "2", Task: fmt.Sprint(i)}
		node = fmt.Sprint("node", i)
		m.do(t, s, key, newRoot(fmt.Sprint("root", i)), activity(node, fmt.Sprint("root", i)))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	change(data[2*os.Getpagesize():])
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, key, node
}

// For any damage, Open or each call returns that the file is corrupt, or a
// correct answer; no call panics, hangs, or leaves the file locked.
func TestDamagedPagesAreCorruption(t *testing.T) {
	noise := func(data []byte) {
		for i := range data {
			data[i] = byte(i*i>>3 + 7*i)
		}
	}
	tests := map[string]func(data []byte){
		"all zeros":         func(data []byte) { clear(data) },
		"all noise":         noise,
		"second half noise": func(data []byte) { noise(data[len(data)/2:]) },
		"every page's header": func(data []byte) {
			for ; len(data) > 4096; data = data[4096:] {
				copy(data, bytes.Repeat([]byte{0xee}, 16))
			}
		},
		"every page's body": func(data []byte) {
			for ; len(data) > 4096; data = data[4096:] {
				noise(data[16:4096])
			}
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			path, key, node := damaged(t, change)
			found := 0
			for range 2 {
				s, err := Open(path, &Options{LockTimeout: time.Second})
				if err != nil {
					found++
					if !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrIncompatible) {
						t.Errorf("open: %v", err)
					}
					continue
				}
				for call, err := range everyCall(t.Context(), s, key, node) {
					if errors.Is(err, store.ErrCorrupt) {
						found++
					} else if err != nil && !errors.Is(err, state.ErrNotFound) {
						t.Errorf("%s: %v", call, err)
					}
				}
				problems := 0
				if err := s.Check(t.Context(), func(string) { problems++ }); err != nil && !errors.Is(err, store.ErrCorrupt) {
					t.Errorf("check: %v", err)
				} else if err == nil && problems == 0 {
					t.Error("check found nothing")
				}
				_ = s.Close()
			}
			if found == 0 {
				t.Error("nobody was told")
			}
		})
	}
}

// A damaged list of free pages would make the next commit destroy much more.
func TestOpenDetectsADamagedFreelist(t *testing.T) {
	field := func(at int, value byte) func(page []byte) {
		return func(page []byte) { page[at] = value }
	}
	for name, damage := range map[string]func(page []byte){
		"another page's number": field(0, 0xff),
		"no freelist":           field(8, pages.Leaf),
		"more than fit":         field(11, 0x40),
		"many pages long":       field(15, 1),
		"a page behind the end": field(pages.HeaderBytes+5, 1),
		"a meta page":           func(page []byte) { clear(page[pages.HeaderBytes : pages.HeaderBytes+8]) },
		"a page twice":          func(page []byte) { copy(page[pages.HeaderBytes+8:pages.HeaderBytes+16], page[pages.HeaderBytes:]) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "free.db")
			s := openQuick(t, path, nil)
			m := newModel()
			for i := range 50 {
				m.commit(t, s, m.large(t, fmt.Sprint(i), 200))
			}
			image := s.closedImage(t)
			meta, ok := pages.ReadMeta(bytes.NewReader(image), s.pageSize)
			page := image[int64(meta.Freelist)*int64(os.Getpagesize()):]
			if !ok || page[10] < 2 {
				t.Fatalf("%d pages are free", page[10])
			}
			damage(page)
			if err := os.WriteFile(path, image, 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if s, err := Open(path, &Options{LockTimeout: 50 * time.Millisecond}); !errors.Is(err, store.ErrCorrupt) {
					t.Errorf("error %v, want one that matches %q", err, store.ErrCorrupt)
					if err == nil {
						_ = s.Close()
					}
				}
			}
		})
	}
}
