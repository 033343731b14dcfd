package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// attemptInput is the input of an attempt, as the record keeps it: what a
// command gets in its environment beside the variables of its pipeline, or the
// variables that a subprocess begins with.
type attemptInput struct {
	Inputs map[string]string `json:"inputs"`
}

// attemptOutput is the output of an attempt, as the record keeps it.
type attemptOutput struct {
	ExitCode *int              `json:"exit_code,omitempty"` // of a command
	Set      map[string]string `json:"set,omitempty"`       // values of variables of its pipeline
	Lines    string            `json:"output,omitempty"`    // the last that a command wrote
}

// options are what records it, nothing for nil.
func (o *attemptOutput) options() []engine.Option {
	if o == nil {
		return nil
	}
	return []engine.Option{engine.Output(encodeData(o))}
}

// encodeData is a value as JSON that needs no escapes for HTML.
func encodeData(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil { // of texts and numbers there is none
		panic(err)
	}
	return bytes.TrimSpace(b.Bytes())
}

// results is what has happened in a task: the exit codes of its activities, and
// the values that were given to variables, by pipeline. The record has all of it
// as inputs and outputs of attempts.
type results struct {
	exits     map[string]int
	variables map[string]map[string]string
	// pending is what a batch adds that has not been committed.
	pending []result
}

// result is the end of a command, or what the variables of a pipeline were given.
type result struct {
	node     string // "" if no command ended
	exit     int
	pipeline string
	set      map[string]string
}

func newResults() *results {
	return &results{exits: map[string]int{}, variables: map[string]map[string]string{}}
}

// took adds the output of a node.
func (r *results) took(n *node, out *attemptOutput) {
	if out == nil {
		return
	}
	add := result{pipeline: n.in.id, set: out.Set}
	if out.ExitCode != nil {
		add.node, add.exit = n.id, *out.ExitCode
	}
	r.pending = append(r.pending, add)
}

// give adds values for variables of a pipeline.
func (r *results) give(p *pipeline, values map[string]string) {
	if len(values) > 0 {
		r.pending = append(r.pending, result{pipeline: p.id, set: values})
	}
}

// settle keeps what is pending, since it is committed.
func (r *results) settle() {
	for _, add := range r.pending {
		if add.node != "" {
			r.exits[add.node] = add.exit
		}
		if r.variables[add.pipeline] == nil {
			r.variables[add.pipeline] = map[string]string{}
		}
		maps.Copy(r.variables[add.pipeline], add.set)
	}
	r.discard()
}

// discard drops what is pending.
func (r *results) discard() { r.pending = nil }

// variable is the value that a variable of a pipeline was given last.
func (r *results) variable(pipeline, name string) (string, bool) {
	for _, add := range slices.Backward(r.pending) {
		if text, ok := add.set[name]; ok && add.pipeline == pipeline {
			return text, true
		}
	}
	text, ok := r.variables[pipeline][name]
	return text, ok
}

// given is all values that variables of a pipeline were given.
func (r *results) given(pipeline string) map[string]string {
	values := map[string]string{}
	maps.Copy(values, r.variables[pipeline])
	for _, add := range r.pending {
		if add.pipeline == pipeline {
			maps.Copy(values, add.set)
		}
	}
	return values
}

// exit is the last exit code of an activity.
func (r *results) exit(activity string) (int, bool) {
	for _, add := range slices.Backward(r.pending) {
		if add.node == activity {
			return add.exit, true
		}
	}
	code, ok := r.exits[activity]
	return code, ok
}

// readResults reads what has happened in a task that began with a definition.
func readResults(ctx context.Context, from store.Reader, task state.Key, def *definition) (*results, error) {
	snap, err := from.Load(ctx, store.Ref{Key: task})
	if err != nil {
		return nil, err
	}
	r := newResults()
	for tr, err := range query.New(from, nil).Transitions(ctx, snap.Tree) {
		if err != nil {
			return nil, err
		}
		if tr.Data == nil {
			continue
		}
		n := def.nodes[snap.Tree.Node(tr.Changes[0].Index).Key]
		if n == nil {
			continue // the root's is the definition
		}
		if tr, err = store.WithData(ctx, from, tr); err == nil {
			err = r.replay(tr, n)
		}
		if err != nil {
			return nil, fmt.Errorf("task %s, transition %d: the data of %s: %w", task, tr.Sequence, n.label(), err)
		}
	}
	return r, nil
}

// replay takes the input or output that a transition recorded.
func (r *results) replay(tr *state.Transition, n *node) error {
	if tr.Input() != nil {
		var in attemptInput
		if err := json.Unmarshal(tr.Data.Bytes(), &in); err != nil {
			return err
		}
		if n.inside != nil {
			r.give(n.inside, in.Inputs)
		}
	} else {
		var out attemptOutput
		if err := json.Unmarshal(tr.Data.Bytes(), &out); err != nil {
			return err
		}
		r.took(n, &out)
	}
	r.settle()
	return nil
}

// readDefinition is the input of a task, which is the definition that it began
// with; nil if it has none.
func readDefinition(ctx context.Context, from store.Reader, task state.Key) ([]byte, error) {
	input, _, err := store.AttemptData(ctx, from, store.Ref{Key: task}, 1)
	return input.Bytes(), err
}
