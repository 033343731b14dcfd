package state_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/state"
)

func TestRetryAndLoopOfAContainerDoNotChangeNodesBelow(t *testing.T) {
	inside := []spec{act("a", state.Failed), act("b", state.Finished), sub("t", state.Suspended, act("c", state.Running))}
	for op, st := range map[state.OpKind]state.State{state.Retry: state.Failed, state.Loop: state.Finished} {
		before := treeOf(t, pipeline(state.Running, sub("s", st, inside...)))
		after, tr := apply(t, before, on(op, "s"))
		if len(tr.Changes) != 1 {
			t.Errorf("%s: %d nodes changed, want 1", op, len(tr.Changes))
		}
		for i := 2; i < before.Len(); i++ {
			if after.Node(i) != before.Node(i) {
				t.Errorf("%s changed node %q", op, before.ID(i))
			}
		}
	}
}

// below has one node of every kind and state below s, also in containers that a
// revoke does not change.
func below() spec {
	var children []spec
	for _, st := range states {
		name := strings.ToLower(st.String())
		children = append(children,
			sub("in "+name, st, act("leaf in "+name, state.Suspended), sub("sub in "+name, state.Failed)),
			act(name, st))
	}
	return pipeline(state.Running, sub("s", state.Running, append(children, pending("pending"))...), act("sibling", state.Suspended))
}

func TestRevokeAlsoRevokesContainersAndSuspendedLeaves(t *testing.T) {
	before := treeOf(t, below())
	after, tr := apply(t, before, on(state.Revoke, "s"))

	revoked := map[string]bool{"s": true, "suspended": true}
	for _, st := range states {
		name := strings.ToLower(st.String())
		revoked["in "+name] = st != state.Finished && st != state.Revoked
		revoked["leaf in "+name], revoked["sub in "+name] = true, true
	}
	last := -1
	for i, change := range tr.Changes {
		if i > 0 && change.Index <= last {
			t.Errorf("node %d after node %d: those taken along come in the order of creation", change.Index, last)
		}
		if last = change.Index; i == 0 {
			last = -1
		}
	}
	for i := range before.Len() {
		was, is := before.Node(i), after.Node(i)
		want := was
		switch {
		case revoked[was.ID]:
			want.Updated = now
			if was.State != state.Failed {
				want.Finished = now
			}
			want.State = state.Revoked
		case was.ID == "pending":
			want.RetryAt = none
		}
		if diff := cmp.Diff(want, is, byValue); diff != "" {
			t.Errorf("node %q (-want +got):\n%s", was.ID, diff)
		}
	}
	if got, want := len(tr.Changes), len(revoked)-2+1; got != want {
		t.Errorf("the transition lists %d nodes, want %d", got, want)
	}
}

func TestTheEndOfAContainerCancelsPendingRetriesBelow(t *testing.T) {
	tree := func(st state.State) spec {
		return pipeline(state.Running,
			pending("other"),
			sub("s", st, pending("a"), sub("t", state.Finished, pending("b")), act("c", state.Failed)))
	}
	for op, from := range map[state.OpKind]state.State{
		state.Fail: state.Running, state.Skip: state.Failed, state.Revoke: state.Running,
	} {
		t.Run(op.String(), func(t *testing.T) {
			before := treeOf(t, tree(from))
			after, tr := apply(t, before, on(op, "s"))
			var ids []string
			for _, change := range tr.Changes {
				ids = append(ids, change.ID)
			}
			if got := fmt.Sprint(ids); got != "[s a b]" {
				t.Errorf("the transition lists %s, want s and the pending a, b", got)
			}
			for _, id := range []string{"a", "b"} {
				want := node(t, before, id)
				want.RetryAt = none // the time of the last transition stays unchanged
				if diff := cmp.Diff(want, node(t, after, id), byValue); diff != "" {
					t.Errorf("node %s (-want +got):\n%s", id, diff)
				}
			}
			for _, id := range []string{"other", "c"} {
				if node(t, after, id) != node(t, before, id) {
					t.Errorf("%s changed node %s", op, id)
				}
			}
		})
	}
}

func TestOtherOperationsOnAContainerKeepPendingRetriesBelow(t *testing.T) {
	for op, st := range map[state.OpKind]state.State{
		state.Suspend: state.Running, state.Resume: state.Suspended, state.Retry: state.Failed, state.Loop: state.Finished,
	} {
		after, tr := apply(t, treeOf(t, pipeline(state.Running, sub("s", st, pending("a")))), on(op, "s"))
		if len(tr.Changes) != 1 || node(t, after, "a").RetryAt != at(500) {
			t.Errorf("%s of a container touched a pending retry below", op)
		}
	}
}

func TestChangedNodesAreListedInTheOrderOfCreation(t *testing.T) {
	tree, _ := apply(t, state.NewTree(key), create("root"), on(state.Start, "root"),
		declare("root", "a", asSubprocess), declare("root", "b", asSubprocess), declare("a", "in a", asSubprocess))
	_, tr := apply(t, tree, on(state.Revoke, "root"))
	var got []string
	for _, c := range tr.Changes {
		got = append(got, c.ID)
	}
	if want := "[root a b in a]"; fmt.Sprint(got) != want {
		t.Errorf("changes of %s, want %s", got, want)
	}
}

