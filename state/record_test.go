package state_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/state"
)

// byKey names the node with a key instead of an ID, the root for "".
func byKey(k string) func(*state.Op) {
	return func(op *state.Op) { op.Node, op.Task, op.NodeKey = "", key, k }
}

func keyed(k string) func(*state.Op)        { return func(op *state.Op) { op.Key = k } }
func after(names ...string) func(*state.Op) { return func(op *state.Op) { op.After = names } }
func from(name string) func(*state.Op)      { return func(op *state.Op) { op.From = name } }
func noted(text string) func(*state.Op)     { return func(op *state.Op) { op.Note = text } }
func version(n byte) func(*state.Op)        { return func(op *state.Op) { op.NewVersion = v(n) } }
func inKey(k string) func(*state.Op) {
	return func(op *state.Op) { op.Parent, op.Task, op.ParentKey = "", key, k }
}

func labeled(l map[string]string) func(*state.Op) {
	return func(op *state.Op) { op.Labels = state.LabelsOf(l) }
}

func unlabeled(keys ...string) func(*state.Op) {
	return func(op *state.Op) { op.Unlabel = keys }
}

func relabel(changes ...func(*state.Op)) state.Op {
	return on(state.Label, "", append([]func(*state.Op){func(op *state.Op) { op.Task = key }}, changes...)...)
}

// running is a running task, made by operations.
func running(t testing.TB, ops ...state.Op) *state.Tree {
	t.Helper()
	tree, _ := apply(t, state.NewTree(key), append([]state.Op{create("root"), on(state.Start, "root")}, ops...)...)
	return tree
}

func TestNodesAreAddressedByTheirKeys(t *testing.T) {
	tree := running(t,
		declare("root", "s", asSubprocess, keyed("tests")),
		declare("", "a", inKey("tests"), keyed("unit")),
		declare("", "b", inKey(""), keyed("build")))
	if n := node(t, tree, "a"); n.Key != "unit" || n.Parent != "s" {
		t.Errorf("%+v", n)
	}
	tree, tr := apply(t, tree, on(state.Start, "", byKey("build")))
	if tr.Node() != "b" {
		t.Errorf("started %q", tr.Node())
	}
	if _, tr = apply(t, tree, on(state.Suspend, "", byKey(""))); tr.Node() != "root" {
		t.Errorf("suspended %q", tr.Node())
	}
	for name, c := range map[string]struct {
		op   state.Op
		want error
	}{
		"unknown key":            {on(state.Start, "", byKey("deploy")), state.ErrNotFound},
		"an ID as a key":         {on(state.Start, "", byKey("b")), state.ErrNotFound},
		"unknown parent":         {declare("", "c", inKey("deploy")), state.ErrNotFound},
		"a key in use":           {declare("root", "c", keyed("build")), state.ErrExists},
		"another task":           {on(state.Start, "", byKey("build"), func(op *state.Op) { op.Task.Task = "11" }), state.ErrInvalidArgument},
		"key and ID":             {on(state.Start, "b", func(op *state.Op) { op.NodeKey = "build" }), state.ErrInvalidArgument},
		"ID and task":            {on(state.Start, "b", func(op *state.Op) { op.Task = key }), state.ErrInvalidArgument},
		"neither":                {on(state.Start, ""), state.ErrInvalidArgument},
		"a parent by both":       {declare("s", "c", func(op *state.Op) { op.ParentKey, op.Task = "tests", key }), state.ErrInvalidArgument},
		"a key too long":         {declare("root", "c", keyed(strings.Repeat("k", 256))), state.ErrInvalidArgument},
		"a key of a new attempt": {on(state.Start, "b", keyed("x")), state.ErrInvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := tree.Apply(state.Limits{}, c.op)
			refusedWith(t, err, c.want)
		})
	}
}

