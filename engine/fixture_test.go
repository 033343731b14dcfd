package engine_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/engine/internal/model"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

// fixture is an engine on a store, with a clock that advances a second with
// every reading and IDs that count.
type fixture struct {
	*testing.T
	*engine.Engine
	ctx   context.Context
	store store.Store
	path  string // of the bolt file, "" for memory
	opts  engine.Options
	bolt  *boltstore.Options

	reopens bool // at each pause
}

// epoch is the first time of the fixture's clock.
var epoch = time.Unix(1524730114, 0)

var kindsOfStore = map[string]func(*testing.T, engine.Options) *fixture{"memory": onMemory, "bolt": onBolt}

// forEachStore runs a test on every kind of store.
func forEachStore(t *testing.T, test func(f *fixture)) {
	for name, on := range kindsOfStore {
		t.Run(name, func(t *testing.T) { test(on(t, engine.Options{})) })
	}
}

// forEachStoreReopened runs a test on every kind of store, and once more with
// the engine, and the file if there is one, reopened at each [fixture.pause].
func forEachStoreReopened(t *testing.T, test func(f *fixture)) {
	forEachStore(t, test)
	for name, on := range kindsOfStore {
		t.Run(name+" reopened", func(t *testing.T) {
			f := on(t, engine.Options{})
			f.reopens = true
			test(f)
		})
	}
}

func onMemory(t *testing.T, o engine.Options) *fixture {
	return open(&fixture{T: t, store: store.NewMemory(), opts: o})
}

func onBolt(t *testing.T, o engine.Options) *fixture {
	return open(&fixture{T: t, path: filepath.Join(t.TempDir(), "tasks.db"), opts: o})
}

// onStore is an engine on a given store, which the test closes.
func onStore(t *testing.T, s store.Store, o engine.Options) *fixture {
	return open(&fixture{T: t, store: s, opts: o})
}

func open(f *fixture) *fixture {
	f.ctx = f.Context()
	if f.opts.Now == nil {
		f.opts.Now = ticking()
	}
	if f.opts.NewID == nil {
		f.opts.NewID = counting()
	}
	f.open()
	f.Cleanup(f.close)
	return f
}

func (f *fixture) open() {
	f.Helper()
	var err error
	if f.path != "" {
		if f.store, err = boltstore.Open(f.path, f.bolt); err != nil {
			f.Fatal(err)
		}
	}
	// Not f.ctx, which has ended when a test's cleanups run.
	if f.Engine, err = engine.Open(context.Background(), f.store, &f.opts); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) close() {
	f.Helper()
	if err := f.Close(); err != nil {
		f.Error(err)
	}
	if f.path != "" {
		if err := f.store.Close(); err != nil {
			f.Error(err)
		}
	}
}

// reopen closes and opens the engine, and the file if there is one.
func (f *fixture) reopen() {
	f.Helper()
	f.close()
	f.open()
}

// pause reopens the engine if the fixture does so.
func (f *fixture) pause() {
	f.Helper()
	if f.reopens {
		f.reopen()
	}
}

// another is a second engine on the same store.
func (f *fixture) another() *fixture {
	f.Helper()
	g := *f
	g.path = ""
	g.open()
	f.Cleanup(g.close)
	return &g
}

// reopenEngine closes the engine and opens another on the same open store.
func (f *fixture) reopenEngine() {
	f.Helper()
	if err := f.Close(); err != nil {
		f.Error(err)
	}
	var err error
	if f.Engine, err = engine.Open(context.Background(), f.store, &f.opts); err != nil {
		f.Fatal(err)
	}
}

func isConflict(err error) bool { return errors.Is(err, store.ErrConflict) }

// ticking is a clock that advances a second with every reading.
func ticking() func() time.Time {
	var n atomic.Int64
	return func() time.Time { return epoch.Add(time.Duration(n.Add(1)-1) * time.Second) }
}

// counting makes IDs that count from 1.
func counting() func() string {
	var n atomic.Uint64
	return func() string { return fmt.Sprintf("%032x", n.Add(1)) }
}

// id is the n-th ID of counting, which is also a valid version.
func id(n int) string { return fmt.Sprintf("%032x", n) }

// record records operations that must be accepted.
func (f *fixture) record(ops ...engine.Op) []engine.Result {
	f.Helper()
	results, err := f.Record(f.ctx, ops...)
	if err != nil {
		f.Fatal(err)
	}
	return results
}

// task creates a task whose root has the given ID and starts it.
func (f *fixture) task(task, root string) {
	f.Helper()
	f.record(engine.Create("2", task, engine.ID(root)), engine.Start(root))
}

