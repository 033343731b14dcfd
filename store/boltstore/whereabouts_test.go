package boltstore

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// displaced is an open store whose path now leads elsewhere.
type displaced struct {
	s *Store
	m *model
	// own is the present path of the store's file, "" if it has none; others
	// are other files, which must stay unchanged.
	own    string
	others []string
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// displacements are ways to make a path lead elsewhere.
var displacements = map[string]func(t *testing.T, dir string) displaced{
	"moved away": func(t *testing.T, dir string) displaced {
		d := openForDisplacement(t, filepath.Join(dir, "tasks.db"))
		d.own = filepath.Join(dir, "moved.db")
		must(t, os.Rename(filepath.Join(dir, "tasks.db"), d.own))
		return d
	},
	"removed": func(t *testing.T, dir string) displaced {
		d := openForDisplacement(t, filepath.Join(dir, "tasks.db"))
		must(t, os.Remove(filepath.Join(dir, "tasks.db")))
		return d
	},
	"moved away and another store in its place": func(t *testing.T, dir string) displaced {
		path := filepath.Join(dir, "tasks.db")
		d := openForDisplacement(t, path)
		d.own = filepath.Join(dir, "moved.db")
		must(t, os.Rename(path, d.own))
		other := openForDisplacement(t, path)
		must(t, other.s.Close())
		d.others = []string{path}
		return d
	},
	"a link turned elsewhere": func(t *testing.T, dir string) displaced {
		link, path, other := filepath.Join(dir, "link.db"), filepath.Join(dir, "tasks.db"), filepath.Join(dir, "other.db")
		must(t, openForDisplacement(t, other).s.Close())
		d := openForDisplacement(t, path)
		must(t, d.s.Close())
		must(t, os.Symlink(path, link))
		d.s, d.own, d.others = openQuick(t, link, nil), path, []string{other}
		must(t, os.Remove(link))
		must(t, os.Symlink(other, link))
		return d
	},
}

func openForDisplacement(t *testing.T, path string) displaced {
	t.Helper()
	d := displaced{s: openQuick(t, path, nil), m: newModel()}
	d.m.commit(t, d.s, d.m.large(t, "1", 10))
	return d
}

func TestACommitNoticesThatTheFileIsNoLongerAtItsPath(t *testing.T) {
	for name, displace := range displacements {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d := displace(t, dir)
			images := d.readOthers(t)
			for range 2 {
				_, err := d.s.Commit(t.Context(), []store.Write{d.m.large(t, "late", 10)})
				if !errors.Is(err, store.ErrReplaced) || errors.Is(err, store.ErrFailed) {
					t.Errorf("commit: error %v, want one that matches %q", err, store.ErrReplaced)
				}
				if err := d.s.Compact(t.Context()); !errors.Is(err, store.ErrReplaced) {
					t.Errorf("compact: error %v, want one that matches %q", err, store.ErrReplaced)
				}
			}
			d.m.expect(t, d.s, "displaced")
			copied := filepath.Join(dir, "rescued.db")
			must(t, d.s.BackupTo(t.Context(), copied))
			must(t, d.s.Close())
			d.m.expect(t, openQuick(t, copied, nil), "rescued")
			if d.own != "" {
				d.m.expect(t, openQuick(t, d.own, nil), "by its own name")
			}
			for i, other := range d.others {
				if data, err := os.ReadFile(other); err != nil || string(data) != images[i] {
					t.Errorf("%s was changed: %v", other, err)
				}
			}
		})
	}
}

func (d *displaced) readOthers(t *testing.T) (images []string) {
	t.Helper()
	for _, other := range d.others {
		data, err := os.ReadFile(other)
		must(t, err)
		images = append(images, string(data))
	}
	return images
}

// The file that was moved back is the same one, so the store can continue.
func TestAFileMovedBackIsWrittenAgain(t *testing.T) {
	dir := t.TempDir()
	path, moved := filepath.Join(dir, "tasks.db"), filepath.Join(dir, "moved.db")
	d := openForDisplacement(t, path)
	must(t, os.Rename(path, moved))
	if _, err := d.s.Commit(t.Context(), []store.Write{d.m.large(t, "2", 10)}); !errors.Is(err, store.ErrReplaced) {
		t.Fatalf("error %v, want one that matches %q", err, store.ErrReplaced)
	}
	must(t, os.Rename(moved, path))
	d.m.do(t, d.s, state.Key{Business: "2", Task: "1"}, start("1"))
	must(t, d.s.Close())
	d.m.expect(t, openQuick(t, path, nil), "reopened")
}

func TestARelativePathIsTheSameFileAfterAChangeOfDirectory(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	t.Chdir(elsewhere)
	other := openForDisplacement(t, "tasks.db")
	must(t, other.s.Close())
	t.Chdir(dir)
	d := openForDisplacement(t, "tasks.db")
	t.Chdir(elsewhere)
	d.m.commit(t, d.s, d.m.large(t, "2", 10))
	must(t, d.s.Compact(t.Context()))
	d.m.commit(t, d.s, d.m.large(t, "3", 10))
	must(t, d.s.Close())
	other.m.expect(t, openQuick(t, filepath.Join(elsewhere, "tasks.db"), nil), "the other")
	d.m.expect(t, openQuick(t, filepath.Join(dir, "tasks.db"), nil), "its own")
}

// A hard link is a second name: after a compaction it would lead to the old
// file, without later commits.
func TestCompactionLeavesAFileWithSeveralNamesAlone(t *testing.T) {
	dir := t.TempDir()
	path, second := filepath.Join(dir, "tasks.db"), filepath.Join(dir, "second.db")
	d := openForDisplacement(t, path)
	must(t, os.Link(path, second))
	if err := d.s.Compact(t.Context()); !errors.Is(err, store.ErrReplaced) {
		t.Errorf("compact: error %v, want one that matches %q", err, store.ErrReplaced)
	}
	d.m.commit(t, d.s, d.m.large(t, "2", 10))
	must(t, d.s.Close())
	d.m.expect(t, openQuick(t, second, nil), "by its second name")
}
