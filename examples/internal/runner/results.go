package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/pipestatus/pipestatus/engine"
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
	data := map[int]map[[16]byte][]byte{} // by node and digest
	for after := uint64(0); ; {
		transitions, err := from.Transitions(ctx, task, after, 0)
		if err != nil || len(transitions) == 0 {
			return r, err
		}
		for _, tr := range transitions {
			after = tr.Sequence
			if tr.Data == nil || len(tr.Changes) == 0 {
				continue
			}
			i := tr.Changes[0].Index
			n := def.nodes[snap.Tree.Node(i).Key]
			if n == nil {
				continue // the root's is the definition
			}
			if data[i] == nil {
				if data[i], err = dataOf(ctx, from, snap.Tree.ID(i)); err != nil {
					return nil, err
				}
			}
			if err := r.replay(tr, n, data[i][tr.Data.Digest()]); err != nil {
				return nil, fmt.Errorf("task %s, transition %d: the data of %s: %w", task, tr.Sequence, n.label(), err)
			}
		}
	}
}

// replay takes the input or output that a transition recorded.
func (r *results) replay(tr *state.Transition, n *node, data []byte) error {
	if tr.Input() != nil {
		var in attemptInput
		if err := json.Unmarshal(data, &in); err != nil {
			return err
		}
		if n.inside != nil {
			r.give(n.inside, in.Inputs)
		}
	} else {
		var out attemptOutput
		if err := json.Unmarshal(data, &out); err != nil {
			return err
		}
		r.took(n, &out)
	}
	r.settle()
	return nil
}

// dataOf is all data of a node, by digest.
func dataOf(ctx context.Context, from store.Reader, node string) (map[[16]byte][]byte, error) {
	found := map[[16]byte][]byte{}
	for skip := 0; ; {
		page, err := from.Attempts(ctx, store.ByNode(node), store.AttemptQuery{Skip: skip, Data: true})
		if err != nil || len(page) == 0 {
			return found, err
		}
		skip += len(page)
		for i := range page {
			for _, d := range []*state.Data{page[i].Input, page[i].Output} {
				if d != nil {
					found[d.Digest()] = d.Bytes()
				}
			}
		}
	}
}

// readDefinition is the input of a task, which is the definition that it began
// with; nil if it has none.
func readDefinition(ctx context.Context, from store.Reader, task state.Key) ([]byte, error) {
	first, err := from.Attempts(ctx, store.Ref{Key: task}, store.AttemptQuery{Limit: 1, Data: true})
	if err != nil || len(first) == 0 || first[0].Input == nil {
		return nil, err
	}
	return first[0].Input.Bytes(), nil
}
