package state_test

import (
	"fmt"
	"testing"

	"github.com/pipestatus/pipestatus/state"
)

func TestTheShownStateOfAContainer(t *testing.T) {
	const (
		created, running, failed     = state.Created, state.Running, state.Failed
		suspended, revoked, finished = state.Suspended, state.Revoked, state.Finished
	)
	for _, c := range []struct {
		name string
		tree spec
		want state.State // by the default convention
		ff   state.State // failed first
	}{
		// Own state RUNNING.
		{"running: nothing in it", pipeline(running), running, running},
		{"running: only nodes that have not started", pipeline(running, act("a", created)), running, running},
		{"running: all in it finished", pipeline(running, act("a", finished), act("b", finished)), running, running},
		{"running: all in it revoked", pipeline(running, act("a", revoked), sub("s", revoked)), running, running},
		{"running: a child runs", pipeline(running, act("a", running)), running, running},
		{"running: a child failed", pipeline(running, act("a", failed)), failed, failed},
		{"running: a child failed, others are done or to come", pipeline(running, act("a", finished), act("b", failed), act("c", created)), failed, failed},
		{"running: a child failed while another runs", pipeline(running, act("a", failed), act("b", running)), running, failed},
		{"running: a child is suspended", pipeline(running, act("a", suspended)), suspended, suspended},
		{"running: a child is suspended while another runs", pipeline(running, act("a", suspended), act("b", running)), running, running},
		{"running: a child failed and another is suspended", pipeline(running, act("a", suspended), act("b", failed)), failed, failed},
		{
			"running: one failed, one is suspended, one runs",
			pipeline(running, act("a", suspended), act("b", failed), act("c", running)), running, failed,
		},
		{"running: a subprocess that runs with nothing in it", pipeline(running, sub("s", running), act("a", failed)), running, failed},
		{"running: a subprocess failed by itself", pipeline(running, sub("s", failed)), failed, failed},
		{"running: a subprocess shows a failure below it", pipeline(running, sub("s", running, act("a", failed))), failed, failed},
		{
			"running: a failure three levels below",
			pipeline(running, sub("s", running, sub("t", running, act("a", failed)))), failed, failed,
		},
		{
			"running: a failure below one subprocess while another runs",
			pipeline(running, sub("s", running, act("a", failed)), sub("t", running, act("b", running))), running, failed,
		},
		{"running: a subprocess shows a suspended node below it", pipeline(running, sub("s", running, act("a", suspended))), suspended, suspended},
		{"running: a subprocess is suspended", pipeline(running, sub("s", suspended, act("a", created))), suspended, suspended},
		{
			"running: a leaf runs on in a suspended subprocess",
			pipeline(running, sub("s", suspended, act("a", running))), running, running,
		},
		{
			"running: a leaf runs on in a revoked subprocess",
			pipeline(running, sub("s", revoked, act("a", running)), act("b", failed)), running, failed,
		},
		{
			"running: a leaf runs on in a subprocess that was retried and has not started",
			pipeline(running, sub("s", created, act("a", running)), act("b", suspended)), running, running,
		},
		{"running: a failure in a revoked subprocess is past", pipeline(running, sub("s", revoked, act("a", failed))), running, running},
		{"running: a failure in a subprocess that was retried is past", pipeline(running, sub("s", created, act("a", failed))), running, running},
		{"running: a failure in a finished subprocess is past", pipeline(running, sub("s", finished, act("a", failed))), running, running},
		{"running: a subprocess is suspended over a failure", pipeline(running, sub("s", suspended, act("a", failed))), failed, failed},
		{
			"running: a subprocess is suspended over a failure and a leaf that runs",
			pipeline(running, sub("s", suspended, act("a", failed), act("b", running))), running, failed,
		},

		// Own state SUSPENDED.
		{"suspended: nothing in it", pipeline(suspended), suspended, suspended},
		{"suspended: a child runs on", pipeline(suspended, act("a", running)), suspended, suspended},
		{"suspended: a child failed", pipeline(suspended, act("a", failed)), failed, failed},
		{"suspended: a child failed while another runs on", pipeline(suspended, act("a", failed), act("b", running)), suspended, failed},
		{
			"suspended: a child failed while a leaf runs on further below",
			pipeline(suspended, act("a", failed), sub("s", suspended, act("b", running))), suspended, failed,
		},
		{
			"suspended: a child failed and an empty subprocess shows RUNNING",
			pipeline(suspended, act("a", failed), sub("s", running)), suspended, failed,
		},
		{"suspended: a child is suspended too", pipeline(suspended, act("a", suspended)), suspended, suspended},
		{"suspended: all in it finished", pipeline(suspended, act("a", finished)), suspended, suspended},
		{"suspended: a failure in a suspended subprocess", pipeline(suspended, sub("s", suspended, act("a", failed))), failed, failed},

		// Pending automatic retries count as running above.
		{"running: a failed leaf awaits its retry", pipeline(running, pending("a")), running, failed},
		{"running: one awaits its retry, another failed", pipeline(running, pending("a"), act("b", failed)), running, failed},
		{"running: one awaits its retry, another is suspended", pipeline(running, pending("a"), act("b", suspended)), running, failed},
		{
			"running: a leaf awaits its retry in a suspended subprocess",
			pipeline(running, sub("s", suspended, pending("a")), act("b", failed)), running, failed,
		},
		{
			"running: a leaf awaits its retry three levels below",
			pipeline(running, sub("s", running, sub("t", running, pending("a"))), act("b", suspended)), running, failed,
		},
		{
			"running: a leaf awaits its retry in a subprocess that was retried",
			pipeline(running, sub("s", created, pending("a")), act("b", suspended)), running, running,
		},
		{"suspended: a failed leaf awaits its retry", pipeline(suspended, pending("a")), suspended, failed},
		{"suspended: one awaits its retry, another failed", pipeline(suspended, pending("a"), act("b", failed)), suspended, failed},

		// All other own states are shown unchanged.
		{"created, over a failure", pipeline(created, act("a", failed)), created, created},
		{"failed, over a leaf that runs on", pipeline(failed, act("a", running)), failed, failed},
		{"revoked, over a failure and a leaf that runs on", pipeline(revoked, act("a", failed), act("b", running)), revoked, revoked},
		{"finished, over a failure", pipeline(finished, sub("s", created, act("a", failed))), finished, finished},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := treeOf(t, c.tree)
			if got := tree.Shown(0); got != c.want {
				t.Errorf("shows %s, want %s", got, c.want)
			}
			if got := tree.ShownFailedFirst(nil)[0]; got != c.ff {
				t.Errorf("failed first: shows %s, want %s", got, c.ff)
			}
		})
	}
}

