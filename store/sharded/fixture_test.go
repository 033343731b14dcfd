package sharded_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/sharded"
	"github.com/pipestatus/pipestatus/store/storetest"
)

// database is a member that can be lost and restored, and that several handles
// can open. Its contents survive the close of a handle.
type database struct {
	store.Store // the contents
	name        string
	down        atomic.Bool
	opened      atomic.Int32
}

var errRefused = errors.New("connection refused")

func newDatabase(name string) *database { return &database{name: name, Store: store.NewMemory()} }

func (d *database) reach() error {
	if d.down.Load() {
		return errRefused
	}
	return nil
}

// handle is an open member.
type handle struct {
	storetest.Wrapper
	mu     sync.Mutex // protects closed and failed
	closed bool
	failed error
}

func (h *handle) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	return nil
}

func (h *handle) usable(d *database) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return store.ErrClosed
	case h.failed != nil:
		return h.failed
	}
	return d.reach()
}

// fail makes the handle refuse every call, as after a commit with an unknown
// outcome.
func (h *handle) fail() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failed = fmt.Errorf("%w: %w", store.ErrFailed, errRefused)
	return h.failed
}

func (d *database) member() sharded.Member {
	return sharded.Member{Name: d.name, Open: func(context.Context) (store.Store, error) {
		if err := d.reach(); err != nil {
			return nil, err
		}
		d.opened.Add(1)
		return d.handle(), nil
	}}
}

func (d *database) handle() *handle {
	h := &handle{}
	h.Store = d.Store
	h.BeforeCommit = func(context.Context, []store.Write) error { return h.usable(d) }
	h.BeforeRead = func(context.Context, string) error { return h.usable(d) }
	return h
}

// fleet is databases named a, b and so on, with the businesses "a1", "b1" and so on.
type fleet struct {
	testing.TB
	databases []*database
}

func newFleet(t testing.TB, names string) *fleet {
	f := &fleet{TB: t}
	for _, name := range names {
		f.databases = append(f.databases, newDatabase(string(name)))
	}
	return f
}

func (f *fleet) members() (members []sharded.Member) {
	for _, d := range f.databases {
		members = append(members, d.member())
	}
	return members
}

// byInitial places a business on the member that has its first letter as its name.
func byInitial(business string) string { return business[:1] }

func (f *fleet) open() store.Store {
	f.Helper()
	return open(f, f.members(), &sharded.Options{Place: byInitial, Retry: time.Millisecond})
}

// create is a write that creates a task, whose root has the ID root, or the task's
// name if that is empty.
func create(t testing.TB, business, task, root string) store.Write {
	t.Helper()
	if root == "" {
		root = business + "." + task
	}
	key := state.Key{Business: business, Task: task}
	return write(t, state.NewTree(key), state.Op{Kind: state.Create, Task: key, Node: root})
}

var ticks atomic.Int64

func write(t testing.TB, tree *state.Tree, ops ...state.Op) (w store.Write) {
	t.Helper()
	for i := range ops {
		ops[i].Now = state.UnixInstant(1_700_000_000+ticks.Add(1), 0)
	}
	_, outcomes, err := tree.Apply(state.Limits{}, ops...)
	if err != nil {
		t.Fatal(err)
	}
	w.Base = tree.Revision()
	for _, o := range outcomes {
		w.Transitions = append(w.Transitions, o.Transition)
	}
	return w
}

// commit commits writes that must all apply.
func commit(t testing.TB, s store.Store, writes ...store.Write) []store.Result {
	t.Helper()
	results, err := s.Commit(t.Context(), writes)
	for _, r := range results {
		err = errors.Join(err, r.Err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// step suspends or resumes a task.
func step(t testing.TB, s store.Store, business, task string) {
	t.Helper()
	snap, err := s.Load(t.Context(), store.ByKey(business, task))
	if err != nil {
		t.Fatal(err)
	}
	op := state.Op{Kind: state.Suspend, Node: snap.Tree.ID(0)}
	if snap.Tree.State(0) == state.Suspended {
		op.Kind = state.Resume
	}
	commit(t, s, write(t, snap.Tree, op))
}

// changes reads all changes after a position.
func changes(t testing.TB, s store.Reader, after store.Position) (trs []*state.Transition, end store.Position) {
	t.Helper()
	for {
		page, err := s.Feed(t.Context(), after, 3)
		if err != nil {
			t.Fatal(err)
		}
		trs, after = append(trs, page.Transitions...), page.After()
		if len(page.Transitions) == 0 {
			return trs, after
		}
	}
}

// tasks returns the keys in a list, in its order.
func tasks(t testing.TB, s store.Reader, q store.ListQuery) (keys []string) {
	t.Helper()
	for task, err := range store.Tasks(t.Context(), s, q) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, task.Key.String())
	}
	return keys
}

// eventually waits until something holds: a minute at most, since a loaded machine
// may sync slowly.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if holds() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("%s: not after a minute", what)
}

// sound checks the whole store.
func sound(t testing.TB, s store.Store) {
	t.Helper()
	err := s.(store.Checker).Check(t.Context(), func(problem string) { t.Error(problem) })
	if err != nil {
		t.Fatal(err)
	}
}

// database is where [byInitial] places a business.
func (f *fleet) database(business string) *database {
	i := slices.IndexFunc(f.databases, func(d *database) bool { return d.name == byInitial(business) })
	return f.databases[i]
}
