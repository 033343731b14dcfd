package runner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pipestatus/pipestatus/state"
)

// checkGraph checks the way through a pipeline whose flows are in order, and
// finds its parallel parts.
func (b *builder) checkGraph(path string, p *pipeline, all []*node) {
	p.nodes = reachable(nil, p.start)
	reached, ending := set(p.nodes), set(leadingTo(p.end))
	sound := true
	for _, n := range all {
		if !reached[n] {
			b.problem(b.owners[n.id], "cannot be reached from the start event")
		} else if !ending[n] {
			b.problem(b.owners[n.id], "does not lead to the end event")
		}
		sound = sound && reached[n] && ending[n]
	}
	exclusive := func(n *node) bool { return n.kind == state.ExclusiveGateway }
	if cycle := cycleWithout(exclusive, all); cycle != nil {
		b.problem(path, "a cycle without exclusive gateway never ends: %s", names(cycle))
	} else if cycle := cycleWithout(acts, all); cycle != nil {
		b.problem(path, "a cycle without activity never ends: %s", names(cycle))
	}
	if sound {
		b.findRegions(p)
	}
}

// acts reports whether n runs a command, so that conditions can change.
func acts(n *node) bool {
	return n.kind == state.ServiceActivity || n.inside != nil && slices.ContainsFunc(n.inside.nodes, acts)
}

func set(nodes []*node) map[*node]bool {
	s := make(map[*node]bool, len(nodes))
	for _, n := range nodes {
		s[n] = true
	}
	return s
}

// leadingTo returns the nodes from which n can be reached, itself included.
func leadingTo(n *node) (found []*node) {
	seen := map[*node]bool{}
	for queue := []*node{n}; len(queue) > 0; queue = queue[1:] {
		if m := queue[0]; !seen[m] {
			seen[m] = true
			found = append(found, m)
			queue = append(queue, m.previous...)
		}
	}
	return found
}

// reachable returns what can be reached from some nodes, themselves included,
// without passing the node avoid.
func reachable(avoid *node, from ...*node) (found []*node) {
	seen := map[*node]bool{avoid: true}
	for queue := from; len(queue) > 0; queue = queue[1:] {
		n := queue[0]
		if seen[n] {
			continue
		}
		seen[n] = true
		found = append(found, n)
		for _, br := range n.next {
			queue = append(queue, br.to)
		}
	}
	return found
}

// cycleWithout returns a cycle without any node that breaks it, nil if there
// is none.
func cycleWithout(breaks func(*node) bool, all []*node) []*node {
	const open, done = 1, 2
	mark := map[*node]int{}
	var way []*node
	var visit func(n *node) []*node
	visit = func(n *node) []*node {
		switch {
		case mark[n] == done || breaks(n):
			return nil
		case mark[n] == open:
			return append(slices.Clone(way[slices.Index(way, n):]), n)
		}
		mark[n] = open
		way = append(way, n)
		for _, br := range n.next {
			if cycle := visit(br.to); cycle != nil {
				return cycle
			}
		}
		way = way[:len(way)-1]
		mark[n] = done
		return nil
	}
	for _, n := range all {
		if cycle := visit(n); cycle != nil {
			return cycle
		}
	}
	return nil
}

func names(nodes []*node) string {
	ids := make([]string, len(nodes))
	for i, n := range nodes {
		ids[i] = n.id
	}
	return strings.Join(ids, " → ")
}

// findRegions finds the parallel part of each parallel gateway with several
// flows. Only parts that are entered at the gateway and left at one converge
// gateway can be run: elsewhere nobody knows whom to wait for.
func (b *builder) findRegions(p *pipeline) {
	type part struct {
		gateway *node
		inside  []*node
	}
	var parts []part
	for _, n := range p.nodes {
		if len(n.next) < 2 || n.kind != state.ParallelGateway && n.kind != state.ConditionalParallelGateway {
			continue
		}
		if inside, ok := b.parallelPart(p, n); ok {
			parts = append(parts, part{n, inside})
		}
	}
	// The larger one is the outer one.
	slices.SortStableFunc(parts, func(x, y part) int { return len(y.inside) - len(x.inside) })
	for _, part := range parts {
		part.gateway.opens.outer = part.gateway.region
		for _, n := range part.inside {
			n.region = part.gateway.opens
		}
	}
}