func TestARefusalNamesTheKey(t *testing.T) {
	_, _, err := running(t).Apply(state.Limits{}, on(state.Start, "", byKey("deploy")))
	if want := `start node with key "deploy" of task "2"/"10": not found`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestADeclareOfTheSameKeyIsARepeat(t *testing.T) {
	tree := running(t, declare("root", "a", keyed("build")))
	if _, tr := apply(t, tree, declare("root", "a", keyed("build"), idempotent)); tr != nil {
		t.Error("a repeat has a transition")
	}
	_, _, err := tree.Apply(state.Limits{}, declare("root", "a", keyed("test"), idempotent))
	refusedWith(t, err, state.ErrExists)
}

func beginKey(kind state.Kind, changes ...func(*state.Op)) state.Op {
	return on(state.Begin, "generated", append([]func(*state.Op){func(op *state.Op) {
		op.Task, op.NodeKind = key, kind
	}}, changes...)...)
}

func TestABeginFindsItsNodeByKey(t *testing.T) {
	tree := running(t, declare("root", "s", asSubprocess, keyed("tests")), on(state.Start, "s"))
	inTests := func(op *state.Op) { op.ParentKey = "tests" }
	tree, outcomes, err := tree.Apply(state.Limits{},
		beginKey(state.ServiceActivity, inTests, keyed("unit")),
		beginKey(state.ServiceActivity, inTests, keyed("lint"), after("unit"), func(op *state.Op) { op.Node = "other" }))
	if err != nil || did(outcomes[0]) != "declare,start" || outcomes[0].Node != "generated" || node(t, tree, "other").After.String() != "[2]" {
		t.Fatalf("%+v, %v", outcomes, err)
	}
	again := beginKey(state.ServiceActivity, inTests, keyed("unit"), from("lint"), version(95), func(op *state.Op) { op.Node = "unused" })
	tree, outcomes, err = tree.Apply(state.Limits{}, again)
	if err != nil || did(outcomes[0]) != "fail,retry,start" || outcomes[0].Node != "generated" || node(t, tree, "generated").CameFrom != 3 {
		t.Fatalf("%+v, %v", outcomes, err)
	}
	tree, outcomes, err = tree.Apply(state.Limits{}, on(state.Finish, "generated"),
		beginKey(state.ServiceActivity, inTests, keyed("unit"), from("generated"), version(94)))
	if n := node(t, tree, "generated"); err != nil || did(outcomes[1]) != "loop" || n.CameFrom != n.Index {
		t.Fatalf("%+v, %v", outcomes, err)
	}
	if _, outcomes, err = tree.Apply(state.Limits{}, beginKey(state.Pipeline)); err != nil || did(outcomes[0]) != "." || outcomes[0].Node != "root" {
		t.Fatalf("%+v, %v", outcomes, err)
	}
	for name, c := range map[string]struct {
		op   state.Op
		want error
	}{
		"another container":        {beginKey(state.ServiceActivity, keyed("unit")), state.ErrExists},
		"another kind":             {beginKey(state.EndEvent, inTests, keyed("unit")), state.ErrExists},
		"another key of the ID":    {begin("s", state.Subprocess, keyed("unit")), state.ErrExists},
		"the key of another node":  {begin("new", state.Subprocess, keyed("unit")), state.ErrExists},
		"an unknown container":     {beginKey(state.ServiceActivity, keyed("unit"), func(op *state.Op) { op.ParentKey = "x" }), state.ErrNotFound},
		"came from nowhere":        {beginKey(state.ServiceActivity, inTests, keyed("unit"), from("x")), state.ErrNotFound},
		"came from elsewhere":      {beginKey(state.ServiceActivity, inTests, keyed("unit"), from("tests")), state.ErrInvalidArgument},
		"a root that came from":    {beginKey(state.Pipeline, from("s")), state.ErrInvalidArgument},
		"a root in a container":    {beginKey(state.Pipeline, inTests), state.ErrInvalidArgument},
		"another task":             {beginKey(state.Pipeline, func(op *state.Op) { op.Task.Task = "11" }), state.ErrInvalidArgument},
		"neither ID, key nor task": {beginKey(state.Pipeline, func(op *state.Op) { op.Task = state.Key{} }), state.ErrInvalidArgument},
		"a key of an existing one": {beginKey(state.ServiceActivity, inTests, func(op *state.Op) { op.NodeKey = "unit" }), state.ErrInvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := tree.Apply(state.Limits{}, c.op)
			refusedWith(t, err, c.want)
		})
	}
	_, _, err = tree.Apply(state.Limits{}, beginKey(state.EndEvent, inTests, keyed("unit")))
	if want := `begin node "generated" with key "unit" (RUNNING) of task "2"/"10": already exists: node "generated": its kind is service_activity, not end_event`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// Indexes are merged as they grow, shared with older trees, and made on demand
// for loaded trees.
func TestKeysAreFoundInTreesOfEverySizeAndOrigin(t *testing.T) {
	tree := running(t)
	trees := []*state.Tree{tree}
	for i := range 70 {
		op := declare("root", fmt.Sprint("n", i))
		if i%3 == 1 {
			op.Key = fmt.Sprint("k", i)
		}
		tree, _ = apply(t, tree, op)
		trees = append(trees, tree)
	}
	for made, tree := range trees {
		for _, tree := range []*state.Tree{tree, rebuilt(t, tree)} {
			for i := range 70 {
				at, ok := tree.FindKey(fmt.Sprint("k", i))
				if want := i%3 == 1 && i < made; ok != want || ok && tree.ID(at) != fmt.Sprint("n", i) {
					t.Fatalf("tree of %d: key k%d at %d, %t", made, i, at, ok)
				}
			}
			if _, ok := tree.FindKey(""); ok {
				t.Fatal("a node has the key that stands for none")
			}
			grown, _ := apply(t, tree, declare("root", "last", keyed("last")))
			if at, ok := grown.FindKey("last"); !ok || at != grown.Len()-1 {
				t.Fatalf("tree of %d: new key at %d, %t", made, at, ok)
			}
		}
	}
}

func TestEdgesLeadFromNodesOfTheSameContainer(t *testing.T) {
	tree := running(t,
		declare("root", "a"), declare("root", "b", keyed("build")), declare("root", "s", asSubprocess), declare("s", "in"),
		declare("root", "join", after("build", "a", "b")))
	if got := node(t, tree, "join").After; got != state.EdgesOf(2, 1) || got.String() != "[1 2]" || got.Len() != 2 {
		t.Errorf("edges from %s", got)
	}
	if got := node(t, tree, "a").After; got != (state.Edges{}) || got.Len() != 0 {
		t.Errorf("edges from %s", got)
	}
	for name, c := range map[string]struct {
		names []string
		want  error
	}{
		"unknown":           {[]string{"a", "z"}, state.ErrNotFound},
		"another container": {[]string{"in"}, state.ErrInvalidArgument},
		"the container":     {[]string{"root"}, state.ErrInvalidArgument},
		"too many":          {slices.Repeat([]string{"a"}, state.MaxAfter+1), state.ErrInvalidArgument},
	} {
		_, _, err := tree.Apply(state.Limits{}, declare("root", "c", after(c.names...)))
		t.Log(name, err)
		refusedWith(t, err, c.want)
	}
}

func TestAnAttemptNamesTheNodeThatLedToIt(t *testing.T) {
	tree := running(t, declare("root", "a"), on(state.Start, "a"), on(state.Finish, "a"), declare("root", "later", keyed("check")))
	tree, tr := apply(t, tree, on(state.Loop, "a", from("check")))
	if got := tr.Changes[0].CameFrom; got != 2 || node(t, tree, "a").CameFrom != 2 {
		t.Errorf("came from %d", got)
	}
	tree, tr = apply(t, tree, on(state.Finish, "a"), on(state.Loop, "a", version(97)))
	if tr.Changes[0].CameFrom != 0 || tr.Changes[0].Superseded.CameFrom != 2 || node(t, tree, "a").CameFrom != 0 {
		t.Errorf("%+v", tr.Changes[0])
	}
	for _, c := range []struct {
		op   state.Op
		want error
	}{
		{on(state.Start, "later", from("z")), state.ErrNotFound},
		{on(state.Start, "later", from("root")), state.ErrInvalidArgument},
		{on(state.Finish, "a", from("later")), state.ErrInvalidArgument},
	} {
		_, _, err := tree.Apply(state.Limits{}, c.op)
		refusedWith(t, err, c.want)
	}
}

func TestANoteIsKeptWhileTheNodeIsSuspended(t *testing.T) {
	tree := running(t, declare("root", "s", asSubprocess), declare("s", "a"), on(state.Start, "s"), on(state.Start, "a"),
		on(state.Suspend, "a", noted("approval")), on(state.Suspend, "s", noted("\xff")))
	if a, s := node(t, tree, "a").Note, node(t, tree, "s").Note; a != "approval" || s != "\ufffd" {
		t.Errorf("notes %q and %q", a, s)
	}
	for _, op := range []state.Op{
		on(state.Resume, "a"), on(state.Finish, "a"), on(state.Fail, "a"), on(state.Revoke, "a"), on(state.Revoke, "s"), on(state.Revoke, "root"),
	} {
		after, _ := apply(t, tree, op)
		if note := node(t, after, "a").Note; note != "" {
			t.Errorf("%s %s leaves the note %q", op.Kind, op.Node, note)
		}
	}
	_, _, err := tree.Apply(state.Limits{}, on(state.Resume, "a", noted("x")))
	refusedWith(t, err, state.ErrInvalidArgument)
}

func TestLabelsAreSetAndRemovedOnAnyTask(t *testing.T) {
	tree, tr := apply(t, state.NewTree(key), create("root", labeled(map[string]string{"env": "prod", "team": "a"})))
	if tr.Labels.Len() != 2 || tr.Labels.String() != "map[env:prod team:a]" {
		t.Errorf("created with %v", tr.Labels)
	}
	tree, _ = apply(t, tree, on(state.Start, "root"), on(state.Finish, "root"))
	was := node(t, tree, "root")
	tree, tr = apply(t, tree, relabel(labeled(map[string]string{"team": "b", "x": ""}), unlabeled("env", "nothing"), given(at(200))))
	want := state.LabelsOf(map[string]string{"team": "b", "x": ""})
	if tree.Labels() != want || tr.Labels != want {
		t.Errorf("labels %v, in the transition %v", tree.Labels(), tr.Labels)
	}
	if tr.Node() != "" || len(tr.Changes) != 0 || tr.At != at(200) || tr.Shown != state.Finished || node(t, tree, "root") != was {
		t.Errorf("%+v", tr)
	}
	if value, ok := tree.Labels().Get("x"); value != "" || !ok {
		t.Errorf("x is %q, %t", value, ok)
	}
	if _, ok := tree.Labels().Get("env"); ok {
		t.Error("env is still there")
	}
	if _, tr := apply(t, tree, relabel(labeled(map[string]string{"team": "b"}), unlabeled("env"), idempotent)); tr != nil {
		t.Error("a repeat has a transition")
	}
	if _, tr := apply(t, tree, relabel(labeled(map[string]string{"team": "b"}))); tr == nil {
		t.Error("an operation that is not idempotent has none")
	}
}

func TestLabelsAreBounded(t *testing.T) {
	many := map[string]string{}
	for i := range state.MaxLabels {
		many[fmt.Sprint(i)] = strings.Repeat("v", 255)
	}
	tree, _ := apply(t, state.NewTree(key), create("root", labeled(many)))
	apply(t, tree, relabel(labeled(map[string]string{"new": ""}), unlabeled("0")))
	for name, op := range map[string]state.Op{
		"one too many":       relabel(labeled(map[string]string{"new": ""})),
		"nothing to do":      relabel(),
		"set and removed":    relabel(labeled(map[string]string{"1": ""}), unlabeled("1")),
		"a key too long":     relabel(labeled(map[string]string{strings.Repeat("k", 64): ""}), unlabeled("1")),
		"no key":             relabel(labeled(map[string]string{"": "v"}), unlabeled("1")),
		"a value too long":   relabel(labeled(map[string]string{"1": strings.Repeat("v", 256)})),
		"a control":          relabel(labeled(map[string]string{"1": "\n"})),
		"of a node":          relabel(labeled(map[string]string{"1": ""}), func(op *state.Op) { op.NodeKey = "a" }),
		"of another task":    relabel(labeled(map[string]string{"1": ""}), func(op *state.Op) { op.Task.Task = "11" }),
		"with another op":    on(state.Start, "root", labeled(map[string]string{"1": ""})),
		"with a version":     relabel(labeled(map[string]string{"1": ""}), basedOn(1)),
		"with a loop":        relabel(labeled(map[string]string{"1": ""}), onLoop(1)),
		"too many to remove": relabel(unlabeled(slices.Repeat([]string{"1"}, 33)...)),
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := tree.Apply(state.Limits{}, op)
			refusedWith(t, err, state.ErrInvalidArgument)
		})
	}
	_, _, err := state.NewTree(key).Apply(state.Limits{}, relabel(unlabeled("1")))
	refusedWith(t, err, state.ErrNotFound)
}

