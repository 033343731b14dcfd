package state_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/state"
)

func fed(b []byte) func(*state.Op) { return func(op *state.Op) { op.Input = state.NewData(b) } }
func produced(b []byte) func(*state.Op) {
	return func(op *state.Op) { op.Output = state.NewData(b) }
}

func TestDataIsRecordedWithItsOperation(t *testing.T) {
	x := []byte("x")
	tree := running(t, declare("root", "a"), declare("root", "s", asSubprocess))
	tree, tr := apply(t, tree, on(state.Start, "a", fed(x)))
	if tr.Input() == nil || tr.Output() != nil || string(tr.Data.Bytes()) != "x" {
		t.Errorf("a start brings %s", tr.Data)
	}
	tree, tr = apply(t, tree, on(state.Fail, "a", produced([]byte{}), func(op *state.Op) { op.RetryAt = at(900) }))
	if tr.Output() == nil || tr.Input() != nil || tr.Data.Size() != 0 || tr.Data.Bytes() == nil {
		t.Errorf("a fail brings %s", tr.Data)
	}
	failed := tree
	tree, tr = apply(t, tree, on(state.Skip, "a", produced(x)))
	if tr.Output() == nil {
		t.Errorf("a skip brings %s", tr.Data)
	}
	if _, tr = apply(t, tree, on(state.Loop, "a", fed(nil), version(97))); tr.Data != nil {
		t.Errorf("no input is %s", tr.Data)
	}
	for name, c := range map[string]struct {
		tree *state.Tree
		op   state.Op
		want error
	}{
		"an output of a start":           {tree, on(state.Start, "s", produced(x)), state.ErrInvalidArgument},
		"an input of a finish":           {tree, on(state.Finish, "a", fed(x)), state.ErrInvalidArgument},
		"an input of a retry":            {failed, on(state.Retry, "a", fed(x)), state.ErrInvalidArgument},
		"an output that was to come":     {failed, on(state.Fail, "a", produced(x)), state.ErrInvalidTransition},
		"an input of the root's start":   {state.NewTree(key), on(state.Start, "root", fed(x)), state.ErrNotFound},
		"more than the limit":            {tree, on(state.Start, "s", fed(make([]byte, state.DefaultDataBytes+1))), state.ErrInvalidArgument},
		"data that is named only":        {tree, on(state.Start, "s", func(op *state.Op) { op.Input = state.NewData(x).Named() }), state.ErrInvalidArgument},
		"an output of a suspend":         {tree, report("s", state.Suspended, produced(x)), state.ErrInvalidArgument},
		"an input of a root's begin":     {tree, begin("root", state.Pipeline, fed(x)), state.ErrInvalidArgument},
		"an input where nothing begins":  {running(t, declare("root", "s", asSubprocess), on(state.Start, "s")), begin("s", state.Subprocess, fed(x)), state.ErrInvalidArgument},
		"an input where it only resumes": {running(t, declare("root", "s", asSubprocess), on(state.Start, "s"), on(state.Suspend, "s")), begin("s", state.Subprocess, fed(x)), state.ErrInvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := c.tree.Apply(state.Limits{}, c.op)
			refusedWith(t, err, c.want)
		})
	}
	root, _ := apply(t, state.NewTree(key), create("root", fed(x)))
	_, _, err := root.Apply(state.Limits{}, on(state.Start, "root", fed(x)))
	refusedWith(t, err, state.ErrInvalidArgument)
}

func TestTheCallerSetsTheLimitOfData(t *testing.T) {
	tree := running(t, declare("root", "a"))
	op := on(state.Start, "a", fed(make([]byte, 11)))
	for limit, fits := range map[int]bool{10: false, 11: true, 0: true} {
		_, _, err := tree.Apply(state.Limits{DataBytes: limit}, op)
		if (err == nil) != fits {
			t.Errorf("11 bytes, at most %d: %v", limit, err)
		}
	}
	large := on(state.Start, "a", fed(make([]byte, state.MaxDataBytes+1)))
	_, _, err := tree.Apply(state.Limits{DataBytes: 1 << 30}, large)
	refusedWith(t, err, state.ErrInvalidArgument)
}

