package boltstore

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// A task whose transitions are lost, but whose nodes are all readable, keeps
// its nodes and all attempts.
func TestSalvageMakesTransitionsFromCompleteNodes(t *testing.T) {
	s := openQuick(t, filepath.Join(t.TempDir(), "whole.db"), &Options{FeedTransitions: 1})
	m := newestStory(t, s)
	closed := s.closedImage(t)
	path := filepath.Join(t.TempDir(), "damaged.db")
	write(t, path, closed)
	lost := 0
	alterBolt(t, path, func(tx *bolt.Tx) error {
		for _, b := range []bucket{transitionsBucket, feedBucket} {
			c := b.in(tx).Cursor()
			for k, _ := c.First(); k != nil; k, _ = c.First() {
				if err := c.Delete(); err != nil {
					return err
				}
				lost++
			}
		}
		return nil
	})
	if lost == 0 {
		t.Fatal("there was nothing to lose")
	}
	done, reports := m.salvageImage(t, image{file: readFile(t, path)}, "without transitions")
	if done.Partly != len(m.tasks) {
		t.Errorf("%+v of %d tasks:\n%s", done, len(m.tasks), strings.Join(reports, "\n"))
	}
	to := filepath.Join(t.TempDir(), "new.db")
	if _, err := Salvage(t.Context(), path, to, func(string) {}); err != nil {
		t.Fatal(err)
	}
	salvaged := openQuick(t, to, nil)
	for key, task := range m.tasks {
		snap, err := salvaged.Load(t.Context(), store.Ref{Key: key})
		if err != nil {
			t.Errorf("task %s: %v", key, err)
			continue
		}
		if d := cmp.Diff(nodesOf(task.tree), nodesOf(snap.Tree), cmpopts.EquateComparable(state.Version{}, state.Instant{})); d != "" {
			t.Errorf("task %s (-want +got):\n%s", key, d)
		}
		if got, want := snap.Tree.Labels(), task.tree.Labels(); got != want {
			t.Errorf("task %s: labels %v, want %v", key, got, want)
		}
		for i := range task.tree.Len() {
			id := task.tree.ID(i)
			if got, err := attemptsOf(t.Context(), salvaged, id); err != nil || !sameAttempts(got, task.all(i)) {
				t.Errorf("node %q has the attempts %+v, %v, want %+v", id, got, err, task.all(i))
			}
		}
	}
}
