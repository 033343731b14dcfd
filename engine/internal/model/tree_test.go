package model_test

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/pipestatus/pipestatus/engine/internal/model"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// TestTreeAgreesWithTheModel applies random operations to a few trees, which
// together are a store, and to the model, and compares everything visible.
// -rapid.checks and -rapid.steps set the length; -v reports the outcomes of the
// operations.
func TestTreeAgreesWithTheModel(t *testing.T) {
	came := map[string]int{}
	chance := rapid.Map(rapid.SliceOfN(rapid.Bool(), 8, 8), model.Number)
	rapid.Check(t, func(t *rapid.T) {
		draw := model.Drawer{
			Chance: func(what string) int { return chance.Draw(t, what) },
			Log:    func(op string) { t.Log(op) },
		}
		limits := draw.Limits()
		draw.Model = model.New(limits, nil)
		p := &pair{
			limits: limits, model: draw.Model, draw: &draw, came: came,
			trees: map[state.Key]*state.Tree{}, headers: map[state.Key]*store.Task{},
			told: map[state.Key][]*state.Transition{}, history: map[string][]state.Attempt{}, data: map[string]map[int]*model.Attempt{},
		}
		t.Repeat(map[string]func(*rapid.T){
			"one by one": func(t *rapid.T) {
				for range 10 {
					p.forget(t)
					p.do(t, draw.Ops(draw.Key(), 1)...)
				}
			},
			"batch": func(t *rapid.T) { p.do(t, draw.Ops(draw.Key(), 2+draw.UpTo(4, "ops"))...) },
			"":      p.untouched,
		})
	})
	total := 0
	for _, what := range slices.Sorted(maps.Keys(came)) {
		t.Logf("%7d %s", came[what], what)
		total += came[what]
	}
	t.Logf("%7d operations", total)
}

// pair is a set of trees and the model of them.
type pair struct {
	limits  state.Limits
	model   *model.Store
	draw    *model.Drawer
	trees   map[state.Key]*state.Tree
	headers map[state.Key]*store.Task
	told    map[state.Key][]*state.Transition
	history map[string][]state.Attempt        // superseded attempts by node, from transitions
	data    map[string]map[int]*model.Attempt // data that transitions brought, by node and number of the attempt
	last    *state.Tree                       // the tree before the last change
	lastWas *model.Node
	came    map[string]int
}

var byValue = cmpopts.EquateComparable(state.Version{}, state.Instant{})

// same fails the test if the tree and the model differ.
func same(t *rapid.T, what string, tree, model any) {
	t.Helper()
	if !reflect.DeepEqual(tree, model) {
		t.Fatalf("%s (-model +tree):\n%s", what, gocmp.Diff(model, tree, byValue))
	}
}

// do applies the operations to both sides; they are for one task.
func (p *pair) do(t *rapid.T, ops ...state.Op) {
	key := p.keyOf(ops[0])
	before := p.trees[key]
	if before == nil {
		before = state.NewTree(key)
	}
	was := model.Of(before)
	for i := range ops {
		ops[i].Taken = p.taken(ops[i], key)
	}
	for i := range ops {
		if before.WantsVersions(&ops[i]) {
			at, _ := before.Target(&ops[i])
			ops[i].VersionTaken = p.past(before, at, &state.Op{Version: ops[i].NewVersion}) != nil
		}
	}
	after, outcomes, err := before.Apply(p.limits, ops...)
	for p.recall(ops, err) {
		after, outcomes, err = before.Apply(p.limits, ops...)
	}
	expected, refused := p.model.Do(ops...)
	same(t, "the tree the operations were applied to", model.Of(before), was)
	if refused != nil || err != nil {
		p.refused(t, key, ops, refused, err)
		return
	}
	var transitions []*state.Transition
	for i, want := range expected {
		got := outcomes[i]
		same(t, "node", got.Node, want.Node)
		same(t, "version", got.Version, want.Version)
		same(t, "repeat", got.Transition == nil, want.Repeat)
		if want.Repeat {
			p.came["repeat "+ops[i].Kind.String()]++
			continue
		}
		p.came["ok "+ops[i].Kind.String()]++
		done, steps := got.Steps, want.Steps
		if !ops[i].Kind.Compound() {
			done, steps = []*state.Transition{got.Transition}, []model.Outcome{want}
		}
		same(t, "number of steps", len(done), len(steps))
		for j, tr := range done {
			committed := *tr
			committed.Sequence = steps[j].Sequence
			p.checkTransition(t, &committed, ops[i], steps[j])
			transitions = append(transitions, &committed)
		}
	}
	if len(transitions) == 0 {
		same(t, "tree after repeats", model.Of(after), was)
		return
	}
	p.last, p.lastWas = before, was
	p.accept(t, key, after.WithRevision(p.model.Revision(key)), transitions)
}