func TestALeafShowsItsOwnState(t *testing.T) {
	for _, st := range states {
		tree := treeOf(t, pipeline(state.Running, act("a", st)))
		if got, ff := tree.Shown(1), tree.ShownFailedFirst(nil)[1]; got != st || ff != st {
			t.Errorf("%s shows %s and %s", st, got, ff)
		}
	}
	tree := treeOf(t, pipeline(state.Running, pending("a")))
	if got, ff := tree.Shown(1), tree.ShownFailedFirst(nil)[1]; got != state.Failed || ff != state.Failed {
		t.Errorf("one that awaits its retry shows %s and %s", got, ff)
	}
}

// The specification's example, and its text about recovery.
func TestAPipelineRecoversWhenItsFailedNodeIsRetriedOrSkipped(t *testing.T) {
	tree := treeOf(t, pipeline(state.Running, act("a", state.Failed)))
	if root := tree.Node(0); tree.Shown(0) != state.Failed || root.Finished.IsSet() {
		t.Errorf("shows %s, finished %q; want FAILED and no finish time", tree.Shown(0), root.Finished)
	}
	for _, op := range []state.OpKind{state.Retry, state.Skip} {
		after, tr := apply(t, tree, on(op, "a"))
		if after.Shown(0) != state.Running || tr.Shown != state.Running {
			t.Errorf("after %s: shows %s, the transition says %s", op, after.Shown(0), tr.Shown)
		}
	}
}

