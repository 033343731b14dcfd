package runner

import (
	"maps"
	"slices"

	"github.com/pipestatus/pipestatus/examples/internal/runner/expression"
	"github.com/pipestatus/pipestatus/state"
)

// flowEnds are the flows of a pipeline that are in order, by ID and by the
// nodes at their ends.
type flowEnds struct {
	flows   map[string]*flow
	nodes   map[string]*node
	out, in map[string][]string // in the order of IDs
}

// flows checks the flows of a pipeline.
func (b *builder) flows(path string, doc *document, nodes map[string]*node) *flowEnds {
	ends := &flowEnds{doc.Flows, nodes, map[string][]string{}, map[string][]string{}}
	for _, id := range slices.Sorted(maps.Keys(doc.Flows)) {
		place, f := join(path, "flows."+id), doc.Flows[id]
		if f == nil {
			b.problem(place, "is null")
			delete(doc.Flows, id)
			continue
		}
		if f.ID != id {
			b.problem(place, "has another id, %q", f.ID)
		}
		source, target := nodes[f.Source], nodes[f.Target]
		if source == nil {
			b.problem(place, "unknown source %q", f.Source)
		}
		if target == nil {
			b.problem(place, "unknown target %q", f.Target)
		}
		ends.out[f.Source] = append(ends.out[f.Source], id)
		ends.in[f.Target] = append(ends.in[f.Target], id)
	}
	return ends
}

// link resolves the flows of a node and holds its lists against them.
func (b *builder) link(path string, n *node, e *element, ends *flowEnds) {
	if !n.kind.Valid() { // its permitted flows are unknown
		return
	}
	least, most := 1, 1
	switch {
	case n.kind == state.EndEvent:
		least, most = 0, 0
	case branching(n.kind):
		most = len(ends.flows) + 1
	}
	if len(e.Outgoing) < least || len(e.Outgoing) > most {
		b.problem(path, "has %d outgoing flows", len(e.Outgoing))
	}
	listed := map[string]bool{}
	for _, id := range e.Outgoing {
		f := ends.flows[id]
		switch {
		case f == nil:
			b.problem(path, "unknown outgoing flow %q", id)
		case f.Source != n.id:
			b.problem(path, "outgoing flow %s comes from %q", id, f.Source)
		case listed[id]:
			b.problem(path, "outgoing flow %s is listed twice", id)
		case ends.nodes[f.Target] != nil:
			n.next = append(n.next, branch{flow: id, to: ends.nodes[f.Target]})
		}
		listed[id] = true
	}
	for _, id := range ends.out[n.id] {
		if !listed[id] {
			b.problem(path, "flow %s comes from here and is not in outgoing", id)
		}
	}
	b.linkBack(path, n, e, ends)
}

// linkBack resolves the flows that lead to a node.
func (b *builder) linkBack(path string, n *node, e *element, ends *flowEnds) {
	listed := map[string]bool{}
	for _, id := range e.Incoming {
		listed[id] = true
		if f := ends.flows[id]; f == nil {
			b.problem(path, "unknown incoming flow %q", id)
		} else if f.Target != n.id {
			b.problem(path, "incoming flow %s leads to %q", id, f.Target)
		}
	}
	for _, id := range ends.in[n.id] {
		if e.Incoming != nil && !listed[id] {
			b.problem(path, "flow %s leads here and is not in incoming", id)
		}
		if n.kind == state.StartEvent {
			b.problem(path, "flow %s leads to the start event", id)
		}
		if source := ends.nodes[ends.flows[id].Source]; source != nil {
			n.previous = append(n.previous, source)
		}
	}
}

// conditions gives the flows of a gateway their conditions.
func (b *builder) conditions(path string, n *node, e *element) {
	if !conditional(n.kind) {
		if len(e.Conditions) > 0 {
			b.problem(path, "a %s has no conditions", e.Type)
		}
		return
	}
	fallback := e.DefaultCondition.FlowID
	outgoing := map[string]bool{}
	for _, id := range e.Outgoing {
		outgoing[id] = true
	}
	for _, id := range slices.Sorted(maps.Keys(e.Conditions)) {
		if !outgoing[id] {
			b.problem(path, "condition for %s, which is no outgoing flow", id)
		}
	}
	if fallback != "" && !outgoing[fallback] {
		b.problem(path, "default_condition is %s, which is no outgoing flow", fallback)
	}
	for i := range n.next {
		br := &n.next[i]
		c, ok := e.Conditions[br.flow]
		br.isFallback = br.flow == fallback
		switch {
		case ok:
			var err error
			if br.when, err = expression.ParseCondition(c.Evaluate); err != nil {
				b.problem(path, "flow %s: %v", br.flow, err)
			}
		case len(n.next) > 1 && !br.isFallback:
			b.problem(path, "flow %s has no condition and is not the default", br.flow)
		}
	}
}
