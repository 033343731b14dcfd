package runner

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pipestatus/pipestatus/state"
)

// builder makes a definition from a document and collects its errors.
type builder struct {
	definition
	windows  bool
	owners   map[string]string // where each ID was seen
	gateways []gatewayAt
	feeds    []feedAt
	problems []string
}

// gatewayAt is a gateway whose conditions are to be resolved, and its place.
type gatewayAt struct {
	path string
	node *node
}

func (b *builder) problem(path, format string, args ...any) {
	b.problems = append(b.problems, strings.TrimPrefix(path+": ", ": ")+fmt.Sprintf(format, args...))
}

// claim notes an ID; it must be well-formed and unique.
func (b *builder) claim(path, id string) {
	if err := state.CheckID("id", id); err != nil {
		b.problem(path, "%v", err)
		return
	}
	if other, taken := b.owners[id]; taken {
		b.problem(path, "id %s is already that of %s", id, other)
		return
	}
	b.owners[id] = path
}

// pipeline builds a document at a path ("" for the root) inside a subprocess
// (nil for the root).
func (b *builder) pipeline(path string, doc *document, within *node) *pipeline {
	if doc.ID == "" { // the web API gives it none
		doc.ID = "pipeline"
		if within != nil {
			doc.ID = within.id
		}
	}
	p := &pipeline{id: doc.ID, name: doc.Name, within: within}
	// The builder of such trees gives the pipeline of a subprocess the
	// subprocess's ID.
	if within == nil || doc.ID != within.id {
		b.claim(strings.TrimPrefix(path+".id", "."), doc.ID)
	}
	if p.level() >= maxLevels {
		b.problem(path, "more than %d pipelines inside each other", maxLevels-1)
		return p
	}
	b.declared(path, p, doc)
	nodes := map[string]*node{}
	var all []*node
	elements := map[*node]*element{}
	add := func(place string, e *element, kinds ...state.Kind) *node {
		n := b.node(place, e, kinds, p)
		if n != nil {
			nodes[n.id], elements[n] = n, e
			all = append(all, n)
		}
		return n
	}
	p.start = add(join(path, "start_event"), doc.StartEvent, state.StartEvent)
	for _, id := range slices.Sorted(maps.Keys(doc.Activities)) {
		b.sameID(join(path, "activities."+id), id, doc.Activities[id])
		add(join(path, "activities."+id), doc.Activities[id], state.ServiceActivity, state.Subprocess)
	}
	for _, id := range slices.Sorted(maps.Keys(doc.Gateways)) {
		b.sameID(join(path, "gateways."+id), id, doc.Gateways[id])
		n := add(join(path, "gateways."+id), doc.Gateways[id], state.ExclusiveGateway,
			state.ParallelGateway, state.ConditionalParallelGateway, state.ConvergeGateway)
		if n != nil {
			b.gateways = append(b.gateways, gatewayAt{join(path, "gateways."+id), n})
		}
	}
	p.end = add(join(path, "end_event"), doc.EndEvent, state.EndEvent)
	before := len(b.problems)
	ends := b.flows(path, doc, nodes)
	for _, n := range all {
		b.link(b.owners[n.id], n, elements[n], ends)
	}
	whole := len(b.problems) == before && p.start != nil && p.end != nil &&
		!slices.ContainsFunc(all, func(n *node) bool { return !n.kind.Valid() })
	for _, n := range all {
		b.conditions(b.owners[n.id], n, elements[n])
		if e := elements[n]; n.kind == state.Subprocess && e.Pipeline != nil {
			n.inside = b.pipeline(join(b.owners[n.id], "pipeline"), e.Pipeline, n)
		}
	}
	// Further checks of an incomplete graph would be misleading.
	if whole {
		b.checkGraph(path, p, all)
	}
	return p
}

// maxLevels is how deep the engine's trees may be: pipelines inside each other
// and one level for their nodes.
const maxLevels = 100

func (p *pipeline) level() int {
	if p.within == nil {
		return 1
	}
	return p.within.in.level() + 1
}

func join(path, name string) string { return strings.TrimPrefix(path+"."+name, ".") }

func (b *builder) sameID(path, key string, e *element) {
	if e != nil && e.ID != key {
		b.problem(path, "has another id, %q", e.ID)
	}
}

// types are the names of the kinds of node in a definition.
var types = map[string]state.Kind{
	"EmptyStartEvent": state.StartEvent, "EmptyEndEvent": state.EndEvent,
	"ServiceActivity": state.ServiceActivity, "SubProcess": state.Subprocess,
	"ExclusiveGateway": state.ExclusiveGateway, "ParallelGateway": state.ParallelGateway,
	"ConditionalParallelGateway": state.ConditionalParallelGateway, "ConvergeGateway": state.ConvergeGateway,
}

// node builds a node that may be of some kinds; nil if there is nothing to
// build.
func (b *builder) node(path string, e *element, kinds []state.Kind, in *pipeline) *node {
	if e == nil {
		b.problem(path, "is missing")
		return nil
	}
	if _, taken := b.owners[e.ID]; taken || state.CheckID("id", e.ID) != nil {
		b.claim(path, e.ID)
		return nil
	}
	b.claim(path, e.ID)
	n := &node{id: e.ID, name: e.Name, kind: types[e.Type], in: in, passes: 1, maxLoops: cmp.Or(e.MaxLoops, rerunLimit)}
	b.nodes[n.id] = n
	if !slices.Contains(kinds, n.kind) {
		b.problem(path, "type %q is not one of those that can stand here", e.Type)
	}
	if len(e.Name) > state.MaxNameBytes {
		b.problem(path, "name is longer than %d bytes", state.MaxNameBytes)
	}
	if e.MaxLoops < 0 {
		b.problem(path, "max_loops is negative")
	}
	switch n.kind {
	case state.ServiceActivity:
		b.activity(path, n, e)
	case state.Subprocess:
		b.subprocess(path, n, e)
	default:
		if e.LoopConfig.Enable || e.TimeoutConfig.Enable {
			b.problem(path, "only activities have a loop_config or timeout_config")
		}
	}
	return n
}

// rerunLimit is how many passes a node may make unless max_loops says more or
// less: the limit of the reference engine.
const rerunLimit = 100
