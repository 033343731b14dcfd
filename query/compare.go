package query

import (
	"time"

	"github.com/pipestatus/pipestatus/state"
)

// Side is a node as it went in one of two runs of a pipeline.
type Side struct {
	state.Node
	Shown state.State // by the convention of the [Query]
	// Took is the time that the current attempt took until it ended or began to wait
	// for a person, see [Stands], or has taken until now. It is 0 before the start.
	Took time.Duration
}

// Difference is a node of two runs of a pipeline, as it went in each of them.
type Difference struct {
	Path []string // as in NodeStatistics
	// A and B are nil for the run that does not have the node, never both.
	A, B *Side
}

// Differs reports whether the node is worth a look: one run does not have it,
// it shows another state or has another error text, another number of attempts or
// another outcome, or it took longer in one run by more than a tenth and a second.
func (d *Difference) Differs() bool {
	a, b := d.A, d.B
	if a == nil || b == nil {
		return true
	}
	if a.Shown != b.Shown || a.Loop != b.Loop || a.Retries != b.Retries || a.Skips != b.Skips ||
		a.Error != b.Error || a.ErrorIgnored != b.ErrorIgnored || a.RetryAt.IsSet() != b.RetryAt.IsSet() {
		return true
	}
	longer := max(a.Took, b.Took)
	return longer-min(a.Took, b.Took) > max(time.Second, longer/10)
}

// Compare puts two runs of a pipeline side by side, node by node. A node of one
// run is that of the other if it has the same key or, without a key, the same name
// within the same container, see [NodeStatistics]. The order is that of b
// from top to bottom; nodes that only a has come last, in the order of a.
func (q *Query) Compare(a, b *state.Tree) (list []Difference) {
	first, second := q.run(a), q.run(b)
	known := make(map[string]int, a.Len())
	for i := range a.Len() {
		known[first.names.identity[i]] = i
	}
	paired := make([]bool, a.Len())
	for i := range second.names.inOrder {
		d := Difference{Path: second.names.path(i), B: second.side(i)}
		if at, ok := known[second.names.identity[i]]; ok {
			d.A, paired[at] = first.side(at), true
		}
		list = append(list, d)
	}
	for i := range first.names.inOrder {
		if !paired[i] {
			list = append(list, Difference{Path: first.names.path(i), A: first.side(i)})
		}
	}
	return list
}

// run is one of the two trees that are compared.
type run struct {
	tree  *state.Tree
	names *naming
	shown func(i int) state.State // by the convention of the query
	now   state.Instant
}

func (q *Query) run(tree *state.Tree) *run {
	return &run{tree, newNaming(tree), tree.ShownBy(q.opts.FailedFirst), state.InstantOf(q.opts.Now())}
}

func (r *run) side(i int) *Side {
	s := &Side{Node: r.tree.Node(i), Shown: r.shown(i)}
	s.Took, _ = Took(r.tree, i, r.now)
	return s
}