// parallelPart returns the nodes between a parallel gateway and the converge
// gateway where its branches meet.
func (b *builder) parallelPart(p *pipeline, gateway *node) (inside []*node, ok bool) {
	path := b.owners[gateway.id]
	meet := meetingPoint(p, gateway)
	if meet.kind != state.ConvergeGateway {
		b.problem(path, "a converge gateway is missing: its branches meet in %s (%s)", meet.id, meet.kind)
		return nil, false
	}
	before := len(b.problems)
	owner := map[*node]string{}
	for _, br := range gateway.next {
		for _, n := range reachable(meet, br.to) {
			switch flow, taken := owner[n]; {
			case n == gateway:
				b.problem(path, "the branch of flow %s leads back to the gateway without passing converge gateway %s", br.flow, meet.id)
				return nil, false
			case taken && flow != br.flow:
				b.problem(path, "flows %s and %s both lead to %s before converge gateway %s", flow, br.flow, n.id, meet.id)
			case !taken:
				owner[n] = br.flow
				inside = append(inside, n)
			}
		}
	}
	for _, n := range inside {
		for _, from := range n.previous {
			if from != gateway && owner[from] == "" {
				b.problem(b.owners[from.id], "leads to %s, into the parallel part of %s", n.id, gateway.id)
			}
		}
	}
	gateway.opens = &region{converge: meet}
	return inside, len(b.problems) == before
}

// meetingPoint is the first node that every way from n to the end passes.
func meetingPoint(p *pipeline, n *node) *node {
	var common []*node
	for _, m := range reachable(nil, n) {
		if m != n && (m == p.end || !slices.Contains(reachable(m, n), p.end)) {
			common = append(common, m)
		}
	}
	for _, m := range common {
		before := reachable(m, n)
		if !slices.ContainsFunc(common, func(other *node) bool { return slices.Contains(before, other) }) {
			return m
		}
	}
	return p.end
}

// resolveConditions checks what conditions refer to, and finds the activity
// that a bare exit_code means.
func (b *builder) resolveConditions() {
	for _, g := range b.gateways {
		for _, br := range g.node.next {
			if br.when == nil {
				continue
			}
			br.when.each(func(c *condition) {
				if err := b.resolve(g.node, c); err != nil {
					b.problem(g.path, "flow %s: %v", br.flow, err)
				}
			})
		}
	}
}

func (b *builder) resolve(gateway *node, c *condition) error {
	if c.op != "exit" {
		return nil
	}
	if c.text != "" {
		n := b.nodes[c.text]
		if n == nil || n.kind != state.ServiceActivity {
			return fmt.Errorf("${%s.exit_code}: there is no such activity", c.text)
		}
		return nil
	}
	before := activitiesBefore(gateway)
	if len(before) != 1 || before[0].kind != state.ServiceActivity {
		return fmt.Errorf("exit_code of which activity? Write ${activity.exit_code}")
	}
	c.text = before[0].id
	return nil
}

// activitiesBefore returns the nodes other than gateways that come right
// before n.
func activitiesBefore(n *node) (found []*node) {
	seen := map[*node]bool{n: true}
	for queue := n.previous; len(queue) > 0; queue = queue[1:] {
		m := queue[0]
		if seen[m] {
			continue
		}
		seen[m] = true
		switch m.kind {
		case state.ServiceActivity, state.Subprocess, state.StartEvent:
			found = append(found, m)
		default:
			queue = append(queue, m.previous...)
		}
	}
	return found
}
