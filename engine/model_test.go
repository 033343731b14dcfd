package engine_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/engine/internal/model"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

// TestEngineAgreesWithTheModel drives engines on a store with random
// operations, and the model with the same, and compares all that can be seen.
// The engines keep next to nothing in memory, the bolt store leaves next to
// nothing in its journal, and both are closed and opened again now and then.
// -rapid.checks and -rapid.steps make it as long as one likes; -v says what
// the operations came to.
func TestEngineAgreesWithTheModel(t *testing.T) {
	for name, open := range map[string]func(dir string, d *model.Drawer) func() (store.Store, error){
		"memory": func(string, *model.Drawer) func() (store.Store, error) {
			s := store.NewMemory()
			return func() (store.Store, error) { return keptOpen{s}, nil }
		},
		"bolt": func(dir string, d *model.Drawer) func() (store.Store, error) {
			o := &boltstore.Options{OverlayTransitions: 1 + d.UpTo(30, "overlay")}
			if d.In(50, "trimmed feed") {
				o.FeedTransitions = 1 + d.UpTo(100, "feed")
			}
			return func() (store.Store, error) { return boltstore.Open(filepath.Join(dir, "tasks.db"), o) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			came := map[string]int{}
			chance := rapid.Map(rapid.SliceOfN(rapid.Bool(), 8, 8), model.Number)
			rapid.Check(t, func(rt *rapid.T) {
				draw := &model.Drawer{
					Chance: func(what string) int { return chance.Draw(rt, what) },
					Log:    func(op string) { rt.Log(op) },
				}
				limits := state.Limits{Levels: 3 + draw.UpTo(3, "levels"), Nodes: 4 + draw.UpTo(15, "nodes")}
				draw.Model = model.New(limits)
				m := &machine{T: rt, draw: draw, model: draw.Model, came: came, openStore: open(t.TempDir(), draw)}
				m.opts = engine.Options{Limits: limits, MaxLiveNodes: 1 + draw.UpTo(20, "live nodes"), Now: m.now, NewID: m.newID}
				m.open()
				defer m.close()
				rt.Repeat(map[string]func(*rapid.T){
					"one by one": func(*rapid.T) {
						for range 10 {
							m.forget()
							m.do(draw.Ops(draw.Key(), 1))
						}
					},
					"batch":  func(*rapid.T) { m.do(draw.Ops(draw.Key(), 2+draw.UpTo(4, "ops"))) },
					"queue":  func(*rapid.T) { m.queue() },
					"purge":  func(*rapid.T) { m.purge() },
					"reopen": func(*rapid.T) { m.close(); m.open() },
					"switch": func(*rapid.T) { m.current = draw.UpTo(len(m.engines), "engine") },
					"":       func(*rapid.T) { m.compareAll() },
				})
			})
			total := 0
			for _, what := range slices.Sorted(maps.Keys(came)) {
				t.Logf("%7d %s", came[what], what)
				total += came[what]
			}
			t.Logf("%7d operations", total)
		})
	}
}

// keptOpen is a store that outlives its closing, as a file does.
type keptOpen struct{ store.Store }

func (keptOpen) Close() error { return nil }

// machine is two engines on a store, and the model of what is in there.
type machine struct {
	*rapid.T
	draw      *model.Drawer
	model     *model.Store
	opts      engine.Options
	openStore func() (store.Store, error)
	store     store.Store
	engines   [2]*engine.Engine
	current   int // the engine to use next
	came      map[string]int

	clock state.Instant
	ids   uint64 // generated so far
}

func (m *machine) now() time.Time { return m.clock.Time() }

func (m *machine) newID() string {
	m.ids++
	return fmt.Sprintf("%032x", m.ids)
}

func (m *machine) open() {
	var err error
	if m.store, err = m.openStore(); err != nil {
		m.Fatal(err)
	}
	for i := range m.engines {
		if m.engines[i], err = engine.Open(context.Background(), m.store, &m.opts); err != nil {
			m.Fatal(err)
		}
	}
}

func (m *machine) close() {
	for _, e := range m.engines {
		if err := e.Close(); err != nil {
			m.Error(err)
		}
	}
	if err := m.store.Close(); err != nil {
		m.Error(err)
	}
}

