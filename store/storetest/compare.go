package storetest

import (
	"fmt"
	"reflect"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// The functions in this file describe the first difference, "" for equal values.

func diffTrees(got, want *state.Tree) string {
	switch {
	case got == nil:
		return "no tree"
	case got.Key() != want.Key() || got.Revision() != want.Revision() || got.Len() != want.Len():
		return fmt.Sprintf("tree of task %s at revision %d with %d nodes, want %s at %d with %d",
			got.Key(), got.Revision(), got.Len(), want.Key(), want.Revision(), want.Len())
	}
	if g, w := got.Labels(), want.Labels(); g != w {
		return fmt.Sprintf("labels %s, want %s", show(g), show(w))
	}
	for i := range want.Len() {
		g, w := viewOf(got, i), viewOf(want, i)
		if !reflect.DeepEqual(g, w) {
			return fmt.Sprintf("node %d is %s, want %s", i, show(g), show(w))
		}
		if at, ok := got.Find(w.node.ID); !ok || at != i {
			return fmt.Sprintf("node %q is found at %d (%t), want %d", w.node.ID, at, ok, i)
		}
		if at, ok := got.FindKey(w.node.Key); ok != (w.node.Key != "") || ok && at != i {
			return fmt.Sprintf("node with key %q is found at %d (%t), want %d", w.node.Key, at, ok, i)
		}
	}
	return ""
}

// view is everything a tree says of one node.
type view struct {
	node                            state.Node
	shown                           state.State
	counts                          state.Counts
	parent, firstChild, nextSibling int
}

func viewOf(t *state.Tree, i int) view {
	return view{t.Node(i), t.Shown(i), t.Counts(i), t.Parent(i), t.FirstChild(i), t.NextSibling(i)}
}

func diffTransitions(got, want []*state.Transition) string {
	for i := range min(len(got), len(want)) {
		if d := diffTransition(got[i], want[i]); d != "" {
			return fmt.Sprintf("transition %d of %d: %s", i+1, len(want), d)
		}
	}
	if len(got) != len(want) {
		return fmt.Sprintf("%d transitions (%s), want %d (%s)", len(got), span(got), len(want), span(want))
	}
	return ""
}

// span is the first and last sequence.
func span(trs []*state.Transition) string {
	if len(trs) == 0 {
		return "none"
	}
	return fmt.Sprintf("%d to %d", trs[0].Sequence, trs[len(trs)-1].Sequence)
}

func diffTransition(got, want *state.Transition) string {
	if got == nil {
		return "it is nil"
	}
	g, w := *got, *want
	g.Changes, g.Data, w.Changes, w.Data = nil, nil, nil, nil
	if !reflect.DeepEqual(g, w) || len(got.Changes) != len(want.Changes) {
		return fmt.Sprintf("%s with %d changes, want %s with %d", show(g), len(got.Changes), show(w), len(want.Changes))
	}
	if !got.Data.Equal(want.Data) || got.Data.Bytes() != nil {
		return fmt.Sprintf("sequence %d has data of %s, want %s, named only", want.Sequence, got.Data, want.Data)
	}
	for i := range want.Changes {
		if g, w := &got.Changes[i], &want.Changes[i]; !reflect.DeepEqual(g, w) {
			return fmt.Sprintf("sequence %d, change %d is %s, want %s", want.Sequence, i+1, showChange(g), showChange(w))
		}
	}
	return ""
}

// showChange is a change with the values that it points to.
func showChange(c *state.Change) string {
	return fmt.Sprintf("%s, declared %s, superseded %s", show(*c), show(c.Declared), show(c.Superseded))
}

// diffLists compares lists of comparable values.
func diffLists[T comparable](what string, got, want []T) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("%s %d of %d is %s, want %s", what, i+1, len(want), show(got[i]), show(want[i]))
		}
	}
	if len(got) != len(want) {
		return fmt.Sprintf("%d of %s, want %d", len(got), what, len(want))
	}
	return ""
}

// show formats a value for a message and cuts long texts.
func show(v any) string {
	s := fmt.Sprintf("%+v", v)
	if len(s) > 1500 {
		s = s[:1500] + "…"
	}
	return s
}

// copyTransitions shares nothing with trs.
func copyTransitions(trs []*state.Transition) []*state.Transition {
	list := make([]*state.Transition, len(trs))
	for i, tr := range trs {
		c := *tr
		c.Changes = append([]state.Change(nil), tr.Changes...)
		for j := range c.Changes {
			n := &c.Changes[j]
			if n.Declared != nil {
				d := *n.Declared
				n.Declared = &d
			}
			if n.Superseded != nil {
				a := *n.Superseded
				n.Superseded = &a
			}
		}
		list[i] = &c
	}
	return list
}

// diffAttempts describes the first difference, "" for equal attempts. The data of
// the wanted attempts has its bytes; the others may have size and digest only.
func diffAttempts(got, want []store.Attempt) string {
	if len(got) != len(want) {
		return fmt.Sprintf("%d attempts, want %d", len(got), len(want))
	}
	for i := range want {
		if !got[i].Equal(&want[i]) {
			return fmt.Sprintf("attempt %d is %s, want %s", i+1, show(got[i]), show(want[i]))
		}
		for _, d := range []*state.Data{got[i].Input, got[i].Output} {
			if d != nil && d.Bytes() != nil && !state.NewData(d.Bytes()).Equal(d) {
				return fmt.Sprintf("attempt %d has other bytes than data of %s", i+1, d)
			}
		}
	}
	return ""
}
