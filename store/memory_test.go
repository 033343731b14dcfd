package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/storetest"
)

func TestMemoryKeepsTheContract(t *testing.T) {
	storetest.Run(t, storetest.Factory{New: func(testing.TB) store.Store { return store.NewMemory() }})
}

func TestZeroMemoryIsReadyToUse(t *testing.T) {
	storetest.Run(t, storetest.Factory{New: func(testing.TB) store.Store { return new(store.Memory) }})
}

// apply returns the change that operations on a tree make, and the tree after.
func apply(t testing.TB, tree *state.Tree, ops ...state.Op) (store.Write, *state.Tree) {
	t.Helper()
	for i := range ops {
		ops[i].Now = state.UnixInstant(1_700_000_000+int64(i), 0)
		if ops[i].Kind.NamesAttempt() {
			ops[i].NewVersion = state.VersionOf([16]byte{byte(tree.Len()), byte(i)})
		}
	}
	after, outcomes, err := tree.Apply(state.Limits{}, ops...)
	if err != nil {
		t.Fatal(err)
	}
	c := store.Write{Base: tree.Revision()}
	for _, o := range outcomes {
		c.Transitions = append(c.Transitions, o.Transition)
	}
	return c, after
}

// newTask is the change that creates a task with a node "n", started both.
func newTask(t testing.TB, task string) (store.Write, *state.Tree) {
	t.Helper()
	key := state.Key{Business: "2", Task: task}
	return apply(
		t, state.NewTree(key),
		state.Op{Kind: state.Create, Task: key, Node: task},
		state.Op{Kind: state.Start, Node: task},
		state.Op{Kind: state.Declare, Node: task + ".n", Parent: task, NodeKind: state.ServiceActivity},
		state.Op{Kind: state.Start, Node: task + ".n"},
	)
}

func mustCommit(t testing.TB, s store.Store, changes ...store.Write) {
	t.Helper()
	results, err := s.Commit(t.Context(), changes)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
}

func TestMemoryRefusesWritesThatDoNotFitTheTask(t *testing.T) {
	m := store.NewMemory()
	c, tree := newTask(t, "a")
	mustCommit(t, m, c)
	tree = tree.WithRevision(4)
	spoiled := map[string]func(c *state.Change){
		"an unknown index":             func(c *state.Change) { c.Index = 7 },
		"a negative index":             func(c *state.Change) { c.Index = -1 },
		"another node's index":         func(c *state.Change) { c.Index = 0 },
		"another ID":                   func(c *state.Change) { c.ID = "a" },
		"another kind":                 func(c *state.Change) { c.Kind = state.Subprocess },
		"no state":                     func(c *state.Change) { c.State = 0 },
		"no former state":              func(c *state.Change) { c.From = 0 },
		"a former state out of range":  func(c *state.Change) { c.From = 200 },
		"a declaration of an old node": func(c *state.Change) { c.Declared = &state.Declaration{Parent: "a"} },
	}
	for name, spoil := range spoiled {
		bad, _ := apply(t, tree, state.Op{Kind: state.Finish, Node: "a.n"})
		spoil(&bad.Transitions[0].Changes[0])
		good, _ := newTask(t, "b")
		_, err := m.Commit(t.Context(), []store.Write{good, bad})
		if !errors.Is(err, state.ErrInvalidArgument) {
			t.Errorf("%s: %v, want ErrInvalidArgument", name, err)
		}
	}
	undeclared, _ := newTask(t, "b")
	undeclared.Transitions[2].Changes[0].Declared.ParentIndex = 1
	_, err := m.Commit(t.Context(), []store.Write{undeclared})
	if !errors.Is(err, state.ErrInvalidArgument) || !errors.Is(err, state.ErrMalformed) {
		t.Errorf("a node in itself: %v, want ErrInvalidArgument and ErrMalformed", err)
	}
	elsewhere, _ := newTask(t, "b")
	elsewhere.Transitions[2].Changes[0].Declared.Parent = "c"
	if _, err := m.Commit(t.Context(), []store.Write{elsewhere}); !errors.Is(err, state.ErrInvalidArgument) {
		t.Errorf("a parent whose ID and index differ: %v, want ErrInvalidArgument", err)
	}

	feed, err := m.Feed(t.Context(), store.Position{}, 0)
	if err != nil || feed.Last.Sequence != 4 || len(feed.Transitions) != 4 {
		t.Errorf("changes to %s, %v, want the first 4", feed.Last, err)
	}
	if _, err := m.Locate(t.Context(), store.ByKey("2", "b")); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("locate of a task in a refused commit: %v", err)
	}
}

func TestMemoryRefusesAnIDTwiceInOneTask(t *testing.T) {
	m := store.NewMemory()
	c, _ := newTask(t, "a")
	c.Transitions[2].Changes[0].ID = "a" // as its root
	c.Transitions = c.Transitions[:3]
	results, err := m.Commit(t.Context(), []store.Write{c})
	if err != nil || !errors.Is(results[0].Err, state.ErrExists) {
		t.Errorf("two nodes of one ID: %v, %v, want ErrExists", results, err)
	}
	if _, err := m.Locate(t.Context(), store.ByKey("2", "a")); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("locate: %v", err)
	}
}

// A list that finds no task for a long time returns an empty page with a cursor.
func TestMemoryInterruptsTheSearchForRareTasks(t *testing.T) {
	m := store.NewMemory()
	const n = 25_000
	changes := make([]store.Write, n)
	for i := range changes {
		business := "common"
		if i == 0 {
			business = "rare"
		}
		key := state.Key{Business: business, Task: fmt.Sprint(i)}
		changes[i], _ = apply(t, state.NewTree(key), state.Op{Kind: state.Create, Task: key, Node: fmt.Sprint("n", i)})
	}
	mustCommit(t, m, changes...)
	pages, found := 0, 0
	for q := (store.ListQuery{Business: "rare"}); ; pages++ {
		page, err := m.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		found += len(page.Tasks)
		if q.Cursor = page.Cursor; q.Cursor == "" {
			break
		}
	}
	if pages != 2 || found != 1 {
		t.Errorf("found %d tasks, %d pages before the last, want 1 and 2", found, pages)
	}
}

func TestMemoryCheckNeedsAnOpenStore(t *testing.T) {
	m := store.NewMemory()
	c, _ := newTask(t, "a")
	mustCommit(t, m, c)
	report := func(p string) { t.Errorf("problem: %s", p) }
	if err := m.Check(t.Context(), report); err != nil {
		t.Errorf("check: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Check(ctx, report); !errors.Is(err, context.Canceled) {
		t.Errorf("check with a canceled context: %v", err)
	}
	m.Close()
	if err := m.Check(t.Context(), report); !errors.Is(err, store.ErrClosed) {
		t.Errorf("check of a closed store: %v", err)
	}
}

func BenchmarkMemoryListFirstPage(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		b.Run(fmt.Sprintf("tasks=%d/store=memory", n), func(b *testing.B) {
			m := store.NewMemory()
			for i := range n {
				key := state.Key{Business: "2", Task: fmt.Sprint(i)}
				c, _ := apply(b, state.NewTree(key), state.Op{Kind: state.Create, Task: key, Node: fmt.Sprint(i)})
				mustCommit(b, m, c)
			}
			for b.Loop() {
				if _, err := m.List(b.Context(), store.ListQuery{Limit: 50}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
