package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// attemptInput is the recorded input of an attempt: a command's additions to
// the environment of its pipeline, or the first variables of a subprocess.
type attemptInput struct {
	Inputs map[string]string `json:"inputs"`
}

// attemptOutput is the output of an attempt, as the record keeps it.
type attemptOutput struct {
	ExitCode *int              `json:"exit_code,omitempty"` // of a command
	Set      map[string]string `json:"set,omitempty"`       // values of variables of its pipeline
	Lines    string            `json:"output,omitempty"`    // the last that a command wrote
}

// options are the options that record the output, none for nil.
func (o *attemptOutput) options() []engine.Option {
	if o == nil {
		return nil
	}
	return []engine.Option{engine.Output(encodeData(o))}
}

// encodeData is a value as JSON without escapes for HTML. The value consists of texts
// and numbers, or was decoded from JSON.
func encodeData(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil { // cannot fail
		panic(err)
	}
	return bytes.TrimSpace(b.Bytes())
}

// results are the results of the nodes of a task so far. The record has all of them
// as inputs and outputs of attempts.
type results struct {
	known   values
	pending values // from a batch that has not been committed
}

// values are the exit codes of activities, and what variables were given, by
// pipeline.
type values struct {
	exits     map[string]int
	variables map[string]map[string]string
}

func newValues() values { return values{map[string]int{}, map[string]map[string]string{}} }

func newResults() *results { return &results{newValues(), newValues()} }

func (v *values) give(pipeline string, given map[string]string) {
	if v.variables[pipeline] == nil {
		v.variables[pipeline] = map[string]string{}
	}
	maps.Copy(v.variables[pipeline], given)
}

// took adds the output of a node.
func (r *results) took(n *node, out *attemptOutput) {
	if out == nil {
		return
	}
	r.give(n.in, out.Set)
	if out.ExitCode != nil {
		r.pending.exits[n.id] = *out.ExitCode
	}
}

// give adds values for variables of a pipeline.
func (r *results) give(p *pipeline, given map[string]string) { r.pending.give(p.id, given) }

// settle adds the pending results to the known ones, after their commit.
func (r *results) settle() {
	maps.Copy(r.known.exits, r.pending.exits)
	for pipeline, given := range r.pending.variables {
		r.known.give(pipeline, given)
	}
	r.discard()
}

// discard drops the pending results.
func (r *results) discard() { r.pending = newValues() }

// variable is the value that a variable of a pipeline was given last.
func (r *results) variable(pipeline, name string) (string, bool) {
	if text, ok := r.pending.variables[pipeline][name]; ok {
		return text, true
	}
	text, ok := r.known.variables[pipeline][name]
	return text, ok
}

// given is all values that variables of a pipeline were given.
func (r *results) given(pipeline string) map[string]string {
	all := map[string]string{}
	maps.Copy(all, r.known.variables[pipeline])
	maps.Copy(all, r.pending.variables[pipeline])
	return all
}

// exit is the last exit code of an activity.
func (r *results) exit(activity string) (int, bool) {
	if code, ok := r.pending.exits[activity]; ok {
		return code, true
	}
	code, ok := r.known.exits[activity]
	return code, ok
}

// readResults reads the results of a task that began with a definition.
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
