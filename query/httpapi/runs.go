package httpapi

import (
	"context"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
)

// usualNode is how a node of a task went in earlier runs. Durations are seconds.
type usualNode struct {
	Index    int     `json:"index"`
	Runs     int     `json:"runs"`
	Failures int     `json:"failures"`
	Finished int     `json:"finished"`
	Median   float64 `json:"median"`
	P95      float64 `json:"p95"`
}

// usual tells how the last runs like a task went, node by node, and when the task
// is expected to end.
func (h *Handler) usual(x *exchange) error {
	name, labels := x.params.text("name"), x.params.labels("labels")
	trees, err := x.loadAll(inPieces, func(ctx context.Context) ([]*state.Tree, error) {
		snap, err := h.query.Snapshot(ctx, x.business, x.task)
		// Earlier runs are read one at a time, and each is about as large.
		return []*state.Tree{snap.Tree, snap.Tree}, err
	})
	if err != nil {
		return err
	}
	tree := trees[0]
	runs := query.RunsLike(tree)
	if name != "" || labels.Len() > 0 {
		runs = query.Runs{Business: x.business, Name: name, Labels: labelsOf(labels)}
	}
	stats := new(query.Statistics)
	if runs.Name != "" || len(runs.Labels) > 0 {
		if stats, err = h.query.Statistics(x.r.Context(), runs); err != nil {
			return err
		}
	}
	estimate := h.query.EstimateOf(tree, stats)
	return x.respond("", func(s *sink) error {
		s.field(`{"runs":`, stats.Runs)
		if !estimate.End.IsZero() {
			s.field(`,"expected_end":`, h.time(state.InstantOf(estimate.End)))
		}
		if estimate.Overdue > 0 {
			s.field(`,"overdue":`, estimate.Overdue.Seconds())
		}
		if estimate.Waits != 0 {
			s.field(`,"waits":`, estimate.Waits.String())
		}
		if stats.Waiting > 0 {
			s.field(`,"not_counted":`, stats.Waiting)
		}
		s.field(`,"expected_steps":`, estimate.Steps)
		s.text(`,"nodes":[`)
		for i, n := range stats.Of(tree) {
			if n != nil && n.Runs > 0 {
				s.element(usualNode{i, n.Runs, n.Failures, n.Finished, n.Median.Seconds(), n.P95.Seconds()})
			}
		}
		s.text("]}")
		return nil
	})
}

// comparedNode is a node of two runs. A side is absent where there is no such node.
type comparedNode struct {
	Path    []string      `json:"path"` // display names, from below the root down
	Kind    string        `json:"kind"`
	Name    string        `json:"name,omitempty"` // absent if none was given
	Differs bool          `json:"differs"`
	A       *comparedSide `json:"a,omitempty"`
	B       *comparedSide `json:"b,omitempty"`
}

type comparedSide struct {
	Node    string  `json:"node_id"`
	Seconds float64 `json:"seconds"` // that the attempt took, or has taken
	attempt
}

// compare puts a task and another one of the same business side by side.
func (h *Handler) compare(x *exchange) error {
	with := x.params.id("with")
	trees, err := x.loadAll(inPieces, func(ctx context.Context) (trees []*state.Tree, err error) {
		for _, task := range []string{with, x.task} {
			snap, err := h.query.Snapshot(ctx, x.business, task)
			if err != nil {
				return nil, err
			}
			trees = append(trees, snap.Tree)
		}
		return trees, nil
	})
	if err != nil {
		return err
	}
	return x.respond("", func(s *sink) error {
		for i, tree := range trees {
			s.field([]string{`{"a":`, `,"b":`}[i], tree.Key().Task)
		}
		s.text(`,"nodes":[`)
		list := h.query.Compare(trees[0], trees[1])
		for i := range list {
			s.element(h.compared(&list[i]))
		}
		s.text("]}")
		return nil
	})
}

func (h *Handler) compared(d *query.Difference) comparedNode {
	node := comparedNode{Path: append([]string{}, d.Path...), Differs: d.Differs(), A: h.side(d.A), B: h.side(d.B)}
	has := d.B
	if has == nil {
		has = d.A
	}
	node.Kind, node.Name = has.Kind.String(), has.Name
	return node
}

func (h *Handler) side(s *query.Side) *comparedSide {
	if s == nil {
		return nil
	}
	return &comparedSide{Node: s.ID, Seconds: s.Took.Seconds(), attempt: h.attempt(&s.Attempt, s.Shown)}
}
