package state_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pipestatus/pipestatus/state"
)

// Most tests need a node in some state at some place, regardless of its history, so
// their trees are built from a description and not by operations.

var (
	key     = state.Key{Business: "2", Task: "10"}
	byValue = cmpopts.EquateComparable(state.Version{}, state.Instant{})
	states  = []state.State{state.Created, state.Running, state.Failed, state.Suspended, state.Revoked, state.Finished}
)

// onExisting has the operations on existing nodes.
var onExisting = []state.OpKind{
	state.Start, state.Finish, state.Fail, state.Retry, state.Skip, state.Loop, state.Reset, state.Reopen,
	state.Suspend, state.Resume, state.Revoke,
}

// at is the moment sec seconds after the Unix epoch.
func at(sec int64) state.Instant { return state.UnixInstant(sec, 0) }

// The nodes of a described tree started at 5 and last changed at 10; operations
// happen at 100.
var started, changed, now = at(5), at(10), at(100)

// v is the n-th version.
func v(n byte) state.Version { return state.VersionOf([16]byte{15: n}) }

// spec describes a node and the nodes in it.
type spec struct {
	node     state.Node
	children []spec
}

func describe(id string, kind state.Kind, st state.State, children []spec) spec {
	s := spec{state.Node{ID: id, Kind: kind}, children}
	s.node.State, s.node.Loop = st, 1
	s.node.Updated, s.node.Began = changed, state.Declare
	if st != state.Created {
		s.node.Started = started
	}
	if st.Ended() {
		s.node.Finished = changed
	}
	if st == state.Failed {
		s.node.Error = "it broke"
	}
	return s
}

// pipeline, sub and act describe the root, a subprocess and a service activity.
// The version of the i-th node, in the order of creation (depth first, as
// written), is v(i).
func pipeline(st state.State, children ...spec) spec {
	return describe("root", state.Pipeline, st, children)
}

func sub(id string, st state.State, children ...spec) spec {
	return describe(id, state.Subprocess, st, children)
}

func act(id string, st state.State) spec { return describe(id, state.ServiceActivity, st, nil) }

// pending describes a failed activity that waits for its automatic retry.
func pending(id string) spec {
	return act(id, state.Failed).with(func(n *state.Node) { n.RetryAt = at(500) })
}

func (s spec) with(change func(*state.Node)) spec {
	change(&s.node)
	return s
}

func noRetry(n *state.Node) { n.NoRetry = true }
func noSkip(n *state.Node)  { n.NoSkip = true }
func notYet(n *state.Node)  { n.Started = state.Instant{} }

// retried and resetNode set the operation that began a node's attempt; along
// says that a container above was reset.
func retried(n *state.Node)   { n.Began = state.Retry }
func resetNode(n *state.Node) { n.Began = state.Reset }
func paused(n *state.Node)    { n.Paused = true }
func along(n *state.Node)     { n.Began, n.Along = state.Reset, true }

