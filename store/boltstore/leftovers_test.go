package boltstore

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/store/boltstore/internal/files"
)

// All leftovers of killed processes are removed; files in use, and files of
// others, stay.
func TestOnlyUnfinishedCopiesAreRemoved(t *testing.T) {
	source := openQuick(t, filepath.Join(t.TempDir(), "source.db"), nil)
	m := newModel()
	m.commit(t, source, m.large(t, "1", 10))
	source.writeBackAll()
	image := source.image(t).file
	for name, work := range map[string]func(t *testing.T, dir string){
		"a backup":     func(t *testing.T, dir string) { must(t, source.BackupTo(t.Context(), filepath.Join(dir, "today.db"))) },
		"a compaction": func(t *testing.T, dir string) { must(t, source.CompactTo(t.Context(), filepath.Join(dir, "today.db"))) },
		"another store that opens": func(t *testing.T, dir string) {
			openQuick(t, filepath.Join(dir, "today.db"), nil)
		},
		"a salvage": func(t *testing.T, dir string) {
			to := filepath.Join(t.TempDir(), "damaged.db")
			must(t, os.WriteFile(to, image, 0o600))
			_, err := Salvage(t.Context(), to, filepath.Join(dir, "today.db"), nil)
			must(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			long := time.Now().Add(-time.Hour)
			put := func(name string, data []byte, at time.Time) string {
				name = filepath.Join(dir, name)
				must(t, os.MkdirAll(filepath.Dir(name), 0o700))
				must(t, os.WriteFile(name, data, 0o600))
				must(t, os.Chtimes(name, at, at))
				return name
			}
			left := []string{
				put(".yesterday.db.new-12345", image[:len(image)/2], long),
				put(".today.db.new-1", nil, long),
				put(".salvaged.db.new-7/scratch", image, long),
				put(".salvaged.db.new-7/store", image, long),
				filepath.Join(dir, ".salvaged.db.new-7"),
			}
			busy := put(".busy.db.new-9", image, long)
			f, err := os.Open(busy)
			must(t, err)
			defer f.Close()
			must(t, files.Lock(f, false, time.Second))
			stay := []string{
				busy,
				put(".fresh.db.new-3", image, time.Now()),
				put(".notes.new-5", []byte("by hand, with a name like that of a file that is unfinished"), long),
				put("visible.db.new-5", image, long),
				put(".words.db.new-5a", image, long),
				put(".album.new-8/scratch", image, long),
				put(".album.new-8/photo", image, long),
			}
			work(t, dir)
			for _, name := range left {
				if _, err := os.Lstat(name); err == nil {
					t.Errorf("%s is left", name)
				}
			}
			for _, name := range stay {
				if _, err := os.Lstat(name); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}
