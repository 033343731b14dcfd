package statusctl

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/pipestatus/pipestatus/state"
)

// transitionRecord is a transition with all its values in JSON: a line of
// export and of watch -json. Times are RFC 3339 in UTC; what is zero is left
// out.
type transitionRecord struct {
	Seq      uint64     `json:"seq"`
	Business string     `json:"biz"`
	Task     string     `json:"task"`
	Op       string     `json:"op"`
	At       string     `json:"at"`
	Recorded string     `json:"recorded"`
	Actor    string     `json:"actor,omitempty"`
	Shown    string     `json:"shown,omitempty"`   // state of the task after it
	Pending  int        `json:"pending,omitempty"` // automatic retries then
	Changes  changeList `json:"changes,omitempty"`
}

// changeList is read one by one, since a short text can stand for a long list.
type changeList []changeRecord

func (l *changeList) UnmarshalJSON(raw []byte) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if open, err := dec.Token(); err != nil || open != json.Delim('[') {
		return errors.New("changes are no list")
	}
	for dec.More() {
		var c changeRecord
		if err := dec.Decode(&c); err != nil {
			return err
		}
		if c.ID == "" || len(*l) == maxNodes {
			return errors.New("a change of no node, or too many")
		}
		*l = append(*l, c)
	}
	return nil
}

// changeRecord is what a transition did to one node: its values afterwards.
type changeRecord struct {
	ID       string             `json:"id"`
	Index    int                `json:"index"` // place in the order of creation
	Kind     string             `json:"kind"`
	Declared *declarationRecord `json:"declared,omitempty"` // of a new node
	From     string             `json:"from,omitempty"`     // own state before
	attemptRecord
	Updated    string         `json:"updated,omitempty"`
	Supersedes string         `json:"supersedes,omitempty"` // version before it
	Superseded *attemptRecord `json:"superseded,omitempty"` // attempt that has become history
}

type declarationRecord struct {
	Parent   string `json:"parent,omitempty"`
	Name     string `json:"name,omitempty"`
	NoRetry  bool   `json:"no_retry,omitempty"`
	NoSkip   bool   `json:"no_skip,omitempty"`
	MaxLoops int    `json:"max_loops,omitempty"`
}

type attemptRecord struct {
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
	Along        bool   `json:"along,omitempty"` // it was the reset of a container above
	Paused       bool   `json:"paused,omitempty"`
}

func recordOf(tr *state.Transition) transitionRecord {
	r := transitionRecord{
		Seq: tr.Sequence, Business: tr.Task.Business, Task: tr.Task.Task, Op: tr.Op.String(),
		At: tr.At.String(), Recorded: tr.Recorded.String(), Actor: tr.Actor, Shown: stateName(tr.Shown), Pending: tr.Pending,
		Changes: make(changeList, len(tr.Changes)),
	}
	for i := range tr.Changes {
		c, to := &tr.Changes[i], &r.Changes[i]
		*to = changeRecord{
			ID: c.ID, Index: c.Index, Kind: c.Kind.String(), From: stateName(c.From),
			attemptRecord: attemptOf(&c.Attempt), Updated: c.Updated.String(), Supersedes: c.Supersedes.String(),
		}
		if d := c.Declared; d != nil {
			to.Declared = &declarationRecord{d.Parent, d.Name, d.NoRetry, d.NoSkip, d.MaxLoops}
		}
		if c.Superseded != nil {
			old := attemptOf(c.Superseded)
			to.Superseded = &old
		}
	}
	return r
}

func attemptOf(a *state.Attempt) attemptRecord {
	return attemptRecord{
		State: stateName(a.State), Version: a.Version.String(), Loop: a.Loop, Retries: a.Retries, Skips: a.Skips,
		Skipped: a.Skipped, ErrorIgnored: a.ErrorIgnored, Started: a.Started.String(), Finished: a.Finished.String(),
		Error: a.Error, RetryAt: a.RetryAt.String(), Began: opName(a.Began), Along: a.Along, Paused: a.Paused,
	}
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

// transition is the inverse of recordOf, but for the indices of parents, which
// only the tree can tell.
func (r *transitionRecord) transition() (*state.Transition, error) {
	var p reading
	tr := &state.Transition{
		Sequence: r.Seq, Task: state.Key{Business: r.Business, Task: r.Task}, Op: p.op(r.Op),
		At: p.instant(r.At), Recorded: p.instant(r.Recorded), Actor: r.Actor, Shown: p.state(r.Shown), Pending: r.Pending,
		Changes: make([]state.Change, len(r.Changes)),
	}
	for i := range r.Changes {
		p.change(&tr.Changes[i], &r.Changes[i])
	}
	return tr, p.err
}

// reading turns texts back into values and keeps the first error.
type reading struct{ err error }

func (p *reading) change(c *state.Change, r *changeRecord) {
	*c = state.Change{ID: r.ID, Index: r.Index, From: p.state(r.From), Progress: state.Progress{
		Attempt: p.attempt(&r.attemptRecord), Updated: p.instant(r.Updated), Supersedes: p.version(r.Supersedes),
	}}
	kind, err := state.ParseKind(r.Kind)
	p.keep(err)
	c.Kind = kind
	if d := r.Declared; d != nil {
		c.Declared = &state.Declaration{Parent: d.Parent, Name: d.Name, NoRetry: d.NoRetry, NoSkip: d.NoSkip, MaxLoops: d.MaxLoops}
	}
	if r.Superseded != nil {
		old := p.attempt(r.Superseded)
		c.Superseded = &old
	}
}

func (p *reading) attempt(r *attemptRecord) state.Attempt {
	return state.Attempt{
		State: p.state(r.State), Version: p.version(r.Version), Loop: r.Loop, Retries: r.Retries, Skips: r.Skips,
		Skipped: r.Skipped, ErrorIgnored: r.ErrorIgnored, Started: p.instant(r.Started), Finished: p.instant(r.Finished),
		Error: r.Error, RetryAt: p.instant(r.RetryAt), Began: p.op(r.Began), Along: r.Along, Paused: r.Paused,
	}
}

func (p *reading) keep(err error) { p.err = cmp.Or(p.err, err) }

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
