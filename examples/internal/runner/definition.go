package runner

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/state"
)

// definition is a definition that can be run: checked, and its flows resolved.
type definition struct {
	root      *pipeline
	nodes     map[string]*node  // all nodes of all pipelines, by ID
	variables map[string]string // in the beginning
	source    []byte            // the JSON it was read from
}

// pipeline is the root pipeline or the inside of a subprocess.
type pipeline struct {
	id, name   string
	within     *node // the subprocess, nil for the root
	start, end *node
	nodes      []*node // in the order in which they are reached
}

// node is a node of a pipeline. Fields that its kind has no use for are zero.
type node struct {
	id, name string
	kind     state.Kind
	in       *pipeline
	next     []branch // in the order of outgoing
	previous []*node
	maxLoops int

	command         string // of a service activity, as are those that follow
	timeout         time.Duration
	retries         int
	retryDelay      time.Duration
	autoSkip        bool
	ignoreError     bool
	noRetry, noSkip bool

	inside *pipeline // of a subprocess

	opens  *region // the parallel part that a parallel gateway begins
	region *region // the innermost parallel part it is in
}

// branch is a flow out of a node.
type branch struct {
	flow       string
	to         *node
	when       *condition // nil: always
	isFallback bool       // taken if no condition holds
}

// region is a parallel part: everything between a parallel gateway and the
// converge gateway where its branches meet.
type region struct {
	converge *node
	outer    *region
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

// joining is the region that ends when n leads to the converge gateway: the
// outermost of those n is in, or opens, that meet there. nil if there is none,
// and the gateway only passes on what comes.
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

// label is what people call the node.
func (n *node) label() string {
	if n.name != "" {
		return n.name
	}
	return n.id
}

// choose returns where a node leads now.
func (n *node) choose(s scope) ([]*node, error) {
	var chosen, fallback []*node
	for _, b := range n.next {
		if b.isFallback {
			fallback = []*node{b.to}
			continue
		}
		if b.when != nil {
			holds, err := b.when.holds(s)
			if err != nil {
				return nil, fmt.Errorf("condition of flow %s: %w", b.flow, err)
			}
			if !holds {
				continue
			}
		}
		chosen = append(chosen, b.to)
		if n.kind == state.ExclusiveGateway {
			return chosen, nil
		}
	}
	if len(chosen) == 0 {
		chosen = fallback
	}
	if len(chosen) == 0 && len(n.next) > 0 {
		return nil, fmt.Errorf("no condition of gateway %s holds, and it has no default", n.id)
	}
	return chosen, nil
}

// invalidError is everything that is wrong with a definition.
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
		definition: definition{nodes: map[string]*node{}, variables: map[string]string{}, source: data},
		owners:     map[string]string{},
	}
	for _, path := range repeatedKeys(data) {
		b.problem(path, "stands there twice")
	}
	b.root = b.pipeline("", doc, nil)
	b.resolveConditions()
	if len(b.problems) > 0 {
		slices.Sort(b.problems)
		return nil, &invalidError{slices.Compact(b.problems)}
	}
	return &b.definition, nil
}