// treeOf builds the described tree.
func treeOf(t testing.TB, root spec) *state.Tree {
	t.Helper()
	b := state.NewBuilder(key, 0)
	count := 0
	var add func(s spec, parent int)
	add = func(s spec, parent int) {
		s.node.Index, s.node.ParentIndex = count, parent
		if parent >= 0 && !s.node.Version.IsSet() {
			s.node.Version = v(byte(count))
		}
		if err := b.Add(&s.node); err != nil {
			t.Fatal(err)
		}
		count++
		for self := s.node.Index; len(s.children) > 0; s.children = s.children[1:] {
			add(s.children[0], self)
		}
	}
	add(root, -1)
	tree, err := b.Tree(7)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// on is an operation on a node, with the required fields.
func on(kind state.OpKind, id string, changes ...func(*state.Op)) state.Op {
	op := state.Op{Kind: kind, Node: id, Now: now}
	if kind.NamesAttempt() {
		op.NewVersion = v(99)
	}
	if kind == state.Reopen {
		op.Node, op.Task = "", key
	}
	for _, change := range changes {
		change(&op)
	}
	return op
}

func create(id string, changes ...func(*state.Op)) state.Op {
	op := state.Op{Kind: state.Create, Task: key, Node: id, NodeGiven: true, Now: now}
	for _, change := range changes {
		change(&op)
	}
	return op
}

func declare(parent, id string, changes ...func(*state.Op)) state.Op {
	op := state.Op{
		Kind: state.Declare, Parent: parent, Node: id, NodeGiven: true, NodeKind: state.ServiceActivity,
		NewVersion: v(98), Now: now,
	}
	for _, change := range changes {
		change(&op)
	}
	return op
}

func idempotent(op *state.Op)         { op.Idempotent = true }
func ignore(op *state.Op)             { op.Ignore = true }
func abandon(op *state.Op)            { op.Abandon = true }
func tolerate(op *state.Op)           { op.Tolerate = true }
func onLoop(n int) func(*state.Op)    { return func(op *state.Op) { op.Loop = n } }
func texted(s string) func(*state.Op) { return func(op *state.Op) { op.Error = s } }
func retryAt(op *state.Op)            { op.RetryAt = at(500) }
func taken(op *state.Op)              { op.Taken = true }
func asSubprocess(op *state.Op)       { op.NodeKind = state.Subprocess }
func leftOpen(op *state.Op)           { op.NodeGiven = false }
func misshapen(op *state.Op)          { op.Actor = "\n" }
func basedOn(n byte) func(*state.Op)  { return func(op *state.Op) { op.Version = v(n) } }
func named(s string) func(*state.Op)  { return func(op *state.Op) { op.Name = s } }
func given(i state.Instant) func(*state.Op) {
	return func(op *state.Op) { op.At = i }
}

// apply applies operations, which must be accepted, and also returns the last
// transition.
func apply(t testing.TB, tree *state.Tree, ops ...state.Op) (*state.Tree, *state.Transition) {
	t.Helper()
	next, outcomes, err := tree.Apply(state.Limits{}, ops...)
	if err != nil {
		t.Fatal(err)
	}
	return next, outcomes[len(outcomes)-1].Transition
}

// node is a node's values by ID.
func node(t testing.TB, tree *state.Tree, id string) state.Node {
	t.Helper()
	i, ok := tree.Find(id)
	if !ok {
		t.Fatalf("no node %q", id)
	}
	return tree.Node(i)
}

// refusedWith fails the test unless err is a refusal that matches want and no
// other sentinel; a nil want expects success.
func refusedWith(t testing.TB, err, want error) {
	t.Helper()
	if want == nil {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	if err == nil {
		t.Errorf("accepted, want a refusal: %v", want)
		return
	}
	if refusal(t, err); !errors.Is(err, want) {
		t.Errorf("refused: %v, want: %v", err, want)
	}
	for _, other := range []error{
		state.ErrInvalidArgument, state.ErrNotFound, state.ErrExists, state.ErrVersionMismatch,
		state.ErrInvalidTransition, state.ErrNotRetryable, state.ErrNotSkippable, state.ErrLoopLimit,
	} {
		if !errors.Is(want, other) && errors.Is(err, other) {
			t.Errorf("%v matches %v too", err, other)
		}
	}
}

// refusal returns err as a *state.Error.
func refusal(t testing.TB, err error) *state.Error {
	t.Helper()
	var refusal *state.Error
	if !errors.As(err, &refusal) {
		t.Fatalf("%v is no refusal", err)
	}
	return refusal
}

// failer has the common methods of testing.TB and rapid.T.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// sameTree fails the test unless all methods of two trees agree.
func sameTree(t failer, what string, got, want *state.Tree) {
	t.Helper()
	g, w := contents(got), contents(want)
	if !slices.EqualFunc(g, w, func(a, b content) bool { return a == b }) {
		t.Fatalf("%s (-want +got):\n%s", what, cmp.Diff(w, g, byValue))
	}
	if got.Key() != want.Key() || got.Revision() != want.Revision() || got.Unfinished() != want.Unfinished() {
		t.Fatalf("%s: %s at %d, want %s at %d", what, got.Key(), got.Revision(), want.Key(), want.Revision())
	}
	for i := range want.Len() {
		if at, ok := got.Find(want.ID(i)); !ok || at != i {
			t.Fatalf("%s: node %q is found at %d, %t, not at %d", what, want.ID(i), at, ok, i)
		}
		if seen := viewed(got.View(i)); seen != shownOf(&w[i]) {
			t.Fatalf("%s: node %d is seen as %+v, but is %+v", what, i, seen, w[i])
		}
	}
}

// summary holds the values of a view of a node.
type summary struct {
	id, name            string
	shown               state.State
	version             state.Version
	loop, retry         int
	skipped             bool
	started, finished   state.Instant
	parent, first, next int
}

func viewed(v state.NodeView) summary {
	return summary{
		v.ID(), v.DisplayName(), v.Shown(), v.Version(), v.Loop(), v.Retry(), v.Skipped(), v.Started(), v.Finished(),
		v.Parent(), v.FirstChild(), v.NextSibling(),
	}
}

func shownOf(c *content) summary {
	n := &c.Node
	return summary{
		n.ID, n.DisplayName(), c.Shown, n.Version, n.Loop, n.Retry(), n.Skipped, n.Started, n.Finished,
		c.Parent, c.First, c.Next,
	}
}

// content holds all values of a node.
type content struct {
	Node                       state.Node
	Shown, FailedFirst         state.State
	Counts                     state.Counts
	Pending                    int
	Level, Parent, First, Next int
}

func contents(tree *state.Tree) []content {
	all := make([]content, tree.Len())
	failedFirst := tree.ShownFailedFirst(nil)
	for i := range all {
		all[i] = content{
			tree.Node(i), tree.Shown(i), failedFirst[i], tree.Counts(i), tree.Pending(i),
			tree.Level(i), tree.Parent(i), tree.FirstChild(i), tree.NextSibling(i),
		}
	}
	return all
}

// rows reads a table: a line with the heads of the columns, then lines with the
// head of a row and its cells. Rows are operations, columns states.
func rows(t *testing.T, table string, visit func(op state.OpKind, st state.State, cell string)) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(table), "\n")
	heads := strings.Fields(lines[0])
	for _, line := range lines[1:] {
		cells := strings.Fields(line)
		op, err := state.ParseOpKind(cells[0])
		if err != nil || len(cells) != len(heads)+1 {
			t.Fatalf("row %q: %v", line, err)
		}
		for i, head := range heads {
			st, err := state.ParseState(head)
			if err != nil {
				t.Fatal(err)
			}
			visit(op, st, cells[i+1])
		}
	}
}

// end is the first number after those of an enumeration, of which it gets the first.
func end[E interface {
	~uint8
	Valid() bool
}](e E) E {
	for e.Valid() {
		e++
	}
	return e
}
