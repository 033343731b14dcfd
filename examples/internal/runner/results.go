package runner

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Log keeps what a store has no room for and a task's next runner must know:
// lines of JSON, in order. Beside a database file it is another file; a store
// that runners share must itself be one.
type Log interface {
	// ResultLines returns the lines of a task, oldest first.
	ResultLines(ctx context.Context, task state.Key) ([][]byte, error)
	// AddResultLine adds a line to the n that a task has, and returns when it
	// is durable. If the task has more, the error matches [store.ErrFenced]:
	// another runner writes them, and has taken the task over.
	AddResultLine(ctx context.Context, task state.Key, n int, line []byte) error
}

// results is what happened in a task: the exit codes of its activities, and the
// values that were given to variables, by pipeline.
type results struct {
	log        Log
	task       state.Key
	lines      int    // of the log that are taken into account
	definition []byte // as the task began with it, nil if it did not
	exits      map[string]int
	variables  map[string]map[string]string
}

// resultLine is a line of the log: the definition a task begins with, that a
// runner goes on with it, the end of one of its commands, or what the variables
// of a pipeline were given else.
type resultLine struct {
	Business   string            `json:"biz"`
	Task       string            `json:"task"`
	Definition json.RawMessage   `json:"definition,omitempty"`
	Resumed    string            `json:"resumed,omitempty"` // never the same twice
	Node       string            `json:"node,omitempty"`    // "" if no command ended
	ExitCode   int               `json:"exit_code,omitempty"`
	Pipeline   string            `json:"pipeline,omitempty"` // whose variables are set
	Set        map[string]string `json:"set,omitempty"`
}

// readResults reads what a log says about a task.
func readResults(ctx context.Context, log Log, task state.Key) (*results, error) {
	r := &results{log: log, task: task, exits: map[string]int{}, variables: map[string]map[string]string{}}
	return r, r.catchUp(ctx)
}

func (r *results) catchUp(ctx context.Context) error {
	lines, err := r.log.ResultLines(ctx, r.task)
	if err != nil {
		return err
	}
	for r.lines < len(lines) {
		var line resultLine
		if err := json.Unmarshal(lines[r.lines], &line); err != nil {
			return fmt.Errorf("line %d of the results of task %s: %w", r.lines+1, r.task, err)
		}
		r.take(&line)
	}
	return nil
}

func (r *results) take(line *resultLine) {
	r.lines++
	switch {
	case line.Definition != nil:
		r.definition = line.Definition
		clear(r.exits)
		clear(r.variables)
	case line.Resumed == "":
		if line.Node != "" {
			r.exits[line.Node] = line.ExitCode
		}
		if r.variables[line.Pipeline] == nil {
			r.variables[line.Pipeline] = map[string]string{}
		}
		maps.Copy(r.variables[line.Pipeline], line.Set)
	}
}

// begin writes the definition that the task begins with.
func (r *results) begin(ctx context.Context, definition []byte) error {
	return r.write(ctx, &resultLine{Definition: definition})
}

// resume writes that this runner goes on with the task, after which a runner
// that went on with it before, and was only thought dead, can write no more.
func (r *results) resume(ctx context.Context) error {
	for {
		err := r.write(ctx, &resultLine{Resumed: rand.Text()})
		if !errors.Is(err, store.ErrFenced) {
			return err
		}
		if err := r.catchUp(ctx); err != nil {
			return err
		}
	}
}

// add writes how the command of a node ended, and the variables it set.
func (r *results) add(ctx context.Context, n *node, exit int, set map[string]string) error {
	return r.write(ctx, &resultLine{Node: n.id, ExitCode: exit, Pipeline: n.in.id, Set: set})
}

// give writes values for variables of a pipeline, if there are any.
func (r *results) give(ctx context.Context, p *pipeline, values map[string]string) error {
	if len(values) == 0 {
		return nil
	}
	return r.write(ctx, &resultLine{Pipeline: p.id, Set: values})
}

// write returns when the line is durable.
func (r *results) write(ctx context.Context, line *resultLine) error {
	line.Business, line.Task = r.task.Business, r.task.Task
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	if err := r.log.AddResultLine(ctx, r.task, r.lines, text); err != nil {
		return err
	}
	r.take(line)
	return nil
}
