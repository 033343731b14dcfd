package runner

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/examples/internal/runner/expression"
	"github.com/pipestatus/pipestatus/state"
)

// definition is a definition that can be run: checked, and its flows resolved.
type definition struct {
	root   *pipeline
	nodes  map[string]*node // all nodes of all pipelines, by ID
	source []byte           // the JSON it was read from
}

// pipeline is the root pipeline or the inside of a subprocess.
type pipeline struct {
	id, name   string
	within     *node // the subprocess, nil for the root
	start, end *node
	nodes      []*node // in the order in which they are reached
	variables  map[string]variable
	outputs    []string // the variables that are outputs of its subprocess
	repeats    bool     // it may be run again after it has ended
}

// node is a node of a pipeline. Fields that its kind has no use for are zero.
type node struct {
	id, name string
	kind     state.Kind
	in       *pipeline
	next     []branch // in the order of outgoing
	previous []*node
	maxLoops int                             // passes after which it fails
	passes   int                             // that it makes in a row each time it is entered
	feeds    []feed                          // the variables that get its outputs
	inputs   map[string]*expression.Template // of an activity or a subprocess

	command         *expression.Template // of a service activity, as are those that follow
	timeout         time.Duration
	retries         int
	retryDelay      time.Duration
	autoSkip        bool
	skipLate        bool // skip it when the timeout has passed
	ignoreError     bool
	noRetry, noSkip bool

	inside *pipeline // of a subprocess
	after  *node     // the activity whose exit_code a gateway means

	opens  *region // the parallel part that a parallel gateway begins
	region *region // the innermost parallel part it is in
}

// branch is a flow out of a node.
type branch struct {
	flow       string
	to         *node
	when       *expression.Condition // nil: always, or only as the fallback
	isFallback bool                  // taken if no condition holds
}

// region is a parallel part: everything between a parallel gateway and the
// converge gateway where its branches meet.
type region struct {
	gateway, converge *node
	outer             *region
}

// contains reports whether n is in the region, however deep.
func (r *region) contains(n *node) bool {
	for in := n.region; in != nil; in = in.outer {
		if in == r {
			return true
		}
	}
	return false
}

// joining returns the region that ends when n leads to the converge gateway:
// the outermost of the regions that n is in, or opens, and that meet there. It
// returns nil if there is no such region; the gateway then only forwards its
// input.
func (n *node) joining(converge *node) (joined *region) {
	if n.opens != nil && n.opens.converge == converge {
		joined = n.opens
	}
	for in := n.region; in != nil; in = in.outer {
		if in.converge == converge {
			joined = in
		}
	}
	return joined
}

// branching reports whether n is a gateway that can have several flows.
func branching(k state.Kind) bool {
	switch k {
	case state.ExclusiveGateway, state.ParallelGateway, state.ConditionalParallelGateway:
		return true
	}
	return false
}

// conditional reports whether n chooses among its flows by conditions.
func conditional(k state.Kind) bool {
	return k == state.ExclusiveGateway || k == state.ConditionalParallelGateway
}

// label is the display name of the node.
func (n *node) label() string {
	if n.name != "" {
		return n.name
	}
	return n.id
}

// choose returns the flows that a node takes now. The error gives the reason why they
// cannot be determined.
func (n *node) choose(s expression.Scope) ([]*node, error) {
	var chosen, fallback []*node
	var flows []string
	for _, b := range n.next {
		if b.isFallback {
			fallback = []*node{b.to}
			if b.when == nil {
				continue
			}
		}
		if b.when != nil {
			holds, err := b.when.Holds(s)
			if err != nil {
				return nil, fmt.Errorf("condition of flow %s: %w", b.flow, err)
			}
			if !holds {
				continue
			}
		}
		chosen, flows = append(chosen, b.to), append(flows, b.flow)
	}
	if len(chosen) == 0 {
		chosen = fallback
	}
	switch {
	case len(chosen) == 0 && len(n.next) > 0:
		return nil, fmt.Errorf("no condition of gateway %s holds, and it has no default", n.id)
	case len(chosen) > 1 && n.kind == state.ExclusiveGateway:
		return nil, fmt.Errorf("several conditions of exclusive gateway %s hold, those of flows %s", n.id, strings.Join(flows, ", "))
	}
	return chosen, nil
}

// invalidError holds all errors of a definition.
type invalidError struct{ problems []string }

// Error lists the problems, one a line.
func (e *invalidError) Error() string {
	return "the definition is not valid:\n  " + strings.Join(e.problems, "\n  ")
}

// parseDefinition reads and checks a definition. The error is an
// *invalidError with all the problems found.
func parseDefinition(data []byte, windows bool) (*definition, error) {
	doc, err := readDocument(data)
	if err != nil {
		return nil, &invalidError{[]string{err.Error()}}
	}
	b := &builder{
		windows:    windows,
		definition: definition{nodes: map[string]*node{}, source: data},
		owners:     map[string]string{},
	}
	for _, path := range repeatedKeys(data) {
		b.problem(path, "stands there twice")
	}
	b.root = b.pipeline("", doc, nil)
	b.resolveConditions()
	b.resolveFeeds()
	if len(b.problems) > 0 {
		slices.Sort(b.problems)
		return nil, &invalidError{slices.Compact(b.problems)}
	}
	b.root.findRepeated(false)
	return &b.definition, nil
}