// activity declares a service activity and applies operations to it.
func (f *fixture) activity(parent, node string, then ...func(node string, opts ...engine.Option) engine.Op) {
	f.Helper()
	ops := []engine.Op{engine.Declare(parent, state.ServiceActivity, engine.ID(node))}
	for _, op := range then {
		ops = append(ops, op(node))
	}
	f.record(ops...)
}

// fails is [engine.Fail] in the form of the other operations.
func fails(node string, opts ...engine.Option) engine.Op {
	return engine.Fail(node, "exit status 1", opts...)
}

// node returns a node as the engine shows it.
func (f *fixture) node(id string) state.Node {
	f.Helper()
	snap, err := f.Load(f.ctx, store.ByNode(id))
	if err != nil {
		f.Fatal(err)
	}
	n := snap.Tree.Node(snap.Index)
	if n.ID != id {
		f.Fatalf("asked for node %q, got %q", id, n.ID)
	}
	return n
}

// expectStates expects nodes in states, given as pairs.
func (f *fixture) expectStates(want map[string]state.State) {
	f.Helper()
	for id, st := range want {
		if n := f.node(id); n.State != st {
			f.Errorf("node %q is %s, want %s", id, n.State, st)
		}
	}
}

// expectRefusal expects an [*state.Error] that matches a sentinel.
func (f *fixture) expectRefusal(err, want error) *state.Error {
	f.Helper()
	var refused *state.Error
	if !errors.As(err, &refused) || !errors.Is(err, want) {
		f.Fatalf("got %T %v, want a refusal: %v", err, err, want)
	}
	return refused
}

// contents is all readable data of a store or engine.
type contents struct {
	Last     uint64
	Tasks    []store.Task
	Trees    map[state.Key]*model.Node
	Attempts map[string][]state.Attempt
	Feed     []*state.Transition
}

// read returns the contents of a store or engine.
func read(t testing.TB, r store.Reader) contents {
	t.Helper()
	// Tests also read after canceling their context.
	ctx := context.Background()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	feed, err := r.Feed(ctx, store.Position{}, 1<<30)
	check(err)
	c := contents{
		Last: feed.Last.Sequence, Feed: feed.Transitions,
		Trees: map[state.Key]*model.Node{}, Attempts: map[string][]state.Attempt{},
	}
	for q := (store.ListQuery{}); ; {
		page, err := r.List(ctx, q)
		check(err)
		for _, task := range page.Tasks {
			c.Tasks = append(c.Tasks, task)
			snap, err := r.Load(ctx, store.Ref{Key: task.Key})
			check(err)
			c.Trees[task.Key] = model.Of(snap.Tree)
			for i := range snap.Tree.Len() {
				past, err := store.Superseded(ctx, r, store.ByNode(snap.Tree.ID(i)), 0, 1<<30)
				check(err)
				if len(past) > 0 {
					c.Attempts[snap.Tree.ID(i)] = past
				}
			}
		}
		if page.Cursor == "" {
			return c
		}
		q.Cursor = page.Cursor
	}
}

var byValue = cmpopts.EquateComparable(state.Version{}, state.Instant{})

// expectUnchanged runs do and expects that neither the engine nor the store
// changes.
func (f *fixture) expectUnchanged(do func()) {
	f.Helper()
	before, seq := read(f.T, f.store), f.Position().Sequence
	do()
	expectSame(f.T, "the store changed", before, read(f.T, f.store))
	if f.Position().Sequence != seq {
		f.Errorf("the sequence went from %d to %d", seq, f.Position().Sequence)
	}
	switch _, err := f.Feed(context.Background(), store.Position{}, 1); {
	case errors.Is(err, store.ErrClosed):
	case err != nil:
		f.Error(err)
	default:
		expectSame(f.T, "the engine shows something else", before, read(f.T, f.Engine))
	}
}

// expectSame computes the difference only if there is one, since that takes
// long for deep trees.
func expectSame(t testing.TB, what string, before, after contents) {
	t.Helper()
	if !reflect.DeepEqual(before, after) {
		t.Errorf("%s (-before +after):\n%s", what, cmp.Diff(before, after, byValue))
	}
}

// watched collects the sequences that a watch yields between two positions, and
// fails unless they are complete.
func (f *fixture) watched(after, to uint64) (all []*state.Transition) {
	f.Helper()
	for tr, err := range f.Watch(f.ctx, f.Position().At(after)) {
		if err != nil {
			f.Fatal(err)
		}
		if all = append(all, tr.Transition); tr.Sequence >= to {
			break
		}
	}
	expectDense(f.T, all, after+1)
	return all
}

func expectDense(t testing.TB, trs []*state.Transition, first uint64) {
	t.Helper()
	for i, tr := range trs {
		if want := first + uint64(i); tr.Sequence != want {
			t.Fatalf("sequence %d instead of %d", tr.Sequence, want)
		}
	}
}