func TestCompoundOperationsPassDataToTheLastStep(t *testing.T) {
	tree := running(t, declare("root", "a"), on(state.Start, "a"), on(state.Finish, "a"))
	for _, c := range []struct {
		op    state.Op
		steps int
	}{
		{begin("new", state.ServiceActivity, fed([]byte("x"))), 2},
		{begin("a", state.ServiceActivity, fed([]byte("x"))), 1},
		{report("a", state.Failed, produced([]byte("x"))), 2},
	} {
		_, outcomes, err := tree.Apply(state.Limits{}, c.op)
		if err != nil || len(outcomes[0].Steps) != c.steps {
			t.Fatalf("%s: %v, %v", c.op.String(), outcomes, err)
		}
		for i, tr := range outcomes[0].Steps {
			if (tr.Data != nil) != (i == c.steps-1) {
				t.Errorf("%s: step %s brings %s", c.op.String(), tr.Op, tr.Data)
			}
		}
	}
	_, outcomes, err := tree.Apply(state.Limits{}, report("a", state.Finished, produced([]byte("x"))))
	if err != nil || outcomes[0].Transition != nil {
		t.Errorf("a report of where the node is: %+v, %v", outcomes, err)
	}
}

func TestInvalidDataIsMalformed(t *testing.T) {
	x := state.NewData([]byte("x"))
	tree := running(t, declare("root", "a"), declare("root", "b"))
	_, started := apply(t, tree, on(state.Start, "a"))
	_, suspended := apply(t, tree, on(state.Suspend, "a"))
	_, root := apply(t, state.NewTree(key), create("root"))
	_, rootStarted := apply(t, mustReplay(t, root), on(state.Start, "root"))
	for name, c := range map[string]struct {
		tr *state.Transition
		ok bool
	}{
		"a start": {started, true}, "a suspend": {suspended, false}, "a create": {root, true}, "a root's start": {rootStarted, false},
	} {
		tr := *c.tr
		tr.Data = x
		if err := tr.Validate(); (err == nil) != c.ok || err != nil && !errors.Is(err, state.ErrMalformed) {
			t.Errorf("%s with data: %v", name, err)
		}
	}
	if _, err := state.NamedData(state.MaxDataBytes+1, [16]byte{}); !errors.Is(err, state.ErrInvalidArgument) {
		t.Errorf("data of more than 16 MiB: %v", err)
	}
	if !x.Named().Equal(x) || x.Equal(state.NewData([]byte("y"))) || x.Equal(nil) || x.Named().Bytes() != nil {
		t.Error("data is not what its size and digest say")
	}
}

func mustReplay(t *testing.T, tr *state.Transition) *state.Tree {
	t.Helper()
	stored := *tr
	stored.Sequence = 1
	tree, err := state.NewTree(key).Replay(&stored)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestOnlyDataThatAnAnswerCanHoldIsJSON(t *testing.T) {
	nested := func(n int) []byte {
		return []byte(strings.Repeat("[", n) + `"]]]]\"[[[["` + strings.Repeat("]", n))
	}
	for _, text := range []string{`{}`, ` ["é\u00e9", {"a": null}] `, `"<&>"`, `null`, `0`, string(nested(1000)), `[[1],{"a":[2]},"[` + strings.Repeat("{", 2000) + `"]`} {
		if !state.NewData([]byte(text)).IsJSON() {
			t.Errorf("%.60q is not JSON", text)
		}
	}
	for _, text := range []string{``, ` `, `{`, `1 2`, `nul`, `["` + "\xff" + `"]`, `{"` + "\xc3" + `":1}`, `"` + "\xed\xa0\x80" + `"`, "\xff", string(nested(1001)), strings.Repeat(`{"a":`, 1001) + "1" + strings.Repeat("}", 1001)} {
		if state.NewData([]byte(text)).IsJSON() {
			t.Errorf("%.60q is JSON", text)
		}
	}
	if state.NewData(nil).IsJSON() || state.NewData([]byte(`{}`)).Named().IsJSON() {
		t.Error("data without its bytes is JSON")
	}
}

func TestABeginWithAnInputCanBeDeliveredTwice(t *testing.T) {
	withInput := fed([]byte(`{}`))
	given := begin("s", state.Subprocess, withInput, version(95), func(op *state.Op) { op.VersionGiven = true })
	tree, outcomes, err := running(t).Apply(state.Limits{}, given, given)
	if err != nil || did(outcomes[0]) != "declare,start" || did(outcomes[1]) != "." {
		t.Fatalf("delivered twice: %+v, %v", outcomes, err)
	}
	_, _, err = tree.Apply(state.Limits{}, begin("s", state.Subprocess, withInput, version(96)))
	refusedWith(t, err, state.ErrInvalidArgument)
}
