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
	p.nodes = inOrder(p.start, (*node).successors)
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

// findRepeated finds the pipelines inside that flows lead back to. outer says
// that this one may be run again.
func (p *pipeline) findRepeated(outer bool) {
	p.repeats = outer
	for _, n := range p.nodes {
		if n.inside != nil {
			n.inside.findRepeated(outer || slices.ContainsFunc(n.next, func(br branch) bool {
				return slices.Contains(reachable(br.to), n)
			}))
		}
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

// successors are the nodes that the flows out of a node lead to.
func (n *node) successors() []*node {
	to := make([]*node, len(n.next))
	for i, br := range n.next {
		to[i] = br.to
	}
	return to
}

// reach returns some nodes and all that can be reached from them, nearer ones first.
// next are the nodes one step further, none where the way is not to be followed.
func reach(from []*node, next func(*node) []*node) (found []*node) {
	seen := map[*node]bool{}
	for queue := from; len(queue) > 0; queue = queue[1:] {
		if n := queue[0]; !seen[n] {
			seen[n] = true
			found = append(found, n)
			queue = append(queue, next(n)...)
		}
	}
	return found
}

// leadingTo returns the nodes from which n can be reached, itself included.
func leadingTo(n *node) []*node {
	return reach([]*node{n}, func(n *node) []*node { return n.previous })
}

// reachable returns what can be reached from some nodes, themselves included.
func reachable(from ...*node) []*node { return reach(from, (*node).successors) }

// inOrder returns what can be reached from a node by steps, itself first, each node
// after all that lead to it without leading back.
func inOrder(start *node, steps func(*node) []*node) (found []*node) {
	seen := map[*node]bool{start: true}
	type visit struct {
		node *node
		left []*node // steps that have not been followed
	}
	for way := []visit{{start, steps(start)}}; len(way) > 0; {
		at := &way[len(way)-1]
		last := len(at.left) - 1
		if last < 0 {
			found = append(found, at.node)
			way = way[:len(way)-1]
			continue
		}
		// From the last step to the first, since the order is turned round.
		to := at.left[last]
		at.left = at.left[:last]
		if !seen[to] {
			seen[to] = true
			way = append(way, visit{to, steps(to)})
		}
	}
	slices.Reverse(found)
	return found
}

// cycleWithout returns a cycle that no node breaks, nil if every cycle is
// broken.
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
		for _, to := range n.successors() {
			if cycle := visit(to); cycle != nil {
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

// resolveConditions checks the exit codes that conditions refer to, and finds
// the activity that a bare exit_code means.
func (b *builder) resolveConditions() {
	for _, g := range b.gateways {
		for _, br := range g.node.next {
			if br.when == nil {
				continue
			}
			for _, activity := range br.when.ExitCodes() {
				if err := b.resolve(g.node, activity); err != nil {
					b.problem(g.path, "flow %s: %v", br.flow, err)
				}
			}
		}
	}
}

func (b *builder) resolve(gateway *node, activity string) error {
	if activity != "" {
		if n := b.nodes[activity]; n == nil || n.kind != state.ServiceActivity {
			return fmt.Errorf("${%s.exit_code}: there is no such activity", activity)
		}
		return nil
	}
	if gateway.after != nil {
		return nil
	}
	before := activitiesBefore(gateway)
	if len(before) != 1 || before[0].kind != state.ServiceActivity {
		return fmt.Errorf("exit_code of which activity? Write ${activity.exit_code}")
	}
	gateway.after = before[0]
	return nil
}

// activitiesBefore returns the nodes other than gateways that come right
// before n.
func activitiesBefore(n *node) []*node {
	isStep := func(m *node) bool {
		return m.kind == state.ServiceActivity || m.kind == state.Subprocess || m.kind == state.StartEvent
	}
	before := reach(n.previous, func(m *node) []*node {
		if isStep(m) {
			return nil
		}
		return m.previous
	})
	return slices.DeleteFunc(before, func(m *node) bool { return !isStep(m) })
}
