package boltstore

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// One record that cannot be read takes away no task but its own.
func TestReadableTasksAreListedBesideUnreadableOnes(t *testing.T) {
	s := openQuick(t, filepath.Join(t.TempDir(), "tasks.db"), nil)
	m := newModel()
	var keys []state.Key
	for i := range 5 {
		key := state.Key{Business: "2", Task: fmt.Sprint(i)}
		m.do(t, s, key, newRoot(fmt.Sprint("root", i)), start(fmt.Sprint("root", i)))
		keys = append(keys, key)
	}
	s.writeBackAll()
	bad := m.tasks[keys[2]].header.Number
	damage := func(b bucket, k []byte) {
		t.Helper()
		err := s.db.Update(func(tx *bolt.Tx) error {
			v := append([]byte(nil), b.in(tx).Get(k)...)
			v[len(v)/2] ^= 0x10
			return b.in(tx).Put(k, v)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	damage(tasksBucket, seqKey(bad))

	for name, q := range map[string]store.ListQuery{
		"all": {}, "page by page": {Limit: 1}, "a business": {Business: "2"}, "unfinished": {Unfinished: true},
	} {
		listed := 0
		var last error
		for _, err := range store.Tasks(t.Context(), s, q) {
			if last = err; err == nil {
				listed++
			}
		}
		var passed *store.UnreadableError
		if listed != 4 || !errors.As(last, &passed) || len(passed.Tasks) != 1 || passed.Tasks[0].Number != bad || !errors.Is(last, store.ErrCorrupt) {
			t.Errorf("list of %s: %d tasks, %v", name, listed, last)
		}
	}

	// Another task has a node that cannot be read.
	damage(nodesBucket, nodeKey(m.tasks[keys[3]].header.Number, 0))
	var problems []string
	if err := s.Check(t.Context(), func(p string) { problems = append(problems, p) }); err != nil {
		t.Error(err)
	}
	all := strings.Join(problems, "\n")
	for _, want := range []string{fmt.Sprintf("task %d cannot be read", bad), fmt.Sprintf("task %s: load", keys[3])} {
		if !strings.Contains(all, want) {
			t.Errorf("check does not say %q:\n%s", want, all)
		}
	}
	if strings.Contains(all, fmt.Sprintf("task %s:", keys[4])) {
		t.Errorf("check finds fault with a sound task:\n%s", all)
	}

	// A write to an unreadable task is refused and the others of the commit are not.
	sound, unreadable := m.tasks[keys[4]], m.tasks[keys[3]]
	suspend := func(task *modelTask) store.Write {
		_, outcomes, err := task.tree.Apply(state.Limits{}, state.Op{Kind: state.Suspend, Node: task.tree.ID(0), Now: state.UnixInstant(1_800_000_000, 0)})
		if err != nil {
			t.Fatal(err)
		}
		return store.Write{Base: task.tree.Revision(), Transitions: []*state.Transition{outcomes[0].Transition}}
	}
	results, err := s.Commit(t.Context(), []store.Write{suspend(unreadable), suspend(sound)})
	if err != nil || !errors.Is(results[0].Err, store.ErrCorrupt) || results[1].Err != nil {
		t.Errorf("commit: %+v, %v", results, err)
	}
}