func TestReplayRestoresTheWholeRecord(t *testing.T) {
	tree := state.NewTree(key)
	again := tree
	for i, op := range []state.Op{
		create("root", labeled(map[string]string{"env": "prod"})),
		on(state.Start, "root"), declare("root", "a", keyed("a")), declare("root", "b", keyed("b"), after("a"), version(96)),
		on(state.Start, "a"), on(state.Suspend, "a", noted("waits")), relabel(unlabeled("env")),
		on(state.Resume, "a"), on(state.Finish, "a"), on(state.Loop, "a", from("b")),
	} {
		next, tr := apply(t, tree, op)
		stored := *tr
		stored.Sequence = uint64(i + 1)
		tree = next.WithRevision(stored.Sequence)
		var err error
		if again, err = again.Replay(&stored); err != nil {
			t.Fatal(err)
		}
		sameTree(t, op.Kind.String(), again, tree)
		sameTree(t, "loaded after "+op.Kind.String(), rebuilt(t, tree), tree)
		if again.Labels() != tree.Labels() {
			t.Errorf("labels %v, want %v", again.Labels(), tree.Labels())
		}
	}
	if at, ok := again.FindKey("b"); !ok || again.Node(at).After != state.EdgesOf(1) || again.Node(1).CameFrom != 2 {
		t.Errorf("%+v, %+v", again.Node(1), again.Node(2))
	}
}

