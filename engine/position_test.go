package engine_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

// firstEvent returns the first event of a watch after a position.
func (f *fixture) firstEvent(after store.Position) (store.Event, error) {
	for event, err := range f.Watch(f.ctx, after) {
		return event, err
	}
	return store.Event{}, nil
}

// A consumer that followed a store beyond its backup must not continue silently
// with the restored one.
func TestAWatchReportsARestoredBackup(t *testing.T) {
	for name, backUp := range map[string]func(f *fixture, to string) error{
		"made online": func(f *fixture, to string) error { return f.store.(*boltstore.Store).BackupTo(f.ctx, to) },
		"a copy of the closed file": func(f *fixture, to string) error {
			if err := errors.Join(f.Close(), f.store.Close()); err != nil {
				return err
			}
			data, err := os.ReadFile(f.path)
			if err != nil {
				return err
			}
			defer f.reopen()
			return os.WriteFile(to, data, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := onBolt(t, engine.Options{})
			f.task("10", "root")
			shared := f.Position()
			backup := filepath.Join(t.TempDir(), "backup.db")
			if err := backUp(f, backup); err != nil {
				t.Fatal(err)
			}
			f.record(engine.Suspend("root"), engine.Resume("root"))
			snap, err := f.Load(f.ctx, store.ByNode("root"))
			if err != nil {
				t.Fatal(err)
			}
			ahead := []store.Position{shared.At(shared.Sequence + 1), snap.Position}
			if event, err := f.firstEvent(shared); err != nil || event.Sequence != 3 || event.Position.Sequence != 3 {
				t.Errorf("the original continues with %v, %v", event, err)
			}

			restored := onStore(t, mustOpenBolt(t, backup), engine.Options{})
			for _, records := range []int{0, 1, 9} { // before the positions, at them and after them
				for range records {
					restored.record(engine.Suspend("root"))
					restored.record(engine.Resume("root"))
				}
				for _, p := range ahead {
					if event, err := restored.firstEvent(p); !errors.Is(err, store.ErrHistory) {
						t.Errorf("%d records later, after %s: %v, %v, want %v", records, p, event, err, store.ErrHistory)
					}
				}
			}
			if event, err := restored.firstEvent(shared); err != nil || event.Sequence != 3 {
				t.Errorf("the restored one continues with %v, %v", event, err)
			}
			if event, err := restored.firstEvent(restored.Position().At(4)); err != nil || event.Sequence != 5 {
				t.Errorf("its own position continues with %v, %v", event, err)
			}
		})
	}
}

func mustOpenBolt(t *testing.T, path string) store.Store {
	t.Helper()
	s, err := boltstore.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}
