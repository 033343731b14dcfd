package runner

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/pipestatus/pipestatus/examples/internal/runner/expression"
	"github.com/pipestatus/pipestatus/state"
)

// variable is a variable of a pipeline.
type variable struct {
	value   *expression.Template // nil until a node it comes from has ended
	sourced bool
}

// feed names the output of a node that becomes the value of a variable when the node
// ends.
type feed struct{ output, variable string }

// The outputs that every node has. The others of an activity are what its
// commands set, those of a subprocess what its pipeline declares.
const (
	outputLoop   = "_loop"   // the pass
	outputResult = "_result" // whether it succeeded
)

// declared takes over the variables of a pipeline.
func (b *builder) declared(path string, p *pipeline, doc *document) {
	p.variables = map[string]variable{}
	for _, key := range slices.Sorted(maps.Keys(doc.Data.Inputs)) {
		b.variable(join(path, "data.inputs."+key), p, key, doc.Data.Inputs[key])
	}
	for _, key := range slices.Sorted(maps.Keys(doc.Constants)) {
		b.constant(join(path, "constants."+key), p, key, doc.Constants[key])
	}
	if len(doc.Data.PreRenderKeys) > 0 {
		b.problem(join(path, "data.pre_render_keys"), "is not supported: variables are rendered where they are used")
	}
	b.circles(path, p)
	for _, key := range slices.Concat(doc.Data.Outputs, doc.Outputs) {
		p.outputs = append(p.outputs, variableName(key))
	}
}

func (b *builder) variable(path string, p *pipeline, key string, in input) {
	name := variableName(key)
	if !expression.IsName(name) {
		b.problem(path, "a variable is named ${name}, with letters, digits and _")
		return
	}
	if _, twice := p.variables[name]; twice {
		b.problem(path, "the pipeline has a variable %s already", name)
		return
	}
	v := variable{sourced: b.sources(path, p, name, in)}
	if !v.sourced {
		v.value = b.template(path, in, false)
	}
	p.variables[name] = v
}

// constant takes over a variable of the web API.
func (b *builder) constant(path string, p *pipeline, key string, c constant) {
	switch c.SourceType {
	case "", "custom", "component_inputs":
	case "component_outputs":
		list := []any{}
		for _, id := range slices.Sorted(maps.Keys(c.SourceInfo)) {
			for _, output := range c.SourceInfo[id] {
				list = append(list, map[string]any{"source_act": id, "source_key": output})
			}
		}
		c.SourceAct = list
	default:
		b.problem(path, "source_type %q is not known here", c.SourceType)
	}
	switch c.CustomType {
	case "", "input", "textarea", "int", "datetime", "password":
	default:
		b.problem(path, "custom_type %q is computed, which is not supported", c.CustomType)
		return
	}
	c.Type = "splice"
	b.variable(path, p, key, c.input)
}

func variableName(key string) string {
	return strings.TrimSuffix(strings.TrimPrefix(key, "${"), "}")
}

// sources records the nodes whose outputs become a variable; ok is false if no
// node's does.
func (b *builder) sources(path string, p *pipeline, name string, in input) (ok bool) {
	add := func(act, key any) {
		id, isText := act.(string)
		output, _ := key.(string)
		if !isText || id == "" || output == "" {
			b.problem(path, "needs source_act, the id of an activity, and source_key, the name of its output")
			return
		}
		b.feeds = append(b.feeds, feedAt{path, p, id, feed{output, name}})
	}
	switch act := in.SourceAct.(type) {
	case nil:
		return false
	case string:
		if act == "" {
			return false
		}
		add(act, in.SourceKey)
	case []any:
		for _, one := range act {
			source, _ := one.(map[string]any)
			add(source["source_act"], source["source_key"])
		}
		return len(act) > 0
	default:
		add(act, in.SourceKey)
	}
	return true
}

// feedAt is a feed whose node is to be resolved, and its place.
type feedAt struct {
	path string
	in   *pipeline
	id   string
	feed
}

// resolveFeeds gives each node the variables that its outputs feed.
func (b *builder) resolveFeeds() {
	for _, f := range b.feeds {
		n := b.nodes[f.id]
		if n == nil || n.in != f.in || n.kind != state.ServiceActivity && n.kind != state.Subprocess {
			b.problem(f.path, "source_act %q is no activity of this pipeline", f.id)
			continue
		}
		switch inner := strings.HasPrefix(f.output, "_"); {
		case inner && f.output != outputLoop && f.output != outputResult:
			b.problem(f.path, "source_key %q is not known here", f.output)
			continue
		case !inner && n.kind == state.Subprocess:
			f.output = variableName(f.output)
			if n.inside != nil && !slices.Contains(n.inside.outputs, f.output) {
				b.problem(f.path, "source_key ${%s} is not in data.outputs of %s", f.output, n.id)
				continue
			}
		}
		n.feeds = append(n.feeds, f.feed)
	}
}

// template is a value as a template: of type splice it may refer to variables,
// of type plain it is itself. Beyond texts, numbers and truth values, lists and
// objects are their JSON. optional allows for none.
func (b *builder) template(path string, in input, optional bool) *expression.Template {
	splice := false
	switch in.Type {
	case "", "plain":
	case "splice":
		splice = in.NeedRender == nil || *in.NeedRender
	default:
		b.problem(path, "type %q is not supported, only plain and splice", in.Type)
		return nil
	}
	text, whole := valueText(in.Value)
	switch {
	case in.Value == nil:
		if !optional {
			b.problem(path, "has no value")
		}
		return nil
	case strings.Contains(text, "\x00"):
		b.problem(path, "its value contains a NUL, which no environment or command can hold")
		return nil
	case len(text) > maxValueBytes:
		b.problem(path, "its value is longer than %d bytes", maxValueBytes)
		return nil
	case !splice:
		return expression.Text(text)
	}
	t, err := expression.ParseTemplate(text)
	switch {
	case err != nil:
		b.problem(path, "%v", err)
		return nil
	case !whole && len(t.Names()) > 0:
		b.problem(path, "a list or an object cannot refer to ${%s}", t.Names()[0])
	}
	return t
}

// valueText is a value of a definition as text; scalar is false for a list or
// an object, which is its JSON.
func valueText(v any) (text string, scalar bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case bool: // as templates and quoted texts in conditions have it
		if v {
			return "True", true
		}
		return "False", true
	case json.Number:
		return v.String(), true
	}
	return string(encodeData(v)), false
}

// circles reports variables that refer to themselves.
func (b *builder) circles(path string, p *pipeline) {
	const open, done = 1, 2
	mark := map[string]int{}
	var visit func(name string) bool
	visit = func(name string) (circle bool) {
		v, ok := p.variables[name]
		if !ok || v.value == nil || mark[name] == done {
			return false
		}
		if mark[name] == open {
			return true
		}
		mark[name] = open
		circle = slices.ContainsFunc(v.value.Names(), visit)
		mark[name] = done
		return circle
	}
	for _, name := range slices.Sorted(maps.Keys(p.variables)) {
		if visit(name) {
			b.problem(path, "variable ${%s} refers to itself", name)
		}
	}
}