// recall looks up the attempt that a refused operation may be a repeat on, like
// an engine, and reports whether to apply the operations again.
func (p *pair) recall(ops []state.Op, err error) bool {
	var refused *state.Error
	if !errors.As(err, &refused) || !errors.Is(err, state.ErrVersionMismatch) {
		return false
	}
	op := &ops[refused.Index]
	tree := p.trees[p.keyOf(ops[0])]
	if !op.Idempotent && op.Kind != state.Report || op.Past != nil || tree == nil {
		return false
	}
	i, known := tree.Target(op)
	if !known {
		return false
	}
	op.Past = p.past(tree, i, op)
	return op.Past != nil
}

// past returns the earlier attempt of node i that an operation names, nil if it
// names none.
func (p *pair) past(tree *state.Tree, i int, op *state.Op) *state.Past {
	n := tree.Node(i)
	next := n.Attempt
	for _, a := range slices.Backward(p.history[n.ID]) {
		if op.Names(&a) {
			past := state.PastOf(&a, &next)
			return &past
		}
		next = a
	}
	return nil
}

// refused compares a refusal. A tree does not know that a missing node is in
// another task, and that a batch is therefore for two tasks.
func (p *pair) refused(t *rapid.T, key state.Key, ops []state.Op, want *model.Refusal, err error) {
	t.Helper()
	got, ok := model.RefusalOf(err)
	if !ok || want == nil {
		t.Fatalf("refused with %T %v, the model says %+v", err, err, want)
	}
	if op := ops[got.Index]; got.Index > 0 && got.Code == model.NotFound && !op.ByTask() {
		if owner, ok := p.model.Owner(op.Place()); ok && owner != key {
			got.Code = model.InvalidArgument
		}
	}
	if want.Shape {
		got = model.Refusal{Code: got.Code, Index: got.Index, Op: got.Op, Shape: true}
	} else {
		want.Task = key // the tree's, even if the operation names no task
	}
	same(t, "refusal", got, *want)
	p.came["refused "+want.Code]++
	p.came["rolled back"] += want.Index
}

// checkTransition compares a transition with the model's log and outcome.
func (p *pair) checkTransition(t *rapid.T, tr *state.Transition, op state.Op, want model.Outcome) {
	log := p.model.Log()
	i, _ := slices.BinarySearchFunc(log, tr.Sequence, func(e model.Entry, s uint64) int { return int(e.Sequence) - int(s) })
	same(t, "transition", model.EntryOf(tr), log[i])
	same(t, "recorded", tr.Recorded, op.Now)
	var changed []string
	for _, c := range tr.Changes {
		changed = append(changed, c.ID)
		if c.Superseded != nil {
			p.history[c.ID] = append(p.history[c.ID], *c.Superseded)
		}
	}
	if tr.Data != nil {
		c := &tr.Changes[0]
		if p.data[c.ID] == nil {
			p.data[c.ID] = map[int]*model.Attempt{}
		}
		d := p.data[c.ID][c.Number()]
		if d == nil {
			d = &model.Attempt{}
			p.data[c.ID][c.Number()] = d
		}
		if in := tr.Input(); in != nil {
			d.Input = in.Bytes()
		}
		if out := tr.Output(); out != nil {
			d.Output = out.Bytes()
		}
	}
	same(t, "changed nodes", changed, want.Changed)
}

