package runner

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/state"
)

// builder makes a definition of a document and collects what is wrong with it.
type builder struct {
	definition
	windows  bool
	owners   map[string]string // where each ID was seen
	gateways []gatewayAt
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

// claim notes an ID; it must be well-formed and nobody else's.
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
	b.inputs(path, doc)
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
	b.flows(path, doc, nodes)
	for _, n := range all {
		b.link(b.owners[n.id], n, elements[n], doc.Flows, nodes)
	}
	whole := len(b.problems) == before && p.start != nil && p.end != nil
	for _, n := range all {
		b.conditions(b.owners[n.id], n, elements[n])
		if e := elements[n]; n.kind == state.Subprocess && e.Pipeline != nil {
			n.inside = b.pipeline(join(b.owners[n.id], "pipeline"), e.Pipeline, n)
		}
	}
	// Of a graph with holes nothing sensible can be said.
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

// inputs takes over the variables of a pipeline.
func (b *builder) inputs(path string, doc *document) {
	for _, key := range slices.Sorted(maps.Keys(doc.Data.Inputs)) {
		place := join(path, "data.inputs."+key)
		name := strings.TrimSuffix(strings.TrimPrefix(key, "${"), "}")
		value, ok := doc.Data.Inputs[key].text()
		other, taken := b.variables[name]
		switch {
		case !isName(name):
			b.problem(place, "a variable is named ${name}, with letters, digits and _")
		case !ok:
			b.problem(place, "only plain values can be used: text, number, true or false")
		case taken && other != value:
			b.problem(place, "variable %s is %q elsewhere; variables are the same in all pipelines", name, other)
		default:
			b.variables[name] = value
		}
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
	n := &node{id: e.ID, name: e.Name, kind: types[e.Type], in: in, maxLoops: e.MaxLoops}
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
		if e.Pipeline == nil {
			b.problem(path, "a SubProcess needs a pipeline")
		}
	}
	return n
}

// activity takes over what a service activity does and its policy.
func (b *builder) activity(path string, n *node, e *element) {
	if e.Component.Code != "shell" {
		b.problem(path, "component %q cannot be run here, only shell", e.Component.Code)
	} else {
		in := e.Component.Inputs["command"]
		if other, ok := e.Component.Inputs["command_windows"]; ok && b.windows {
			in = other
		}
		if n.command, _ = in.text(); strings.TrimSpace(n.command) == "" {
			b.problem(path, `needs a command: "component": {"code": "shell", "inputs": {"command": {"value": "…"}}}`)
		}
	}
	n.timeout = b.seconds(path, "timeout", e.Timeout)
	if e.AutoRetry.Enable {
		n.retries, n.retryDelay = e.AutoRetry.Times, b.seconds(path, "auto_retry.interval", e.AutoRetry.Interval)
	}
	n.autoSkip, n.ignoreError = e.AutoSkip, e.ErrorIgnorable
	n.noRetry = e.Retryable != nil && !*e.Retryable
	n.noSkip = e.Skippable != nil && !*e.Skippable
	switch {
	case n.retries < 0:
		b.problem(path, "auto_retry.times is negative")
	case n.retries > 0 && n.noRetry:
		b.problem(path, "auto_retry of an activity that is not retryable")
	}
	switch {
	case n.autoSkip && n.noSkip:
		b.problem(path, "auto_skip of an activity that is not skippable")
	case n.autoSkip && n.ignoreError:
		b.problem(path, "auto_skip and error_ignorable together: which?")
	}
}

// maxSeconds keeps durations far from the limits of time.Duration.
const maxSeconds = 365 * 24 * 3600

func (b *builder) seconds(path, field string, s float64) time.Duration {
	if s < 0 || s > maxSeconds {
		b.problem(path, "%s is not between 0 and %d seconds", field, maxSeconds)
		return 0
	}
	return time.Duration(s * float64(time.Second))
}

// flows checks the flows of a pipeline.
func (b *builder) flows(path string, doc *document, nodes map[string]*node) {
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
	}
}

// link resolves the flows of a node and holds its lists against them.
func (b *builder) link(path string, n *node, e *element, flows map[string]*flow, nodes map[string]*node) {
	least, most := 1, 1
	switch {
	case n.kind == state.EndEvent:
		least, most = 0, 0
	case branching(n.kind):
		most = len(flows) + 1
	}
	if len(e.Outgoing) < least || len(e.Outgoing) > most {
		b.problem(path, "has %d outgoing flows", len(e.Outgoing))
	}
	for i, id := range e.Outgoing {
		f := flows[id]
		switch {
		case f == nil:
			b.problem(path, "unknown outgoing flow %q", id)
		case f.Source != n.id:
			b.problem(path, "outgoing flow %s comes from %q", id, f.Source)
		case slices.Contains(e.Outgoing[:i], id):
			b.problem(path, "outgoing flow %s is listed twice", id)
		case nodes[f.Target] != nil:
			n.next = append(n.next, branch{flow: id, to: nodes[f.Target]})
		}
	}
	for _, id := range e.Incoming {
		if f := flows[id]; f == nil {
			b.problem(path, "unknown incoming flow %q", id)
		} else if f.Target != n.id {
			b.problem(path, "incoming flow %s leads to %q", id, f.Target)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(flows)) {
		f := flows[id]
		if f.Source == n.id && !slices.Contains(e.Outgoing, id) {
			b.problem(path, "flow %s comes from here and is not in outgoing", id)
		}
		if f.Target != n.id {
			continue
		}
		if e.Incoming != nil && !slices.Contains(e.Incoming, id) {
			b.problem(path, "flow %s leads here and is not in incoming", id)
		}
		if n.kind == state.StartEvent {
			b.problem(path, "flow %s leads to the start event", id)
		}
		if source := nodes[f.Source]; source != nil {
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
	for _, id := range slices.Sorted(maps.Keys(e.Conditions)) {
		if !slices.Contains(e.Outgoing, id) {
			b.problem(path, "condition for %s, which is no outgoing flow", id)
		}
	}
	if fallback != "" && !slices.Contains(e.Outgoing, fallback) {
		b.problem(path, "default_condition is %s, which is no outgoing flow", fallback)
	}
	for i := range n.next {
		br := &n.next[i]
		c, ok := e.Conditions[br.flow]
		switch {
		case br.flow == fallback && ok:
			b.problem(path, "flow %s is the default and has a condition: which?", br.flow)
		case br.flow == fallback:
			br.isFallback = true
		case ok:
			var err error
			if br.when, err = parseCondition(c.Evaluate); err != nil {
				b.problem(path, "flow %s: %v", br.flow, err)
			}
		case len(n.next) > 1:
			b.problem(path, "flow %s has no condition and is not the default", br.flow)
		}
	}
}
