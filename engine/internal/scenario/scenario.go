// Package scenario reads recordings of the engine whose get_task_status this
// module reproduces: its operations, step by step, and the expected snapshot
// after each step. Only tests import it. The steps are operations of
// package state, so that tests can compare a tree, an engine on any store and a
// tool with the same recordings.
package scenario

import (
	"bytes"
	"embed"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/pipestatus/pipestatus/state"
)

// Scenario is one recording.
type Scenario struct {
	Name, Title string
	Task        state.Key
	Root        string // ID of the root pipeline
	Steps       []Step
	// History has the superseded attempts at the end, by node, oldest first. It
	// lacks nodes without superseded attempts.
	History map[string][]Attempt
}

// Step is one call of the production engine.
type Step struct {
	Call   string // name of the call in the production engine
	Ops    []Op
	Expect Node // the tree after it
}

// Op is a complete operation of the recording: it has a version if it begins an
// attempt, and the time of the recording clock.
type Op struct {
	state.Op
	// Refused is the expected code of the refusal, "" if it is accepted.
	Refused string
}

// Node is the expected status of a node.
type Node struct {
	ID            string
	State         state.State // shown
	Retry, Loop   int
	Skip          bool
	Start, Finish state.Instant
	Children      []Node // in the order of creation
}

// Attempt is an expected superseded attempt. State is the own state.
type Attempt struct {
	Loop, Retry   int
	Skip          bool
	State         state.State
	Start, Finish state.Instant
	Error         string
}

//go:embed testdata/*.json
var recordings embed.FS

// All returns every recording. An unreadable recording fails the test.
func All(tb testing.TB) (all []Scenario) {
	tb.Helper()
	files, err := recordings.ReadDir("testdata")
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range files {
		text, err := recordings.ReadFile("testdata/" + f.Name())
		if err != nil {
			tb.Fatal(err)
		}
		s, err := parse(text)
		if err != nil {
			tb.Fatalf("%s: %v", f.Name(), err)
		}
		all = append(all, s)
	}
	return all
}

// The recorded forms. Times are Unix seconds, null if unset.
type (
	recording struct {
		Name         string
		Title        string
		RecordedFrom string `json:"recorded_from"`
		Biz          string
		Task         string
		Root         string
		Steps        []struct {
			Call    string
			Ops     []recordedOp
			Expect  recordedNode
			Differs [][]any `json:"differs_from_reference"`
		}
		History map[string][]recordedAttempt
	}
	recordedOp struct {
		Op, Node, Parent, Kind, Name, Biz, Task, ID, Error string
		Ignore                                             bool
		At                                                 int64
		Refused                                            string
	}
	recordedNode struct {
		ID            string
		State         string
		Retry, Loop   int
		Skip          bool
		Start, Finish *int64
		Children      []recordedNode
	}
	recordedAttempt struct {
		Loop, Retry   int
		Skip          bool
		State         string
		Start, Finish *int64
		Error         string
	}
)

func parse(text []byte) (s Scenario, err error) {
	var r recording
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return s, err
	}
	s = Scenario{
		Name: r.Name, Title: r.Title, Root: r.Root,
		Task:    state.Key{Business: r.Biz, Task: r.Task},
		History: make(map[string][]Attempt, len(r.History)),
	}
	attempts := uint64(0)
	for _, rs := range r.Steps {
		step := Step{Call: rs.Call}
		for _, ro := range rs.Ops {
			op, err := ro.op()
			if err != nil {
				return s, err
			}
			if op.Kind.NamesAttempt() {
				attempts++
				op.NewVersion = version(attempts)
			}
			step.Ops = append(step.Ops, op)
		}
		if step.Expect, err = rs.Expect.node(); err != nil {
			return s, err
		}
		s.Steps = append(s.Steps, step)
	}
	for id, past := range r.History {
		for _, ra := range past {
			a, err := ra.attempt()
			if err != nil {
				return s, err
			}
			s.History[id] = append(s.History[id], a)
		}
	}
	return s, nil
}

func (r *recordedOp) op() (op Op, err error) {
	op.Refused = r.Refused
	op.Node, op.Parent, op.Name = r.Node, r.Parent, r.Name
	op.Error, op.Ignore = r.Error, r.Ignore
	op.At = state.UnixInstant(r.At, 0)
	op.Now = op.At
	if op.Kind, err = state.ParseOpKind(r.Op); err != nil {
		return op, err
	}
	switch op.Kind {
	case state.Create:
		op.Task, op.Node, op.NodeGiven = state.Key{Business: r.Biz, Task: r.Task}, r.ID, true
	case state.Declare:
		op.NodeKind, err = state.ParseKind(r.Kind)
		op.NodeGiven = true
	}
	return op, err
}

func (r *recordedNode) node() (n Node, err error) {
	n = Node{ID: r.ID, Retry: r.Retry, Loop: r.Loop, Skip: r.Skip, Start: instant(r.Start), Finish: instant(r.Finish)}
	if n.State, err = state.ParseState(r.State); err != nil {
		return n, fmt.Errorf("node %q: %w", r.ID, err)
	}
	for _, rc := range r.Children {
		c, err := rc.node()
		if err != nil {
			return n, err
		}
		n.Children = append(n.Children, c)
	}
	return n, nil
}

func (r *recordedAttempt) attempt() (Attempt, error) {
	st, err := state.ParseState(r.State)
	return Attempt{
		Loop: r.Loop, Retry: r.Retry, Skip: r.Skip, State: st,
		Start: instant(r.Start), Finish: instant(r.Finish), Error: r.Error,
	}, err
}

func instant(sec *int64) state.Instant {
	if sec == nil {
		return state.Instant{}
	}
	return state.UnixInstant(*sec, 0)
}

func version(n uint64) state.Version {
	var id [16]byte
	binary.BigEndian.PutUint64(id[8:], n)
	return state.VersionOf(id)
}
