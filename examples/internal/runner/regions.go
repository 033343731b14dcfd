package runner

import (
	"slices"

	"github.com/pipestatus/pipestatus/state"
)

// place is where a node is: in the branch of a parallel part that begins with
// the gateway's flow, and with that part in others. nil is outside of all.
type place struct {
	part  *region
	flow  string
	outer *place
}

// regionFinder finds the parallel parts of a pipeline in one walk along its
// flows: a part is entered at its gateway and left at its converge gateway.
type regionFinder struct {
	b       *builder
	places  map[*node]*place
	from    map[*node]*node // where the walk came from
	refused map[*region]bool
}

// findRegions finds the parallel part of each parallel gateway with several
// flows. A part can be run only if all its ways begin at the gateway and end at
// one converge gateway: otherwise nothing says which branches to wait for.
func (b *builder) findRegions(p *pipeline) {
	meets := meetingPoints(p)
	for _, n := range p.nodes {
		if len(n.next) < 2 || n.kind != state.ParallelGateway && n.kind != state.ConditionalParallelGateway {
			continue
		}
		if meet := meets[n]; meet.kind == state.ConvergeGateway {
			n.opens = &region{gateway: n, converge: meet}
		} else {
			b.problem(b.owners[n.id], "a converge gateway is missing: its branches meet in %s (%s)", meet.id, meet.kind)
		}
	}
	f := &regionFinder{b: b, places: map[*node]*place{p.start: nil}, from: map[*node]*node{}, refused: map[*region]bool{}}
	for queue := []*node{p.start}; len(queue) > 0; queue = queue[1:] {
		n := queue[0]
		for _, br := range n.next {
			if f.arrive(n, br) {
				queue = append(queue, br.to)
			}
		}
	}
	for n, at := range f.places {
		if at != nil {
			n.region = at.part
		}
		if n.opens != nil {
			n.opens.outer = n.region
		}
	}
}

// arrive follows a flow out of a node and reports whether the node it leads to
// is new. One that was reached before must be in the same place.
func (f *regionFinder) arrive(from *node, br branch) bool {
	at := f.places[from]
	if from.opens != nil {
		at = &place{from.opens, br.flow, at}
	}
	for at != nil && at.part.converge == br.to {
		at = at.outer
	}
	known, seen := f.places[br.to]
	if !seen {
		f.places[br.to], f.from[br.to] = at, from
		return true
	}
	if known != at {
		f.compare(br.to, known, at, from)
	}
	return false
}

// compare reports the outermost difference between the place of a node and the
// place that another way to it leads to.
func (f *regionFinder) compare(n *node, known, at *place, from *node) {
	first, second := known.outward(), at.outward()
	for i := range max(len(first), len(second)) {
		switch {
		case i >= len(first):
			f.mixed(n, second[i], f.from[n])
		case i >= len(second) || first[i].part != second[i].part:
			f.mixed(n, first[i], from)
		case first[i].flow != second[i].flow:
			part := first[i].part
			f.problem(part, f.b.owners[part.gateway.id], "flows %s and %s both lead to %s before converge gateway %s",
				first[i].flow, second[i].flow, n.id, part.converge.id)
		default:
			continue
		}
		return
	}
}

// outward is the place and those around it, the outermost first.
func (p *place) outward() (all []*place) {
	for ; p != nil; p = p.outer {
		all = append(all, p)
	}
	slices.Reverse(all)
	return all
}

// mixed reports that n, in a parallel part, is also reached from outside of it,
// or that a branch of the part leads out of it.
func (f *regionFinder) mixed(n *node, in *place, outside *node) {
	part := in.part
	within := reach([]*node{n}, func(m *node) []*node {
		if m == part.converge {
			return nil
		}
		return m.successors()
	})
	if slices.Contains(within, part.gateway) {
		f.problem(part, f.b.owners[part.gateway.id],
			"the branch of flow %s leads back to the gateway without passing converge gateway %s", in.flow, part.converge.id)
		return
	}
	f.problem(part, f.b.owners[outside.id], "leads to %s, into the parallel part of %s", n.id, part.gateway.id)
}

// problem reports the first problem of a parallel part.
func (f *regionFinder) problem(part *region, path, format string, args ...any) {
	if !f.refused[part] {
		f.refused[part] = true
		f.b.problem(path, format, args...)
	}
}

// meetingPoints returns for each node but the end event the first node that
// all ways from it to the end event have in common: its immediate
// postdominator. Every node of the pipeline leads to the end event.
func meetingPoints(p *pipeline) map[*node]*node {
	order := inOrder(p.end, func(n *node) []*node { return n.previous })
	rank := make(map[*node]int, len(order))
	for i, n := range order {
		rank[n] = i
	}
	meets := map[*node]*node{p.end: p.end}
	for changed := true; changed; {
		changed = false
		for _, n := range order[1:] {
			var meet *node
			for _, br := range n.next {
				switch other := br.to; {
				case meets[other] == nil: // its turn has not come
				case meet == nil:
					meet = other
				default:
					meet = common(meets, rank, meet, other)
				}
			}
			if meets[n] != meet {
				meets[n], changed = meet, true
			}
		}
	}
	return meets
}

// common is the first node that is on the ways from both x and y to the end
// event, as far as the meeting points are known.
func common(meets map[*node]*node, rank map[*node]int, x, y *node) *node {
	for x != y {
		for rank[x] > rank[y] {
			x = meets[x]
		}
		for rank[y] > rank[x] {
			y = meets[y]
		}
	}
	return x
}
