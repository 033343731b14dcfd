package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// A header that follows a task's transitions agrees with the tree after each.
func TestTaskFollowsItsTransitions(t *testing.T) {
	kinds := make(map[state.OpKind]bool)
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		key := state.Key{Business: "2", Task: "10"}
		tree := state.NewTree(key)
		var task store.Task
		var updated state.Instant
		sequence := uint64(7)
		// The number of tries is bounded, since a revoked root soon allows no
		// operation below it.
		for range 4_000 {
			after, tr := step(r, tree, sequence)
			if tr == nil {
				continue
			}
			tree, tr.Sequence = after.WithRevision(sequence), sequence
			sequence += 1 + r.Uint64N(3)
			kinds[tr.Op] = true
			task.Add(tr)
			if tr.At.After(updated) {
				updated = tr.At
			}
			root := tree.Node(0)
			want := store.Task{
				Key: key, Root: root.ID, Name: root.Name, Number: 7, Revision: tree.Revision(),
				Shown: tree.Shown(0), State: root.State, Counts: tree.Counts(0), Nodes: tree.Len(),
				Recorded: instant(7), Updated: updated, Started: root.Started, Finished: root.Finished,
			}
			if task != want {
				t.Fatalf("seed %d, after %s at %d:\n%+v, want\n%+v", seed, tr.Op, tr.Sequence, task, want)
			}
			if task.Unfinished() != tree.Unfinished() {
				t.Fatalf("seed %d, after %s at %d: unfinished %t, the tree says %t", seed, tr.Op, tr.Sequence, task.Unfinished(), tree.Unfinished())
			}
		}
	}
	if want := int(state.Delete - state.Create); len(kinds) != want {
		t.Errorf("stories of %d operations, want %d: %v", len(kinds), want, kinds)
	}
}

func instant(sec uint64) state.Instant { return state.UnixInstant(int64(sec), 0) }

// step applies any operation on any node, nil if the rules refuse it. The
// root is never ended, but by a revoke near the end.
func step(r *rand.Rand, tree *state.Tree, now uint64) (*state.Tree, *state.Transition) {
	op := state.Op{Kind: state.Create, Task: tree.Key(), Node: "root", Name: "nightly", Now: instant(now)}
	if tree.Len() > 0 {
		i := r.IntN(tree.Len())
		op = state.Op{Kind: state.Declare + state.OpKind(r.IntN(int(state.Delete-state.Declare))), Node: tree.ID(i), Now: instant(now)}
		if i == 0 && (op.Kind == state.Finish || op.Kind == state.Fail || op.Kind == state.Revoke && now < 390) {
			return nil, nil
		}
		if op.Kind == state.Declare {
			op.Parent, op.Node = op.Node, fmt.Sprint("n", tree.Len())
			op.NodeKind = []state.Kind{state.Subprocess, state.ServiceActivity}[r.IntN(2)]
		}
		if r.IntN(4) == 0 {
			op.At = instant(r.Uint64N(1_000)) // an import
		}
		if op.Kind.NamesAttempt() {
			op.NewVersion = state.VersionOf([16]byte{byte(now), byte(now >> 8)})
		}
	}
	after, outcomes, err := tree.Apply(state.Limits{}, op)
	if err != nil {
		return nil, nil
	}
	return after, outcomes[0].Transition
}

func TestTaskShowsTheClassOfAPipelineWithoutName(t *testing.T) {
	unnamed, named := store.Task{}, store.Task{Name: "nightly"}
	if got, want := unnamed.DisplayName(), "<class 'pipeline.core.pipeline.Pipeline'>"; got != want {
		t.Errorf("without a name: %q, want %q", got, want)
	}
	if got := named.DisplayName(); got != "nightly" {
		t.Errorf("with a name: %q", got)
	}
}

func TestTaskIsUnfinishedUntilItsLeavesAre(t *testing.T) {
	for _, tc := range []struct {
		own     state.State
		running int
		want    bool
	}{
		{state.Created, 0, true},
		{state.Running, 0, true},
		{state.Suspended, 0, true},
		{state.Finished, 0, false},
		{state.Failed, 0, false},
		{state.Revoked, 0, false},
		{state.Failed, 1, true},
		{state.Revoked, 2, true},
	} {
		task := store.Task{State: tc.own}
		task.Counts[state.Running] = tc.running
		if got := task.Unfinished(); got != tc.want {
			t.Errorf("%s with %d leaves running: %t, want %t", tc.own, tc.running, got, tc.want)
		}
	}
}

