package state_test

import (
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/state"
)

const (
	yearOne      = -62135596800 // 0001-01-01T00:00:00Z
	yearTenThous = 253402300800 // 10000-01-01T00:00:00Z
)

func TestAnOperationHappensAtTheLaterOfItsTimeAndTheNodesLastTransition(t *testing.T) {
	for _, c := range []struct {
		name             string
		last, given, now state.Instant
		want             state.Instant
	}{
		{"no time given: the clock's", at(10), none, at(20), at(20)},
		{"a time given before the clock's", at(10), at(15), at(20), at(15)},
		{"a time given after the clock's", at(10), at(25), at(20), at(25)},
		{"a time given before the last transition", at(10), at(5), at(20), at(10)},
		{"a time given at the last transition", at(10), at(10), at(20), at(10)},
		{"the clock went backwards", at(10), none, at(5), at(10)},
		{"the clock went backwards behind a time given", at(10), at(15), at(5), at(15)},
		{"0 is a time", at(-10), at(0), at(20), at(0)},
		{"0 as the clock's time", at(-10), none, at(0), at(0)},
		{"a time before 1970", at(-20), at(-10), at(20), at(-10)},
		{"the first moment of year 1", at(yearOne), at(yearOne), at(20), at(yearOne)},
		{"the last moment of year 9999", at(10), state.UnixInstant(yearTenThous-1, 999_999_999), at(20), state.UnixInstant(yearTenThous-1, 999_999_999)},
		{"a nanosecond later", state.UnixInstant(10, 1), state.UnixInstant(10, 2), at(20), state.UnixInstant(10, 2)},
		{"a nanosecond earlier", state.UnixInstant(10, 2), state.UnixInstant(10, 1), at(20), state.UnixInstant(10, 2)},
		{"nanoseconds do not outweigh seconds", state.UnixInstant(10, 0), state.UnixInstant(9, 999_999_999), at(20), at(10)},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := treeOf(t, pipeline(state.Running, act("a", state.Created).with(func(n *state.Node) { n.Updated = c.last })).
				with(func(n *state.Node) { n.Started = at(yearOne) }))
			after, tr := apply(t, before, on(state.Start, "a", given(c.given), func(op *state.Op) { op.Now = c.now }))
			n := node(t, after, "a")
			if n.Started != c.want || n.Updated != c.want || tr.At != c.want {
				t.Errorf("started %s, last changed %s, transition at %s; want %s", n.Started, n.Updated, tr.At, c.want)
			}
			if tr.Recorded != c.now {
				t.Errorf("recorded at %s, want the clock's %s", tr.Recorded, c.now)
			}
		})
	}
}

func TestANodesCreationCountsAsItsFirstTransition(t *testing.T) {
	tree, _ := apply(t, state.NewTree(key),
		create("root", given(at(50))), on(state.Start, "root", given(at(40))),
		declare("root", "a", given(at(70))), on(state.Start, "a", given(at(60))))
	for id, want := range map[string]state.Instant{"root": at(50), "a": at(70)} {
		if n := node(t, tree, id); n.Started != want {
			t.Errorf("%s started at %s, want its creation at %s", id, n.Started, want)
		}
	}
}

func TestANodeDoesNotBeginBeforeItsContainerStarted(t *testing.T) {
	tree, _ := apply(t, state.NewTree(key),
		create("root", given(at(10))), on(state.Start, "root", given(at(100))),
		declare("root", "a", given(at(30))), on(state.Start, "a", given(at(20))))
	if n := node(t, tree, "a"); n.Started != at(100) || n.Updated != at(100) {
		t.Errorf("started %s, want the start of its container", n.Started)
	}
}

func TestAContainersLastTransitionDoesNotLimitItsChildren(t *testing.T) {
	tree := treeOf(t, pipeline(state.Running, act("a", state.Created)).with(func(n *state.Node) { n.Updated = at(1000) }))
	tree, tr := apply(t, tree, on(state.Start, "a", given(at(20))))
	if tr.At != at(20) || node(t, tree, "root").Updated != at(1000) {
		t.Errorf("at %s; only the start of the container counts", tr.At)
	}
}

func TestAContainerDoesNotEndBeforeAnythingBelowIt(t *testing.T) {
	late := at(1000)
	lately := func(n *state.Node) { n.Updated = late }
	for name, below := range map[string]spec{
		"a child":      act("a", state.Finished).with(lately),
		"a subprocess": sub("s", state.Revoked).with(lately),
		"a grandchild": sub("s", state.Revoked, act("a", state.Running).with(lately)),
	} {
		for op, from := range map[state.OpKind]state.State{
			state.Finish: state.Running, state.Fail: state.Running, state.Skip: state.Failed, state.Revoke: state.Running,
		} {
			after, tr := apply(t, treeOf(t, pipeline(state.Running, sub("c", from, below))), on(op, "c"))
			if n := node(t, after, "c"); n.Finished != late || n.Updated != late || tr.At != late {
				t.Errorf("%s over %s: at %s, finished %s, want %s", op, name, tr.At, n.Finished, late)
			}
		}
		for op, from := range map[state.OpKind]state.State{
			state.Suspend: state.Running, state.Retry: state.Failed, state.Loop: state.Finished,
		} {
			after, _ := apply(t, treeOf(t, pipeline(state.Running, sub("c", from, below))), on(op, "c"))
			if n := node(t, after, "c"); n.Updated != now {
				t.Errorf("%s over %s: at %s, want %s", op, name, n.Updated, now)
			}
		}
	}
}

