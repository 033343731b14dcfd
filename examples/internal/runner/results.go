package runner

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"

	"github.com/pipestatus/pipestatus/state"
)

// results is what a task's conditions and commands know: exit codes and
// variables. They are kept in a file beside the database, whose lock they rely
// on: one process at a time writes it. results is a scope.
type results struct {
	file       *os.File
	task       state.Key
	definition []byte // as the task began with it, nil if it did not
	exits      map[string]int
	variables  map[string]string
}

// resultLine is a line of the file: the definition a task begins with, or the
// end of one of its commands.
type resultLine struct {
	Business   string            `json:"biz"`
	Task       string            `json:"task"`
	Definition json.RawMessage   `json:"definition,omitempty"`
	Node       string            `json:"node,omitempty"`
	ExitCode   int               `json:"exit_code,omitempty"`
	Set        map[string]string `json:"set,omitempty"`
}

// openResults opens the file, or creates it, and reads what it says about a
// task. What a crash left of a last line is cut off.
func openResults(path string, task state.Key) (*results, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	r := &results{file: file, task: task, exits: map[string]int{}, variables: map[string]string{}}
	if err := r.read(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), file.Close())
	}
	return r, nil
}

func (r *results) read() error {
	data, err := io.ReadAll(r.file)
	if err != nil {
		return err
	}
	data = data[:bytes.LastIndexByte(data, '\n')+1]
	if err := r.file.Truncate(int64(len(data))); err != nil {
		return err
	}
	if _, err := r.file.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	for number := 1; len(data) > 0; number++ {
		var text []byte
		text, data, _ = bytes.Cut(data, []byte("\n"))
		var line resultLine
		if err := json.Unmarshal(text, &line); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		if (state.Key{Business: line.Business, Task: line.Task}) == r.task {
			r.take(&line)
		}
	}
	return nil
}

func (r *results) take(line *resultLine) {
	if line.Definition != nil {
		r.definition = line.Definition
		clear(r.exits)
		clear(r.variables)
		return
	}
	r.exits[line.Node] = line.ExitCode
	maps.Copy(r.variables, line.Set)
}

// begin writes the definition that the task begins with.
func (r *results) begin(definition []byte) error {
	return r.write(&resultLine{Definition: definition})
}

// add writes how the command of a node ended.
func (r *results) add(n *node, exit int, set map[string]string) error {
	return r.write(&resultLine{Node: n.id, ExitCode: exit, Set: set})
}

// write returns when the line is on disk.
func (r *results) write(line *resultLine) error {
	line.Business, line.Task = r.task.Business, r.task.Task
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	if _, err := r.file.Write(append(text, '\n')); err != nil {
		return err
	}
	if err := r.file.Sync(); err != nil {
		return err
	}
	r.take(line)
	return nil
}

// defaults sets the variables that nothing has set yet.
func (r *results) defaults(variables map[string]string) {
	for name, value := range variables {
		if _, set := r.variables[name]; !set {
			r.variables[name] = value
		}
	}
}

func (r *results) variable(name string) (string, bool) {
	v, ok := r.variables[name]
	return v, ok
}

func (r *results) exitCode(activity string) (int, bool) {
	code, ok := r.exits[activity]
	return code, ok
}