// An edge from an unknown node would make a program that draws the pipeline
// read out of bounds.
func TestEdgesFromUnknownNodesAreMalformed(t *testing.T) {
	tree := running(t, declare("root", "a"))
	_, tr := apply(t, tree, on(state.Start, "a"))
	_, decl := apply(t, tree, declare("root", "b"))
	bad := *tr
	bad.Changes = slices.Clone(tr.Changes)
	bad.Changes[0].CameFrom = 2
	if _, err := tree.Replay(&bad); !errors.Is(err, state.ErrMalformed) {
		t.Errorf("replay of an attempt that came from node 2 of 2: %v", err)
	}
	bad = *decl
	bad.Changes = slices.Clone(decl.Changes)
	d := *decl.Changes[0].Declared
	d.After = state.EdgesOf(2)
	bad.Changes[0].Declared = &d
	if _, err := tree.Replay(&bad); !errors.Is(err, state.ErrMalformed) {
		t.Errorf("replay of a node after itself: %v", err)
	}
	for what, spoil := range map[string]func(n *state.Node){
		"came from": func(n *state.Node) { n.CameFrom = 2 },
		"after":     func(n *state.Node) { n.After = state.EdgesOf(1) },
	} {
		b := state.NewBuilder(key, 2)
		n := tree.Node(0)
		err := b.Add(&n)
		n = tree.Node(1)
		spoil(&n)
		err = errors.Join(err, b.Add(&n))
		if err == nil {
			_, err = b.Tree(1)
		}
		if !errors.Is(err, state.ErrMalformed) {
			t.Errorf("a loaded node that %s itself or what is not there: %v", what, err)
		}
	}
}