func (m *machine) engine() *engine.Engine { return m.engines[m.current] }

// same fails the test if what the engine says is not what the model says.
func (m *machine) same(what string, engine, model any) {
	m.Helper()
	if !reflect.DeepEqual(engine, model) {
		m.Fatalf("%s (-model +engine):\n%s", what, cmp.Diff(model, engine, byValue))
	}
}

// complete does to operations what the engine will: it sets the clock and
// generates what was left open.
func (m *machine) complete(ops []state.Op) (given []engine.Op, completed []state.Op) {
	ids := m.ids
	defer func() { m.ids = ids }()
	for _, op := range ops {
		isNew := op.Kind == state.Create || op.Kind == state.Declare
		if isNew && !op.NodeGiven {
			op.Node = ""
		}
		given = append(given, engine.RawOp(op))
		op.Now = m.clock
		if isNew && !op.NodeGiven && op.Node == "" {
			op.Node = m.newID()
		}
		if (op.Kind == state.Declare || op.Kind.NewAttempt()) && !op.NewVersion.IsSet() {
			op.NewVersion, _ = state.ParseVersion(m.newID())
		}
		completed = append(completed, op)
	}
	return given, completed
}

// do records operations of one task.
func (m *machine) do(ops []state.Op) {
	m.clock = m.draw.Time()
	given, ops := m.complete(ops)
	results, err := m.engine().Record(context.Background(), given...)
	if m.compareAnswer(ops, results, err) {
		key, _ := m.keyOf(ops[0])
		m.compareTask(m.engine(), key)
	}
}

// queue submits several requests about one task before it waits for any.
func (m *machine) queue() {
	m.clock = m.draw.Time()
	key := m.draw.Key()
	var requests [][]state.Op
	var pending []*engine.Pending
	for range 2 + m.draw.UpTo(5, "requests") {
		ops := m.draw.Ops(key, 1+m.draw.UpTo(2, "ops"))
		if owner, ok := m.keyOf(ops[0]); ok && owner != key {
			continue // misshapen; would change the order of sequences
		}
		given, ops := m.complete(ops)
		requests, pending = append(requests, ops), append(pending, m.engine().Submit(given...))
	}
	accepted := false
	for i, p := range pending {
		results, err := p.Wait(context.Background())
		accepted = m.compareAnswer(requests[i], results, err) || accepted
	}
	if accepted {
		m.compareTask(m.engine(), key)
	}
}

// keyOf is the task an operation belongs to.
func (m *machine) keyOf(op state.Op) (state.Key, bool) {
	switch op.Kind {
	case state.Create:
		return op.Task, true
	case state.Declare:
		return m.model.Owner(op.Parent)
	}
	return m.model.Owner(op.Node)
}

// compareAnswer does the operations in the model, compares the answers and
// reports whether they were accepted. After that the engine shows the task as
// it is; until then it may lag behind the other.
func (m *machine) compareAnswer(ops []state.Op, results []engine.Result, err error) (accepted bool) {
	m.Helper()
	expected, code, index := m.model.Do(ops...)
	if got := model.Code(err); got != code {
		m.Fatalf("code %q, the model says %q at %d: %v", got, code, index, err)
	}
	if err != nil {
		var refused *state.Error
		if !errors.As(err, &refused) {
			m.Fatalf("refused with a %T: %v", err, err)
		}
		m.same("index of the refused operation", refused.Index, index)
		m.same("refused operation", refused.Op, ops[index].Kind)
		m.came["refused "+code]++
		m.came["rolled back"] += index
		return false
	}
	var want []engine.Result
	for i, o := range expected {
		want = append(want, engine.Result{Sequence: o.Sequence, Node: o.Node, Version: o.Version.String(), Repeated: o.Repeat})
		m.came[map[bool]string{false: "ok ", true: "repeat "}[o.Repeat]+ops[i].Kind.String()]++
	}
	m.same("results", results, want)
	return true
}