func TestListQueryMatches(t *testing.T) {
	task := store.Task{
		Key: state.Key{Business: "2", Task: "10"}, State: state.Running, Shown: state.Failed, Recorded: state.UnixInstant(100, 5),
	}
	labeled, done := task, task
	labeled.Labels = state.LabelsOf(map[string]string{"env": "prod", "team": ""})
	labels := func(m map[string]string) store.ListQuery { return store.ListQuery{Labels: state.LabelsOf(m)} }
	done.State = state.Finished
	at := state.UnixInstant
	for name, tc := range map[string]struct {
		q    store.ListQuery
		task store.Task
		want bool
	}{
		"everything":                     {store.ListQuery{}, task, true},
		"the business":                   {store.ListQuery{Business: "2"}, task, true},
		"a business it begins with":      {store.ListQuery{Business: "22"}, task, false},
		"a business that begins so":      {store.ListQuery{Business: "1"}, task, false},
		"shown":                          {store.ListQuery{Shown: []state.State{state.Created, state.Failed}}, task, true},
		"own state is not shown":         {store.ListQuery{Shown: []state.State{state.Running}}, task, false},
		"unfinished":                     {store.ListQuery{Unfinished: true}, task, true},
		"not unfinished":                 {store.ListQuery{Unfinished: true}, done, false},
		"since that very time":           {store.ListQuery{Recorded: store.Span{Since: at(100, 5)}}, task, true},
		"since a nanosecond later":       {store.ListQuery{Recorded: store.Span{Since: at(100, 6)}}, task, false},
		"until a nanosecond later":       {store.ListQuery{Recorded: store.Span{Until: at(100, 6)}}, task, true},
		"until that very time":           {store.ListQuery{Recorded: store.Span{Until: at(100, 5)}}, task, false},
		"until the beginning of time":    {store.ListQuery{Recorded: store.Span{Until: at(-62135596800, 0)}}, task, false},
		"never started, since ever":      {store.ListQuery{Started: store.Span{Since: at(-62135596800, 0)}}, task, false},
		"has the name it shows":          {store.ListQuery{Name: state.Pipeline.Class()}, task, true},
		"has the failures":               {store.ListQuery{HasFailures: true}, task, false},
		"one of its labels":              {labels(map[string]string{"team": ""}), labeled, true},
		"a label of another value":       {labels(map[string]string{"team": "", "env": "test"}), labeled, false},
		"a label that it lacks":          {labels(map[string]string{"": ""}), labeled, false},
		"cursor and limit aside":         {store.ListQuery{Cursor: "x", Limit: 1}, task, true},
		"one of two conditions":          {store.ListQuery{Business: "2", Shown: []state.State{state.Created}}, task, false},
		"one of two conditions, swapped": {store.ListQuery{Business: "3", Shown: []state.State{state.Failed}}, task, false},
	} {
		if got := tc.q.Matches(&tc.task); got != tc.want {
			t.Errorf("%s: %t, want %t", name, got, tc.want)
		}
	}
}

func TestRefPrintsItsTarget(t *testing.T) {
	for want, ref := range map[string]store.Ref{
		`task "2"/"10"`:                      store.ByKey("2", "10"),
		`node "a\"b"`:                        store.ByNode(`a"b`),
		`node with key "n" of task "2"/"10"`: store.ByNodeKey("2", "10", "n"),
		`node "n"`:                           {Key: state.Key{Business: "2", Task: "10"}, Node: "n"},
	} {
		if got := ref.String(); got != want {
			t.Errorf("%+v: %s, want %s", ref, got, want)
		}
	}
}

func TestWritesHaveAKeyAndAKind(t *testing.T) {
	c, _ := newTask(t, "10")
	if c.Key() != (state.Key{Business: "2", Task: "10"}) || c.Deletes() || c.Validate() != nil {
		t.Errorf("a create: key %s, deletes %t, %v", c.Key(), c.Deletes(), c.Validate())
	}
	now := state.UnixInstant(0, 0)
	c = store.Write{Base: 3, Transitions: []*state.Transition{{Task: c.Key(), Op: state.Delete, At: now, Recorded: now}}}
	if !c.Deletes() || c.Validate() != nil {
		t.Errorf("a delete: deletes %t, %v", c.Deletes(), c.Validate())
	}
	c.Base = 0
	if err := c.Validate(); !errors.Is(err, state.ErrInvalidArgument) {
		t.Errorf("a delete at no revision: %v", err)
	}
}
