package boltstore

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/store"
)

// A full store accepts deletes and reuses the room that they free.
func TestAFullStoreIsReadCheckedCopiedAndEmptied(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "full.db")
	o := &Options{MaxSize: 1 << 20, OverlayTransitions: 200, FeedTransitions: 1}
	s := openQuick(t, path, o)
	s.db.AllocSize = 32 << 10
	m := newModel()
	for i := 0; ; i++ {
		w := m.large(t, fmt.Sprint("task", i), 255)
		results, err := s.Commit(t.Context(), []store.Write{w})
		if errors.Is(err, store.ErrFull) {
			break
		}
		must(t, err)
		m.accept(w, results[0].First)
	}
	m.expect(t, s, "full") // every answer, and a check
	for name, copied := range map[string]error{
		"backup":    s.BackupTo(t.Context(), filepath.Join(dir, "backup")),
		"compacted": s.CompactTo(t.Context(), filepath.Join(dir, "compacted")),
	} {
		must(t, copied)
		m.expect(t, openQuick(t, filepath.Join(dir, name), nil), name)
	}
	for key := range m.clone().tasks {
		m.commit(t, s, m.deletion(key))
	}
	must(t, s.Compact(t.Context()))
	stats, err := s.Stats(t.Context())
	must(t, err)
	if stats.Bytes > 1<<18 {
		t.Errorf("an emptied file has %d bytes", stats.Bytes)
	}
	m.expect(t, s, "emptied")
	for i := range 50 {
		m.commit(t, s, m.large(t, fmt.Sprint("again", i), 255))
	}
	m.expect(t, s, "filled again")
}

// The journal has room for a commit, and the file has none.
func TestCloseOfAFullStoreReportsThatItsJournalStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "full.db")
	s := openQuick(t, path, nil)
	m := newModel()
	for i := range 200 {
		m.commit(t, s, m.large(t, fmt.Sprint("task", i), 250))
	}
	stats, err := s.Stats(t.Context())
	must(t, err)
	s.quiet(t, func() {
		s.opts.MaxSize = int(stats.Bytes) - len(readFile(t, path+journalSuffix)) + keptForRemovals(leastMaxSize)
	})
	if err := s.Close(); !errors.Is(err, store.ErrFull) || !strings.Contains(err.Error(), path+journalSuffix) {
		t.Errorf("error %v, want one that matches %q and names the journal", err, store.ErrFull)
	}
	must(t, s.Close()) // again
	expectNeighbors(t, path, "full.db-journal")
	s = openQuick(t, path, nil)
	m.expect(t, s, "reopened with more room")
	must(t, s.Close())
	expectNeighbors(t, path)
	m.expect(t, openQuick(t, path, nil), "closed with room")
}
