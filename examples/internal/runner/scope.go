package runner

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/pipestatus/pipestatus/examples/internal/runner/expression"
)

const (
	// maxValueBytes limits the value of a variable.
	maxValueBytes = 64 << 10
	// maxSetBytes limits the total size of the variables of a pipeline: a process
	// cannot be started with more than a few megabytes.
	maxSetBytes = 1 << 20
)

// scope has the values for the expressions of a node: the variables of its
// pipeline and the exit codes of all activities. It is valid for one moment.
type scope struct {
	results *results
	in      *pipeline
	after   *node             // whose exit code a bare exit_code means
	now     map[string]string // variables that are known, and those rendered before
	err     error             // set when a value grows too long; texts are of no use then
}

// scope is the scope of a node that makes a pass, from 1.
func (r *run) scope(n *node, pass int) *scope {
	s := &scope{results: r.results, in: n.in, after: n.after, now: map[string]string{}}
	for _, f := range n.feeds {
		if f.output == outputLoop {
			s.now[f.variable] = strconv.Itoa(pass)
		}
	}
	return s
}

// Variable implements [expression.Scope].
func (s *scope) Variable(name string) (string, bool) {
	if text, ok := s.now[name]; ok {
		return text, true
	}
	if text, ok := s.results.variable(s.in.id, name); ok {
		return text, true
	}
	value := s.in.variables[name].value
	if value == nil || s.err != nil {
		return "", false
	}
	text := s.render("variable "+name, value)
	s.now[name] = text
	return text, true
}

// ExitCode implements [expression.Scope].
func (s *scope) ExitCode(activity string) (int, bool) {
	if activity == "" && s.after != nil {
		activity = s.after.id
	}
	return s.results.exit(activity)
}

// render renders a template whose values may have become long.
func (s *scope) render(what string, t *expression.Template) string {
	text, err := t.Render(s, maxValueBytes)
	if err != nil && s.err == nil {
		s.err = fmt.Errorf("%s: %w", what, err)
	}
	return text
}

// all returns the variables of the pipeline that have a value.
func (s *scope) all() map[string]string {
	values := s.results.given(s.in.id)
	for _, name := range slices.Sorted(maps.Keys(s.in.variables)) {
		if text, ok := s.Variable(name); ok {
			values[name] = text
		}
	}
	return values
}

// inputs renders the inputs of a node.
func (s *scope) inputs(n *node) map[string]string {
	values := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(n.inputs)) {
		values[name] = s.render("input "+name, n.inputs[name])
	}
	return values
}

// fed returns what becomes of variables when a node has made a pass. output
// returns one of its outputs.
func fed(n *node, pass int, succeeded bool, output func(name string) (string, bool)) map[string]string {
	values := map[string]string{}
	for _, f := range n.feeds {
		switch f.output {
		case outputLoop:
			values[f.variable] = strconv.Itoa(pass)
		case outputResult:
			values[f.variable], _ = valueText(succeeded)
		default:
			if text, ok := output(f.output); ok {
				values[f.variable] = text
			}
		}
	}
	return values
}

// size is the size of variables in the environment of a process.
func size(variables map[string]string) (bytes int) {
	const each = 16 // the pointer to it, "=" and the end
	for name, text := range variables {
		bytes += len(name) + len(text) + each
	}
	return bytes
}