func TestShownFailedFirstUsesTheCallersSlice(t *testing.T) {
	tree := treeOf(t, pipeline(state.Running,
		sub("s", state.Running, act("a", state.Failed)), sub("t", state.Running, act("b", state.Running)), sub("u", state.Running)))
	want := "[FAILED FAILED FAILED RUNNING RUNNING RUNNING]"
	dirty := make([]state.State, 10)
	for i := range dirty {
		dirty[i] = state.State(255)
	}
	got := tree.ShownFailedFirst(dirty)
	if fmt.Sprint(got) != want || &got[0] != &dirty[0] {
		t.Errorf("%v, want %s in the slice given", got, want)
	}
	if got := tree.ShownFailedFirst(dirty[:1:1]); fmt.Sprint(got) != want {
		t.Errorf("%v where there is too little room, want %s", got, want)
	}
}

func TestCounts(t *testing.T) {
	tree := treeOf(t, pipeline(state.Running,
		act("a", state.Finished), act("b", state.Failed),
		sub("s", state.Suspended, act("c", state.Running), sub("t", state.Created, act("d", state.Created), pending("e"))),
		sub("empty", state.Running)))
	for id, want := range map[string]state.Counts{
		"root":  {state.Finished: 1, state.Failed: 2, state.Running: 1, state.Created: 1},
		"s":     {state.Running: 1, state.Created: 1, state.Failed: 1},
		"t":     {state.Created: 1, state.Failed: 1},
		"empty": {},
		"a":     {state.Finished: 1},
		"e":     {state.Failed: 1},
	} {
		i, _ := tree.Find(id)
		if got := tree.Counts(i); got != want {
			t.Errorf("%s: %v, want %v", id, got, want)
		}
	}
}

func TestEndedUnfinishedSettledAndFailures(t *testing.T) {
	for _, c := range []struct {
		name                                  string
		tree                                  spec
		ended, unfinished, settled, hasFailed bool
	}{
		{"created", pipeline(state.Created), false, true, true, false},
		{"running", pipeline(state.Running), false, true, false, false},
		{"running, between two steps", pipeline(state.Running, act("a", state.Finished), act("b", state.Created)), false, true, false, false},
		{"suspended", pipeline(state.Suspended), false, true, true, false},
		{"suspended over a leaf that runs on", pipeline(state.Suspended, act("a", state.Running)), false, true, false, false},
		{"suspended over a pending retry", pipeline(state.Suspended, pending("a")), false, true, false, true},
		{"finished", pipeline(state.Finished, act("a", state.Finished)), true, false, true, false},
		{"finished over a failure", pipeline(state.Finished, sub("s", state.Revoked, act("a", state.Failed))), true, false, true, true},
		{"failed", pipeline(state.Failed, act("a", state.Finished)), true, false, true, true},
		{"revoked", pipeline(state.Revoked, act("a", state.Created)), true, false, true, false},
		{"running and showing FAILED", pipeline(state.Running, act("a", state.Failed)), false, true, true, true},
		{"running and showing FAILED by a subprocess", pipeline(state.Running, sub("s", state.Failed)), false, true, true, false},
		{"running and showing SUSPENDED", pipeline(state.Running, act("a", state.Suspended)), false, true, true, false},
		{"running over a pending retry", pipeline(state.Running, pending("a"), act("b", state.Failed)), false, true, false, true},
		{
			"revoked with a leaf that runs on",
			pipeline(state.Revoked, sub("s", state.Revoked, act("a", state.Running))), true, true, false, false,
		},
		{"finished over a container that runs", pipeline(state.Finished, sub("s", state.Running)), true, false, true, false},
	} {
		tree := treeOf(t, c.tree)
		if tree.Ended() != c.ended || tree.Unfinished() != c.unfinished || tree.Settled() != c.settled || tree.HasFailures() != c.hasFailed {
			t.Errorf("%s: ended %t, unfinished %t, settled %t, has failures %t",
				c.name, tree.Ended(), tree.Unfinished(), tree.Settled(), tree.HasFailures())
		}
	}
}
