package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/pages"
)

// bbolt silently falls back to the older meta page, which would lose the last
// acknowledged commit.
func TestADamagedMetaPageOfTheLastCommitIsNoticed(t *testing.T) {
	for more := range 4 { // an altered bit makes some numbers others than it makes of the next
		t.Run(fmt.Sprint(more), func(t *testing.T) {
			s := openQuick(t, filepath.Join(t.TempDir(), "whole.db"), nil)
			m := story(t, s, 40+more, 5)
			m.do(t, s, state.Key{Business: "2", Task: "last"}, newRoot("last"))
			expectMetasExamined(t, s)
		})
	}
	t.Run("a copy", func(t *testing.T) {
		s := openQuick(t, filepath.Join(t.TempDir(), "whole.db"), nil)
		m := story(t, s, 40, 5)
		for i := range 2 {
			path := filepath.Join(t.TempDir(), "copy.db")
			must(t, s.BackupTo(t.Context(), path))
			s = openQuick(t, path, nil)
			m.do(t, s, state.Key{Business: "2", Task: fmt.Sprint("before", i)}, newRoot(fmt.Sprint("before", i)))
		}
		m.do(t, s, state.Key{Business: "2", Task: "last"}, newRoot("last"))
		expectMetasExamined(t, s)
	})
}

// expectMetasExamined alters the meta pages of a store whose last commit
// created the task "last".
func expectMetasExamined(t *testing.T, s *Store) {
	t.Helper()
	image, pageSize := s.closedImage(t), int(s.pageSize)
	file := bytes.NewReader(image)
	meta, ok := pages.ReadMeta(file, s.pageSize)
	if !ok {
		t.Fatal("no meta page")
	}
	newest := pages.HeaderBytes
	if first, _ := pages.ReadMetaAt(file, 0); first.Transaction != meta.Transaction {
		newest += pageSize
	}
	older := pageSize + 2*pages.HeaderBytes - newest
	salvaged := 0
	for at := range 64 {
		inNumber := at >= pages.TransactionAt && at < pages.TransactionAt+8
		for _, bit := range []byte{1, 2, 0x80} {
			if bit != 1 && !inNumber {
				continue
			}
			altered := slices.Clone(image)
			altered[newest+at] ^= bit
			path := filepath.Join(t.TempDir(), "newest.db")
			must(t, os.WriteFile(path, altered, 0o600))
			if _, err := Open(path, nil); !errors.Is(err, store.ErrCorrupt) {
				t.Fatalf("byte %d of the newer meta page: error %v, want one that matches %q", at, err, store.ErrCorrupt)
			}
			if at%16 == 0 && bit == 1 {
				expectLastSalvaged(t, path)
				salvaged++
			}

			altered = slices.Clone(image)
			altered[older+at] ^= bit
			path = filepath.Join(t.TempDir(), "older.db")
			must(t, os.WriteFile(path, altered, 0o600))
			o := &Options{ReadOnly: true}
			s, err := Open(path, o)
			if inNumber && errors.Is(err, store.ErrCorrupt) {
				continue // either page may be the older one
			}
			must(t, err)
			var problems []string
			must(t, s.Check(t.Context(), func(p string) { problems = append(problems, p) }))
			if len(problems) != 1 || !strings.Contains(problems[0], "older meta page") {
				t.Fatalf("byte %d of the older meta page: check reports %q", at, problems)
			}
			must(t, s.Close())
		}
	}
	if salvaged == 0 {
		t.Error("nothing was salvaged")
	}
}

// expectLastSalvaged expects salvage to find the task of the last commit.
func expectLastSalvaged(t *testing.T, path string) {
	t.Helper()
	to := filepath.Join(t.TempDir(), "salvaged.db")
	if _, err := Salvage(t.Context(), path, to, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := openQuick(t, to, nil).Load(t.Context(), store.ByKey("2", "last")); err != nil {
		t.Errorf("salvaged: %v", err)
	}
}
