package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Transition is a [state.Transition].
type Transition struct {
	Seq      uint64  `json:"seq"`
	Business string  `json:"biz"`
	Task     string  `json:"task"`
	Op       string  `json:"op"`
	At       string  `json:"at"`
	Recorded string  `json:"recorded"`
	Actor    string  `json:"actor,omitempty"`
	Shown    string  `json:"shown,omitempty"`   // state of the task after it
	Pending  int     `json:"pending,omitempty"` // automatic retries then
	Labels   Labels  `json:"labels,omitempty"`  // of the task after a create or label
	Data     *Data   `json:"data,omitempty"`    // input or output, depending on the operation
	Changes  Changes `json:"changes,omitempty"`
}

// maxChanges bounds the changes of a transition that is read: ten times the
// nodes that an engine allows by default.
const maxChanges = 1_000_000

// Changes are the changes of a transition. They are decoded one by one, since a
// short text can stand for a long list.
type Changes []Change

// UnmarshalJSON implements [json.Unmarshaler].
func (l *Changes) UnmarshalJSON(raw []byte) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if open, err := dec.Token(); err != nil || open != json.Delim('[') {
		return errors.New("changes are no list")
	}
	for dec.More() {
		var c Change
		if err := dec.Decode(&c); err != nil {
			return err
		}
		if c.ID == "" || len(*l) == maxChanges {
			return errors.New("a change without a node, or too many changes")
		}
		*l = append(*l, c)
	}
	return nil
}

// Change is a [state.Change]: the effect of a transition on one node, as the values
// of the node after it. A change with a declaration and without From also stands
// for a [state.Node], which has all these values.
type Change struct {
	ID       string       `json:"id"`
	Index    int          `json:"index"` // place in the order of creation
	Kind     string       `json:"kind"`
	Declared *Declaration `json:"declared,omitempty"` // of a new node
	From     string       `json:"from,omitempty"`     // own state before
	Attempt
	Updated    string   `json:"updated,omitempty"`
	Note       string   `json:"note,omitempty"`
	Supersedes string   `json:"supersedes,omitempty"` // version before it
	Superseded *Attempt `json:"superseded,omitempty"` // attempt that has become history
}

// Declaration is a [state.Declaration].
type Declaration struct {
	Parent string `json:"parent,omitempty"`
	// ParentIndex is the index of the parent. The root has no parent and omits
	// it.
	ParentIndex int    `json:"parent_index,omitempty"`
	Name        string `json:"name,omitempty"`
	NoRetry     bool   `json:"no_retry,omitempty"`
	NoSkip      bool   `json:"no_skip,omitempty"`
	MaxLoops    int    `json:"max_loops,omitempty"`
	Key         string `json:"key,omitempty"`
	After       []int  `json:"after,omitempty"` // indices of the nodes that lead to it
}

// Attempt is a [state.Attempt].
type Attempt struct {
	State        string `json:"state"`
	Version      string `json:"version,omitempty"`
	Loop         int    `json:"loop,omitempty"`
	Retries      int    `json:"retries,omitempty"`
	Skips        int    `json:"skips,omitempty"`
	Skipped      bool   `json:"skipped,omitempty"`
	ErrorIgnored bool   `json:"error_ignored,omitempty"`
	Started      string `json:"start_time,omitempty"`
	Finished     string `json:"finish_time,omitempty"`
	Error        string `json:"error,omitempty"`
	RetryAt      string `json:"retry_at,omitempty"`
	Began        string `json:"began,omitempty"` // operation that began the attempt
	Along        bool   `json:"along,omitempty"` // the operation was the reset of a container above
	Paused       bool   `json:"paused,omitempty"`
	CameFrom     int    `json:"came_from,omitempty"` // index of the node that led to it
}

