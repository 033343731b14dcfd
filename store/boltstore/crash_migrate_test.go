package boltstore_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

// next is the options of a version with another schema.
func next(said func()) *boltstore.Options {
	return boltstore.NextSchema(tiny, func(n int) error {
		if n == 0 {
			said()
		}
		return nil
	})
}

// migrate opens a file of the previous schema, reports when it begins and ends
// to change the file, and waits to be killed.
func migrate(path string) error {
	if _, err := boltstore.Open(path, next(func() { fmt.Println("migrating") })); err != nil {
		return err
	}
	fmt.Println("migrated")
	time.Sleep(time.Hour)
	return nil
}

func TestProcessKilledDuringAMigrationLeavesTheFileBeforeOrAfterIt(t *testing.T) {
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	w := newWitness()
	older := filepath.Join(t.TempDir(), "older.db")
	w.lived(t, older, 120)
	silent := next(func() {})
	var before, after, copies, unfinished int
	for i := range kills(6, 200) {
		dir := t.TempDir()
		path := filepath.Join(dir, "victim.db")
		copyFile(t, older, path)
		// Kills begin at the start, for the copy, or at the first change.
		w.kill(t, "migrate", path, "", time.Duration(r.IntN(40_000))*time.Microsecond, i%3 == 0)
		again := filepath.Join(t.TempDir(), "again.db") // so that looking changes nothing
		for _, name := range listed(t, dir) {
			switch name {
			case "victim.db":
			case "victim.db.schema4":
				copies++
				copyFile(t, filepath.Join(dir, name), again)
				w.verify(t, again, &tiny)
			default:
				unfinished++
			}
		}
		// The previous version sees its own file, or one that it refuses.
		copyFile(t, path, again)
		switch s, err := boltstore.Open(again, &tiny); {
		case err == nil:
			before++
			_ = s.Close()
			w.verify(t, again, &tiny)
		case errors.Is(err, store.ErrIncompatible):
			after++
		default:
			t.Errorf("opened by the version before: %v", err)
		}
		w.verify(t, path, silent)
		if left := listed(t, dir); !slices.Equal(left, []string{"victim.db", "victim.db.schema4"}) {
			t.Errorf("afterwards there are %q", left)
		}
		if t.Failed() {
			t.Fatalf("after %d kills", i+1)
		}
	}
	t.Logf("the file was %d times the one before, %d times migrated; %d copies, %d unfinished files", before, after, copies, unfinished)
}

func listed(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
