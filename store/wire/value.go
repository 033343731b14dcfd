package wire

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Value returns the transition. The error names a text that cannot be decoded.
// Call [state.Transition.Validate] to check whether the values fit together.
func (r *Transition) Value() (*state.Transition, error) {
	var p reading
	tr := &state.Transition{
		Sequence: r.Seq, Task: state.Key{Business: r.Business, Task: r.Task}, Op: p.op(r.Op),
		At: p.instant(r.At), Recorded: p.instant(r.Recorded), Actor: r.Actor, Shown: p.state(r.Shown), Pending: r.Pending,
		Labels: state.LabelsOf(r.Labels), Data: p.data(r.Data), Changes: make([]state.Change, len(r.Changes)),
	}
	if len(r.Changes) == 0 {
		tr.Changes = nil
	}
	for i := range r.Changes {
		tr.Changes[i] = p.change(&r.Changes[i])
	}
	return tr, p.err
}

// Node returns the node that a change stands for, or an error.
func (r *Change) Node() (state.Node, error) {
	var p reading
	c := p.change(r)
	if c.Declared == nil || c.From != 0 || c.Superseded != nil {
		p.keep(fmt.Errorf("%w: node %q is a change", state.ErrInvalidArgument, r.ID))
		return state.Node{}, p.err
	}
	return state.Node{ID: c.ID, Index: c.Index, Kind: c.Kind, Declaration: *c.Declared, Progress: c.Progress}, p.err
}

// Value returns the attempt.
func (r *Attempt) Value() (state.Attempt, error) {
	var p reading
	a := p.attempt(r)
	return a, p.err
}

// Value returns the attempt with its data.
func (r *KeptAttempt) Value() (store.Attempt, error) {
	var p reading
	a := store.Attempt{Attempt: p.attempt(&r.Attempt), Current: r.Current, Input: p.data(r.Input), Output: p.data(r.Output)}
	return a, p.err
}

// reading decodes texts and keeps the first error.
type reading struct{ err error }

func (p *reading) change(r *Change) state.Change {
	c := state.Change{ID: r.ID, Index: r.Index, From: p.state(r.From), Progress: state.Progress{
		Attempt: p.attempt(&r.Attempt), Updated: p.instant(r.Updated), Note: r.Note, Supersedes: p.version(r.Supersedes),
	}}
	kind, err := state.ParseKind(r.Kind)
	p.keep(err)
	c.Kind = kind
	if d := r.Declared; d != nil {
		c.Declared = &state.Declaration{
			Parent: d.Parent, ParentIndex: d.ParentIndex, Name: d.Name, NoRetry: d.NoRetry, NoSkip: d.NoSkip, MaxLoops: d.MaxLoops,
			Key: d.Key, After: p.edges(d.After),
		}
		if d.Parent == "" {
			c.Declared.ParentIndex = -1
		}
	}
	if r.Superseded != nil {
		old := p.attempt(r.Superseded)
		c.Superseded = &old
	}
	return c
}

func (p *reading) attempt(r *Attempt) state.Attempt {
	return state.Attempt{
		State: p.state(r.State), Version: p.version(r.Version), Loop: r.Loop, Retries: r.Retries, Skips: r.Skips,
		Skipped: r.Skipped, ErrorIgnored: r.ErrorIgnored, Started: p.instant(r.Started), Finished: p.instant(r.Finished),
		Error: r.Error, RetryAt: p.instant(r.RetryAt), Began: p.op(r.Began), Along: r.Along, Paused: r.Paused, CameFrom: r.CameFrom,
	}
}

func (p *reading) keep(err error) { p.err = cmp.Or(p.err, err) }

// data reads data. Its bytes, if present, must match its size and digest.
func (p *reading) data(r *Data) *state.Data {
	if r == nil {
		return nil
	}
	digest, err := hex.DecodeString(r.Digest)
	if err != nil || len(digest) != 16 {
		p.keep(fmt.Errorf("%w: digest %q", state.ErrInvalidArgument, r.Digest))
		return nil
	}
	named, err := state.NamedData(r.Size, [16]byte(digest))
	p.keep(err)
	if err != nil || r.Bytes == nil {
		return named
	}
	data := state.NewData(append([]byte{}, *r.Bytes...))
	if !data.Equal(named) {
		p.keep(fmt.Errorf("%w: data of %s with the size or digest of %s", state.ErrInvalidArgument, data, named))
	}
	return data
}