func TestFinishCancelsPendingRetriesFurtherBelow(t *testing.T) {
	before := treeOf(t, pipeline(state.Running, sub("s", state.Revoked, pending("a"))))
	after, tr := apply(t, before, on(state.Finish, "root"))
	if len(tr.Changes) != 2 || node(t, after, "a").RetryAt.IsSet() || tr.Pending != 0 {
		t.Errorf("%d nodes changed, the retry is at %s", len(tr.Changes), node(t, after, "a").RetryAt)
	}
}

func TestATolerantFinishIgnoresTheFailuresOfChildren(t *testing.T) {
	before := treeOf(t, pipeline(state.Running,
		act("a", state.Failed), act("b", state.Finished), pending("c"),
		sub("s", state.Failed, act("d", state.Failed)), sub("t", state.Revoked, act("e", state.Failed)), act("f", state.Created)))
	after, tr := apply(t, before, on(state.Finish, "root", tolerate))
	tolerated := map[string]bool{"a": true, "c": true, "s": true}
	for i := range before.Len() {
		want := before.Node(i)
		switch {
		case want.ID == "root":
			want.State, want.Finished, want.Updated = state.Finished, now, now
		case tolerated[want.ID]:
			want.State, want.ErrorIgnored, want.Updated, want.RetryAt = state.Finished, true, now, none
		}
		if diff := cmp.Diff(want, after.Node(i), byValue); diff != "" {
			t.Errorf("node %q (-want +got):\n%s", want.ID, diff)
		}
	}
	if len(tr.Changes) != 4 || after.Settled() != true || !after.HasFailures() {
		t.Errorf("%d nodes changed, settled %t, has failures %t", len(tr.Changes), after.Settled(), after.HasFailures())
	}
}

func TestAnAbandoningFailChangesNodesBelowLikeARevoke(t *testing.T) {
	abandoned, failTr := apply(t, treeOf(t, below()), on(state.Fail, "s", abandon))
	revoked, revokeTr := apply(t, treeOf(t, below()), on(state.Revoke, "s"))
	if len(failTr.Changes) != len(revokeTr.Changes) {
		t.Errorf("%d nodes changed, by a revoke %d", len(failTr.Changes), len(revokeTr.Changes))
	}
	for i := range revoked.Len() {
		if revoked.ID(i) != "s" && abandoned.Node(i) != revoked.Node(i) {
			t.Errorf("node %q is %+v, by a revoke %+v", revoked.ID(i), abandoned.Node(i), revoked.Node(i))
		}
	}
	if s := node(t, abandoned, "s"); s.State != state.Failed {
		t.Errorf("it is %s", s.State)
	}
}

func TestAResetAlsoResetsTheNodesBelow(t *testing.T) {
	before := treeOf(t, pipeline(state.Running, sub("s", state.Finished,
		act("a", state.Finished), act("b", state.Created), act("c", state.Revoked).with(notYet), pending("d"),
		sub("t", state.Failed, act("e", state.Finished), act("f", state.Created).with(retried))), act("g", state.Finished)))
	after, tr := apply(t, before, on(state.Reset, "s"))
	untouched := map[string]bool{"root": true, "b": true, "f": true, "g": true}
	for i := range before.Len() {
		n := before.Node(i)
		want := n
		if !untouched[n.ID] {
			want.Progress = state.Progress{Attempt: state.Attempt{
				Version: v(99).Below(i), State: state.Created, Began: state.Reset, Along: true, Loop: 2,
			}, Updated: now, Supersedes: n.Version}
			if n.ID == "s" {
				want.Version, want.Along = v(99), false
			}
		}
		if diff := cmp.Diff(want, after.Node(i), byValue); diff != "" {
			t.Errorf("node %q (-want +got):\n%s", n.ID, diff)
		}
	}
	for _, c := range tr.Changes {
		if n := node(t, before, c.ID); c.Superseded == nil || *c.Superseded != n.Attempt {
			t.Errorf("the history of %q gets %+v", c.ID, c.Superseded)
		}
	}
	if len(tr.Changes) != 6 || tr.Changes[0].ID != "s" {
		t.Errorf("%d nodes changed, %q first", len(tr.Changes), tr.Changes[0].ID)
	}
}

// Runners compute this version, so the formula must never change.
func TestTheVersionsBelowAResetAreDerived(t *testing.T) {
	version, _ := state.ParseVersion("7447cc2801b630f497768493c02fb488")
	for index, want := range map[int]string{1: "0022f793acbd3539b52c29179715d0e6", 70_000: "c6830cd0d272d85bc36701650967c789"} {
		if got := version.Below(index).String(); got != want {
			t.Errorf("below at %d: %s, want %s", index, got, want)
		}
	}
}
