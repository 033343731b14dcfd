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

// An unreadable record only affects its own task.
func TestReadableTasksAreListedDespiteUnreadableOnes(t *testing.T) {
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
		s.quiet(t, func() {
			err := s.db.Update(func(tx *bolt.Tx) error {
				v := append([]byte(nil), b.in(tx).Get(k)...)
				v[len(v)/2] ^= 0x10
				return b.in(tx).Put(k, v)
			})
			if err != nil {
				t.Fatal(err)
			}
		})
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

	// Another task has an unreadable node.
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

// Any unreadable task can be deleted. Its key and IDs are then free, and the
// commits of others do not wait for it.
func TestAnUnreadableTaskCanBeDeleted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tasks.db")
	s := openQuick(t, path, &Options{OverlayTransitions: 20})
	m := newModel()
	key, other := state.Key{Business: "2", Task: "bad"}, state.Key{Business: "2", Task: "good"}
	m.do(t, s, key, newRoot("root"), start("root"), activity("a", "root"), activity("b", "root"))
	for i := range 2 * groupNodes {
		m.do(t, s, key, activity(fmt.Sprint("more", i), "root"))
	}
	m.do(t, s, other, newRoot("other"), start("other"))
	s.writeBackAll()
	number := m.tasks[key].header.Number
	s.quiet(t, func() {
		err := s.db.Update(func(tx *bolt.Tx) error {
			k := nodeKey(number, 0)
			v := append([]byte(nil), nodesBucket.in(tx).Get(k)...)
			v[len(v)/2] ^= 0x10
			if err := nodesBucket.in(tx).Put(k, v); err != nil {
				return err
			}
			k, v = transitionsBucket.in(tx).Cursor().Seek(seqKey(number))
			return transitionsBucket.in(tx).Put(append([]byte(nil), k...), v[:len(v)-1])
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	m.commit(t, s, m.deletion(key))
	for i := range 40 {
		m.do(t, s, state.Key{Business: "2", Task: fmt.Sprint(i)}, newRoot(fmt.Sprint("new", i)), start(fmt.Sprint("new", i)))
	}
	s.writeBackAll()
	m.do(t, s, key, newRoot("a"), start("a"), activity("b", "a"), activity("root", "a"))
	m.expect(t, s, "after the deletion")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := openQuick(t, path, nil)
	m.expect(t, again, "reopened")
}

// A journal is checked like any writer: frames that no commit can have recorded
// are damage, even with correct checksums.
func TestAJournalThatDoesNotFollowIsCorrupt(t *testing.T) {
	s := openQuick(t, filepath.Join(t.TempDir(), "tasks.db"), nil)
	m := newModel()
	key := state.Key{Business: "2", Task: "10"}
	m.do(t, s, key, newRoot("root"), start("root"), activity("a", "root"))
	number, header := m.tasks[key].header.Number, m.tasks[key].header
	started, err := m.change(key, start("a"))
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(tr *state.Transition){
		"as it was":          func(*state.Transition) {},
		"from another state": func(tr *state.Transition) { tr.Changes[0].From = state.Suspended },
		"of another node":    func(tr *state.Transition) { tr.Changes[0].Index = 7 },
		"a node twice":       func(tr *state.Transition) { tr.Changes = append(tr.Changes, tr.Changes[0]) },
	} {
		tr := *started.Transitions[0]
		tr.Changes = append([]state.Change(nil), tr.Changes...)
		spoil(&tr)
		err := s.view(t.Context(), func() {}, func(tx *bolt.Tx) error {
			r := replayer{tx: tx, overlay: &s.overlay, orphans: make(map[uint64]uint64)}
			return r.follows(r.overlay.entry(number), number, []*state.Transition{&tr}, &header)
		})
		if (err == nil) != (name == "as it was") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