func TestTheLatestTransitionBelowIsKeptByOperations(t *testing.T) {
	tree := treeOf(t, pipeline(state.Running, sub("s", state.Running, act("a", state.Running), act("b", state.Running))))
	tree, _ = apply(t, tree, on(state.Finish, "a", given(at(1000))), on(state.Finish, "b", given(at(500))))
	tree, _ = apply(t, tree, on(state.Finish, "s"), on(state.Finish, "root"))
	for _, id := range []string{"s", "root"} {
		if n := node(t, tree, id); n.Finished != at(1000) {
			t.Errorf("%s finished at %s, before a node below it", id, n.Finished)
		}
	}
}

func TestNodesRevokedWithAContainerEndWithIt(t *testing.T) {
	before := treeOf(t, pipeline(state.Running,
		sub("s", state.Running).with(func(n *state.Node) { n.Updated = at(1000) }), act("a", state.Suspended)))
	after, _ := apply(t, before, on(state.Revoke, "root"))
	for _, id := range []string{"root", "s", "a"} {
		if n := node(t, after, id); n.Finished != at(1000) || n.Updated != at(1000) {
			t.Errorf("%s finished at %s, last changed at %s", id, n.Finished, n.Updated)
		}
	}
}

func TestEveryOperationMovesTheLastTransition(t *testing.T) {
	for op, from := range legalFrom {
		if op == state.Declare {
			continue
		}
		after, tr := apply(t, treeOf(t, pipeline(state.Running, act("a", from))), on(op, "a", given(at(3))))
		if n := node(t, after, "a"); n.Updated != changed || tr.At != changed {
			t.Errorf("%s before the last transition: at %s, want %s", op, tr.At, changed)
		}
		after, _ = apply(t, treeOf(t, pipeline(state.Running, act("a", from))), on(op, "a", given(at(30))))
		if n := node(t, after, "a"); n.Updated != at(30) {
			t.Errorf("after %s the last transition was at %s, want %s", op, n.Updated, at(30))
		}
	}
}

func TestTimesOutsideTheYears1To9999AreRefused(t *testing.T) {
	tree := treeOf(t, pipeline(state.Running, act("a", state.Running)))
	for name, bad := range map[string]state.Instant{
		"before year 1":        at(yearOne - 1),
		"year 10000":           at(yearTenThous),
		"negative nanoseconds": state.UnixInstant(0, -1),
		"a second of nanos":    state.UnixInstant(0, 1_000_000_000),
	} {
		for field, op := range map[string]state.Op{
			"time":     on(state.Finish, "a", given(bad)),
			"retry-at": on(state.Fail, "a", func(op *state.Op) { op.RetryAt = bad }),
			"now":      on(state.Finish, "a", func(op *state.Op) { op.Now = bad }),
		} {
			t.Run(field+" "+name, func(t *testing.T) {
				_, _, err := tree.Apply(state.Limits{}, op)
				refusedWith(t, err, state.ErrInvalidArgument)
			})
		}
	}
	_, _, err := tree.Apply(state.Limits{}, on(state.Finish, "a", func(op *state.Op) { op.Now = none }))
	refusedWith(t, err, state.ErrInvalidArgument)
}

func TestTheYearHasFourDigitsWhereverATimeIsShown(t *testing.T) {
	for _, test := range []struct {
		sec    int64
		offset int
		want   string
	}{
		{yearOne, 0, "0001-01-01T00:00:00Z"},
		{yearOne, 3600, "0001-01-01T01:00:00+01:00"},
		{yearOne, -3600, "0001-01-01T00:00:00Z"},
		{yearOne + 3600, -3600, "0001-01-01T00:00:00-01:00"},
		{yearTenThous - 1, -3600, "9999-12-31T22:59:59-01:00"},
		{yearTenThous - 1, 3600, "9999-12-31T23:59:59Z"},
		{yearTenThous - 3601, 3600, "9999-12-31T23:59:59+01:00"},
	} {
		if got := at(test.sec).In(time.FixedZone("", test.offset)).Format(time.RFC3339); got != test.want {
			t.Errorf("%s at offset %d is %s, want %s", at(test.sec), test.offset, got, test.want)
		}
	}
	if got := none.In(time.FixedZone("", 3600)); !got.IsZero() {
		t.Errorf("unset is %v", got)
	}
}

func TestInstants(t *testing.T) {
	moments := []state.Instant{
		{},
		at(yearOne), state.UnixInstant(-1, 999_999_999), at(0), state.UnixInstant(0, 1), at(1),
		state.UnixInstant(yearTenThous-1, 999_999_999),
	}
	for i, a := range moments {
		if a.IsSet() != (i > 0) || !a.Valid() {
			t.Errorf("%v: set %t, valid %t", a, a.IsSet(), a.Valid())
		}
		for j, b := range moments {
			if a.After(b) != (i > j) || (a == b) != (i == j) {
				t.Errorf("%v after %v: %t", a, b, a.After(b))
			}
		}
		sec, nsec := a.Unix()
		if a.IsSet() && (state.UnixInstant(sec, nsec) != a || state.InstantOf(a.Time()) != a || !a.Time().Equal(time.Unix(sec, int64(nsec)))) {
			t.Errorf("%v does not come back from Unix or Time", a)
		}
	}
	if got := (state.Instant{}); got.String() != "" || !got.Time().IsZero() {
		t.Errorf("unset is %q, %v", got, got.Time())
	}
	if !state.InstantOf(time.Time{}).IsSet() {
		t.Error("the zero time.Time is a moment")
	}
	east := time.Date(2018, 4, 26, 16, 8, 34, 5, time.FixedZone("", 8*3600))
	if got := state.InstantOf(east); got.String() != "2018-04-26T08:08:34.000000005Z" || got != state.InstantOf(east.UTC()) {
		t.Errorf("a location matters: %s", got)
	}
}