// OfTransition returns the form of a transition.
func OfTransition(tr *state.Transition) Transition {
	r := Transition{
		Seq: tr.Sequence, Business: tr.Task.Business, Task: tr.Task.Task, Op: tr.Op.String(),
		At: tr.At.String(), Recorded: tr.Recorded.String(), Actor: tr.Actor, Shown: stateName(tr.Shown), Pending: tr.Pending,
		Labels: OfLabels(tr.Labels), Data: OfData(tr.Data), Changes: make(Changes, len(tr.Changes)),
	}
	for i := range tr.Changes {
		r.Changes[i] = ofChange(&tr.Changes[i])
	}
	return r
}

// OfNode returns the form of a node.
func OfNode(n *state.Node) Change {
	return ofChange(&state.Change{ID: n.ID, Index: n.Index, Kind: n.Kind, Declared: &n.Declaration, Progress: n.Progress})
}

func ofChange(c *state.Change) Change {
	to := Change{
		ID: c.ID, Index: c.Index, Kind: c.Kind.String(), From: stateName(c.From),
		Attempt: OfAttempt(&c.Attempt), Updated: c.Updated.String(), Note: c.Note, Supersedes: c.Supersedes.String(),
	}
	if d := c.Declared; d != nil {
		to.Declared = &Declaration{d.Parent, max(d.ParentIndex, 0), d.Name, d.NoRetry, d.NoSkip, d.MaxLoops, d.Key, slices.Collect(d.After.All())}
	}
	if c.Superseded != nil {
		old := OfAttempt(c.Superseded)
		to.Superseded = &old
	}
	return to
}

// OfAttempt returns the form of an attempt.
func OfAttempt(a *state.Attempt) Attempt {
	return Attempt{
		State: stateName(a.State), Version: a.Version.String(), Loop: a.Loop, Retries: a.Retries, Skips: a.Skips,
		Skipped: a.Skipped, ErrorIgnored: a.ErrorIgnored, Started: a.Started.String(), Finished: a.Finished.String(),
		Error: a.Error, RetryAt: a.RetryAt.String(), Began: opName(a.Began), Along: a.Along, Paused: a.Paused, CameFrom: a.CameFrom,
	}
}

// Data is a [state.Data], with or without its bytes.
type Data struct {
	Size   int    `json:"size"`
	Digest string `json:"digest"` // hexadecimal
	// Bytes are nil if they are left out, and empty for empty data.
	Bytes *[]byte `json:"bytes,omitempty"`
}

// OfData returns the form of data, nil for absent data.
func OfData(d *state.Data) *Data {
	if d == nil {
		return nil
	}
	digest := d.Digest()
	r := &Data{Size: d.Size(), Digest: hex.EncodeToString(digest[:])}
	if b := d.Bytes(); b != nil {
		r.Bytes = &b
	}
	return r
}

// KeptAttempt is a [store.Attempt].
type KeptAttempt struct {
	Attempt
	Current bool  `json:"current,omitempty"`
	Input   *Data `json:"input,omitempty"`
	Output  *Data `json:"output,omitempty"`
}

// OfKeptAttempt returns the form of an attempt with its data.
func OfKeptAttempt(a *store.Attempt) KeptAttempt {
	return KeptAttempt{Attempt: OfAttempt(&a.Attempt), Current: a.Current, Input: OfData(a.Input), Output: OfData(a.Output)}
}

// Labels are [state.Labels].
type Labels map[string]string

// OfLabels returns the form of labels, nil for no labels.
func OfLabels(l state.Labels) Labels {
	if l == (state.Labels{}) {
		return nil
	}
	return maps.Collect(l.All())
}

// Value returns the labels, which are valid unless there is an error.
func (l Labels) Value() (state.Labels, error) {
	labels := state.LabelsOf(l)
	return labels, labels.Validate()
}

// opName is the operation's name, "" for none.
func opName(o state.OpKind) string {
	if o == 0 {
		return ""
	}
	return o.String()
}

// stateName is the state's name, "" for none.
func stateName(s state.State) string {
	if s == 0 {
		return ""
	}
	return s.String()
}