// forget deletes tasks some time after they ended, or tries to.
func (m *machine) forget() {
	for _, key := range m.model.Keys() {
		h, _ := m.model.Header(key)
		if !h.State.Ended() || !m.draw.In(30, "delete") {
			continue
		}
		m.clock = m.draw.Time()
		err := m.engine().Delete(context.Background(), key.Business, key.Task, engine.Actor("janitor"))
		if h.Unfinished {
			m.same("code of a delete", model.Code(err), model.InvalidTransition)
			m.came["refused delete"]++
			continue
		}
		if err != nil {
			m.Fatalf("delete %s: %v", key, err)
		}
		m.model.Delete(key, m.clock, "janitor")
		m.came["ok delete"]++
	}
}

func (m *machine) purge() {
	if !m.draw.In(20, "really") {
		return
	}
	m.clock = m.draw.Time()
	r := engine.Retention{Keep: m.draw.UpTo(2, "keep")}
	if m.draw.In(50, "by age") {
		r.Before = m.draw.Time().Time()
	}
	if m.draw.In(50, "by state") {
		r.Shown = []state.State{state.Finished, state.Revoked}
	}
	removed, err := m.engine().Purge(context.Background(), r)
	if err != nil {
		m.Fatal(err)
	}
	want, seen := 0, 0
	for _, key := range slices.Backward(m.model.Keys()) {
		h, _ := m.model.Header(key)
		if r.Shown != nil && !slices.Contains(r.Shown, h.Shown) {
			continue
		}
		if seen++; seen <= r.Keep || h.Unfinished || !r.Before.IsZero() && !state.InstantOf(r.Before).After(h.Updated) {
			continue
		}
		m.model.Delete(key, m.clock, "")
		want++
	}
	m.same("number of tasks purged", removed, want)
	m.came["ok purge"] += removed
}

// compareTask compares a task as a reader shows it.
func (m *machine) compareTask(r store.Reader, key state.Key) {
	m.Helper()
	snap, err := r.Load(context.Background(), store.Ref{Key: key})
	want := m.model.Tree(key)
	if want == nil {
		m.same("code of a task that is not there", model.Code(err), model.NotFound)
		return
	}
	if err != nil {
		m.Fatal(err)
	}
	m.same("tree", model.Of(snap.Tree), want)
	m.same("revision", snap.Tree.Revision(), m.model.Revision(key))
}

// compareAll compares everything, with the trees as the store has them.
func (m *machine) compareAll() {
	ctx := context.Background()
	keys := m.model.Keys()
	page, err := m.store.List(ctx, store.ListQuery{})
	if err != nil || page.Cursor != "" {
		m.Fatalf("list: cursor %q, %v", page.Cursor, err)
	}
	m.same("number of tasks", len(page.Tasks), len(keys))
	for i, key := range slices.Backward(keys) {
		h, _ := m.model.Header(key)
		m.same("header", model.HeaderOf(&page.Tasks[len(keys)-1-i]), h)
		m.compareTask(m.store, key)
		m.compareHistories(m.model.Tree(key))
	}
	m.compareFeed()
}

func (m *machine) compareHistories(n *model.Node) {
	past, err := m.engine().Attempts(context.Background(), n.ID, 0, 0)
	if err != nil {
		m.Fatal(err)
	}
	if len(past) > 0 || len(m.model.History(n.ID)) > 0 {
		m.same("history of "+n.ID, past, m.model.History(n.ID))
	}
	for i := range n.Children {
		m.compareHistories(&n.Children[i])
	}
}

// compareFeed compares the transitions that are kept.
func (m *machine) compareFeed() {
	ctx := context.Background()
	feed, err := m.engine().Changes(ctx, 1<<63, 1)
	if err != nil {
		m.Fatal(err)
	}
	m.same("last sequence", feed.Last, m.model.Sequence())
	// A page of the latest is enough: the earlier ones were the latest once.
	after := max(feed.First-1, feed.Last-min(feed.Last, 200))
	if feed, err = m.engine().Changes(ctx, after, 0); err != nil {
		m.Fatal(err)
	}
	var got []model.Entry
	for _, tr := range feed.Transitions {
		got = append(got, model.EntryOf(tr))
	}
	m.same("feed", got, append([]model.Entry(nil), m.model.Log()[after:]...))
}