// edges reads indices, at most as many as a node can have edges.
func (p *reading) edges(after []int) state.Edges {
	for _, i := range after {
		if i < 1 || len(after) > state.MaxAfter {
			p.keep(fmt.Errorf("%w: %d edges, one from node %d", state.ErrInvalidArgument, len(after), i))
			return state.Edges{}
		}
	}
	return state.EdgesOf(after...)
}

func (p *reading) op(name string) state.OpKind {
	if name == "" {
		return 0
	}
	op, err := state.ParseOpKind(name)
	p.keep(err)
	return op
}

func (p *reading) state(name string) state.State {
	if name == "" {
		return 0
	}
	s, err := state.ParseState(name)
	p.keep(err)
	return s
}

func (p *reading) version(digits string) state.Version {
	v, err := state.ParseVersion(digits)
	p.keep(err)
	return v
}

func (p *reading) instant(text string) state.Instant {
	if text == "" {
		return state.Instant{}
	}
	var at time.Time
	if err := at.UnmarshalText([]byte(text)); err != nil || !state.InstantOf(at).Valid() {
		p.keep(fmt.Errorf("%w: time %q", state.ErrInvalidArgument, text))
	}
	return state.InstantOf(at)
}

// ParsePosition reads the text of [store.Position.String], including positions
// without a history, such as [store.End]. Stores check positions themselves.
func ParsePosition(text string) (store.Position, error) {
	if sequence, err := strconv.ParseUint(text, 10, 64); err == nil {
		return store.Position{Sequence: sequence}, nil
	}
	return store.ParsePosition(text)
}

// Task is a [store.Task], the header of a task.
type Task struct {
	Business string         `json:"biz"`
	Task     string         `json:"task"`
	Root     string         `json:"root"`
	Name     string         `json:"name,omitempty"`
	Number   uint64         `json:"number"`
	Revision uint64         `json:"revision"`
	Shown    string         `json:"shown"`
	State    string         `json:"state"`
	Counts   map[string]int `json:"counts,omitempty"` // leaves by state
	Pending  int            `json:"pending,omitempty"`
	Nodes    int            `json:"nodes"`
	Labels   Labels         `json:"labels,omitempty"`
	Recorded string         `json:"recorded"`
	Updated  string         `json:"updated"`
	Started  string         `json:"start_time,omitempty"`
	Finished string         `json:"finish_time,omitempty"`
}

// OfTask returns the form of a header.
func OfTask(t *store.Task) Task {
	r := Task{
		Business: t.Key.Business, Task: t.Key.Task, Root: t.Root, Name: t.Name, Number: t.Number, Revision: t.Revision,
		Shown: stateName(t.Shown), State: stateName(t.State), Pending: t.Pending, Nodes: t.Nodes, Labels: OfLabels(t.Labels),
		Recorded: t.Recorded.String(), Updated: t.Updated.String(), Started: t.Started.String(), Finished: t.Finished.String(),
	}
	for s, n := range t.Counts {
		if n > 0 {
			if r.Counts == nil {
				r.Counts = make(map[string]int)
			}
			r.Counts[stateName(state.State(s))] = n
		}
	}
	return r
}

// Value returns the header, which is valid unless there is an error.
func (r *Task) Value() (store.Task, error) {
	var p reading
	t := store.Task{
		Key: state.Key{Business: r.Business, Task: r.Task}, Root: r.Root, Name: r.Name, Number: r.Number, Revision: r.Revision,
		Shown: p.state(r.Shown), State: p.state(r.State), Pending: r.Pending, Nodes: r.Nodes, Labels: state.LabelsOf(r.Labels),
		Recorded: p.instant(r.Recorded), Updated: p.instant(r.Updated), Started: p.instant(r.Started), Finished: p.instant(r.Finished),
	}
	for name, n := range r.Counts {
		t.Counts[p.state(name)] = n
	}
	if p.err != nil {
		return t, p.err
	}
	return t, t.Validate()
}