// accept compares the new tree, made in every possible way, with the model, and
// makes it the current one.
func (p *pair) accept(t *rapid.T, key state.Key, tree *state.Tree, transitions []*state.Transition) {
	want := p.model.Tree(key)
	same(t, "tree", model.Of(tree), want)
	if p.trees[key] == nil {
		p.trees[key] = state.NewTree(key)
		p.headers[key] = &store.Task{}
	}
	replayed, err := p.trees[key].Replay(transitions...)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "replayed tree", model.Of(replayed), want)
	same(t, "replayed revision", replayed.Revision(), tree.Revision())

	p.told[key] = append(p.told[key], transitions...)
	if replayed, err = state.NewTree(key).Replay(p.told[key]...); err != nil {
		t.Fatal(err)
	}
	same(t, "tree replayed from its creation", model.Of(replayed), want)
	same(t, "built tree", model.Of(built(t, tree)), want)

	for i := range tree.Len() {
		id := tree.ID(i)
		same(t, "attempts of "+id, p.attempts(tree, i), p.model.Attempts(id))
		if at, ok := tree.Find(id); !ok || at != i {
			t.Fatalf("node %q at %d is found at %d, %t", id, i, at, ok)
		}
	}
	p.trees[key] = tree
	p.compareHeader(t, key, transitions)
}

// attempts returns all attempts of node i with the data from transitions.
func (p *pair) attempts(tree *state.Tree, i int) (all []model.Attempt) {
	n := tree.Node(i)
	for _, a := range append(slices.Clip(p.history[n.ID]), n.Attempt) {
		one := model.Attempt{Attempt: a, Current: a.Number() == n.Number()}
		if d := p.data[n.ID][a.Number()]; d != nil {
			one.Input, one.Output = d.Input, d.Output
		}
		all = append(all, one)
	}
	return all
}

func built(t *rapid.T, tree *state.Tree) *state.Tree {
	b := state.NewBuilder(tree.Key(), tree.Len())
	for i := range tree.Len() {
		n := tree.Node(i)
		if err := b.Add(&n); err != nil {
			t.Fatal(err)
		}
	}
	b.Label(tree.Labels())
	c, err := b.Tree(tree.Revision())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// compareHeader compares the headers that stores keep.
func (p *pair) compareHeader(t *rapid.T, key state.Key, transitions []*state.Transition) {
	h, tree := p.headers[key], p.trees[key]
	for _, tr := range transitions {
		h.Add(tr)
	}
	want, _ := p.model.Header(key)
	same(t, "header", model.HeaderOf(h), want)
	same(t, "header from the tree", model.Header{
		Key: tree.Key(), Root: tree.ID(0), Name: want.Name, Number: want.Number, Revision: tree.Revision(),
		Shown: tree.Shown(0), State: tree.State(0), Counts: tree.Counts(0), Nodes: tree.Len(),
		Recorded: want.Recorded, Updated: want.Updated, Started: want.Started, Finished: want.Finished,
		Labels: want.Labels, Pending: tree.Pending(0), Unfinished: tree.Unfinished(), Settled: tree.Settled(), HasFailures: tree.HasFailures(),
	}, want)
	same(t, "ended", tree.Ended(), want.State.Ended())
}

// forget deletes tasks some time after they ended, so that new ones begin.
func (p *pair) forget(t *rapid.T) {
	for _, key := range p.model.Keys() {
		tree := p.trees[key]
		if !tree.Ended() || !p.draw.In(30, "delete") {
			continue
		}
		if !p.model.Delete(key, p.draw.Time(), "") {
			t.Fatalf("the model has no task %s", key)
		}
		for i := range tree.Len() {
			delete(p.history, tree.ID(i))
			delete(p.data, tree.ID(i))
		}
		delete(p.trees, key)
		delete(p.headers, key)
		delete(p.told, key)
	}
}

// untouched checks that the tree before the last change is unchanged.
func (p *pair) untouched(t *rapid.T) {
	if p.last != nil {
		same(t, "the tree before the last change", model.Of(p.last), p.lastWas)
	}
}

// keyOf returns the task of an operation; "2"/"10" if it names no node of any
// task.
func (p *pair) keyOf(op state.Op) state.Key {
	if op.ByTask() {
		return op.Task
	}
	if key, ok := p.model.Owner(op.Place()); ok {
		return key
	}
	return state.Key{Business: "2", Task: "10"}
}

// taken reports whether the ID of a new node is in use, like an engine.
func (p *pair) taken(op state.Op, key state.Key) bool {
	if op.Kind != state.Create && op.Kind != state.Declare && op.Kind != state.Begin {
		return false
	}
	owner, ok := p.model.Owner(op.Node)
	return ok && owner != key
}
