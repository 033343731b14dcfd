package storetest

import (
	"math/rand/v2"
	"strings"

	"github.com/pipestatus/pipestatus/state"
)

// RandomTransition draws a well-formed transition, one that
// [state.Transition.Validate] accepts, with values mostly from the ends of their
// ranges. It does not continue any task. Use it to test encodings: every value
// must come back unchanged.
func RandomTransition(r *rand.Rand) *state.Transition {
	d := drawer{r}
	tr := &state.Transition{
		Task: state.Key{Business: d.id(), Task: d.id()}, Sequence: 1 + r.Uint64N(1<<62), Op: d.op(),
		At: d.time(), Recorded: d.time(),
	}
	if d.chance(2) {
		tr.Recorded = tr.At
	}
	if d.chance(2) {
		tr.Actor = d.actor()
	}
	if tr.Op == state.Delete {
		return tr
	}
	tr.Shown, tr.Pending = d.state(), d.count(0)
	if tr.Op == state.Create || tr.Op == state.Label {
		tr.Labels = d.labels()
	}
	if tr.Op == state.Label {
		return tr
	}
	index := d.index()
	switch tr.Op {
	case state.Create, state.Reopen:
		index = 0
	case state.Declare, state.Retry, state.Skip, state.Loop, state.Reset:
		index = max(index, 1)
	}
	tr.Changes = append(tr.Changes, d.change(tr, index, true))
	if d.chance(3) {
		tr.Data, _ = state.NamedData(pick(d, 0, 1, 300, state.MaxDataBytes), [16]byte{byte(d.r.IntN(256)), 15: 255})
		if tr.Validate() != nil { // its operation brings none
			tr.Data = nil
		}
	}
	if tr.Op == state.Create || tr.Op == state.Declare {
		return tr
	}
	for along := d.r.IntN(4); along > 0; along-- {
		last := tr.Changes[len(tr.Changes)-1].Index
		if len(tr.Changes) == 1 {
			last = 0
		}
		if next := last + 1 + d.r.IntN(100); next != index && next < maxIndex {
			tr.Changes = append(tr.Changes, d.change(tr, next, false))
		}
	}
	return tr
}

const (
	maxIndex = 1<<31 - 2
	maxCount = 1<<31 - 1
)

// drawer draws values from ranges of valid values.
type drawer struct{ r *rand.Rand }

func (d drawer) chance(of int) bool { return d.r.IntN(of) == 0 }

func pick[T any](d drawer, from ...T) T { return from[d.r.IntN(len(from))] }

func (d drawer) op() state.OpKind {
	var all []state.OpKind
	for op := state.OpKind(1); op.Valid(); op++ {
		all = append(all, op)
	}
	return pick(d, all...)
}

func (d drawer) state() state.State {
	return state.Created + state.State(d.r.IntN(int(state.Finished)))
}

func (d drawer) id() string { return pick(d, ids()...) }

func (d drawer) actor() string {
	return pick(d, d.id(), strings.Repeat("a", state.MaxActorBytes))
}

func (d drawer) labels() state.Labels {
	labels := make(map[string]string)
	for range d.r.IntN(3) * d.r.IntN(state.MaxLabels/2) {
		key := pick(d, d.id(), strings.Repeat("é", state.MaxLabelKeyBytes/2), "k") + "x"
		labels[key[max(0, len(key)-state.MaxLabelKeyBytes+1):]] = pick(d, "", "v", d.id(), strings.Repeat("v", state.MaxLabelValueBytes))
	}
	for key := range labels {
		if state.CheckLabel(key, "") != nil { // cut within a character
			delete(labels, key)
		}
	}
	return state.LabelsOf(labels)
}

func (d drawer) text(most int) string {
	return pick(d, "", "x", "\x00", "é\r\n", strings.Repeat("x", most), strings.Repeat("é", most/2), strings.Repeat("\U0010ffff", d.r.IntN(most/4)))
}

func (d drawer) time() state.Instant {
	return pick(d,
		state.UnixInstant(0, 0), state.UnixInstant(-62135596800, 0), state.UnixInstant(253402300799, 999_999_999),
		state.UnixInstant(-1, 999_999_999), moment(7), moment(7), state.UnixInstant(d.r.Int64N(1<<37)-1<<35, d.r.IntN(1_000_000_000)))
}

func (d drawer) maybeTime() state.Instant {
	if d.chance(2) {
		return state.Instant{}
	}
	return d.time()
}

func (d drawer) index() int { return pick(d, 0, 1, 2, 31, 127, 128, maxIndex, d.r.IntN(maxIndex)) }

func (d drawer) count(least int) int {
	return pick(d, least, least, least+1, 127, 128, maxCount/3, least+d.r.IntN(1000))
}

func (d drawer) version(index int) state.Version {
	if index == 0 {
		return state.Version{}
	}
	ends := [16]byte{}
	if d.chance(2) {
		ends = [16]byte([]byte(strings.Repeat("\xff", 16)))
	}
	if d.chance(2) {
		ends[7] = byte(d.r.IntN(256))
	}
	return state.VersionOf(ends)
}

func (d drawer) kind(index int) state.Kind {
	if index == 0 {
		return state.Pipeline
	}
	return state.Subprocess + state.Kind(d.r.IntN(int(state.ConvergeGateway-state.Pipeline)))
}

// attempt draws an attempt that is the first of its node or a later one.
func (d drawer) attempt(index int, kind state.Kind, first bool) state.Attempt {
	a := state.Attempt{Version: d.version(index), State: d.state(), Loop: 1, Began: state.Declare}
	if index == 0 {
		a.Began = state.Create
	}
	if !first {
		a.Loop, a.Retries, a.Skips = d.count(1), d.count(0), d.count(0)
		a.Began = pick(d, state.Retry, state.Skip, state.Loop, state.Reset)
		if index == 0 {
			a.Began = state.Reopen
		}
		if a.Number() == 1 {
			a.Loop++
		}
		a.Along = a.Began == state.Reset && d.chance(2)
	}
	if a.State != state.Created {
		a.Started = d.time()
	}
	if (a.State == state.Suspended || a.State == state.Revoked) && d.chance(2) {
		a.Started = state.Instant{}
	}
	if a.State.Ended() {
		a.Finished = d.time()
	}
	if a.State == state.Finished {
		a.Skipped, a.ErrorIgnored = d.chance(2), d.chance(2)
	}
	if a.State == state.Failed && !kind.Container() {
		a.RetryAt = d.maybeTime()
	}
	a.Error = d.text(state.MaxErrorBytes)
	if index > 0 && a.State != state.Created && d.chance(4) {
		a.CameFrom = pick(d, 1, 128, maxIndex)
	}
	return a
}

// change draws the effect of a transition on a node: on the node that its operation
// names, or on another one.
func (d drawer) change(tr *state.Transition, index int, first bool) (c state.Change) {
	c = state.Change{ID: d.id(), Index: index, Kind: d.kind(index), From: d.state()}
	c.Updated = pick(d, tr.At, d.time())
	defer func() {
		if c.State == state.Suspended {
			c.Note = d.text(state.MaxErrorBytes)
		}
	}()
	switch {
	case tr.Op == state.Create || tr.Op == state.Declare:
		c.From = 0
		c.Attempt = state.Attempt{Version: d.version(index), State: state.Created, Loop: 1, Began: tr.Op}
		c.Declared = d.declaration(index)
	case tr.Op.NewAttempt() && (first || tr.Op == state.Reset):
		old := d.attempt(index, c.Kind, d.chance(2))
		c.Superseded, c.From, c.Supersedes = &old, old.State, old.Version
		c.Attempt = d.attempt(index, c.Kind, true)
		c.Loop, c.Retries, c.Skips, c.Began = old.Loop, old.Retries, old.Skips, tr.Op
		c.Along = !first
		*pick(d, &c.Loop, &c.Retries, &c.Skips)++
	default:
		c.Attempt = d.attempt(index, c.Kind, d.chance(2))
		if c.Began.NewAttempt() {
			c.Supersedes = d.version(index)
		}
	}
	return c
}

func (d drawer) declaration(index int) *state.Declaration {
	decl := &state.Declaration{ParentIndex: -1, Name: d.text(state.MaxNameBytes)}
	if index > 0 {
		decl.Parent, decl.ParentIndex = d.id(), d.r.IntN(index)
		decl.NoRetry, decl.NoSkip, decl.MaxLoops = d.chance(2), d.chance(2), pick(d, 0, 1, maxCount)
		decl.Key = pick(d, "", "", d.id(), strings.Repeat("k", state.MaxKeyBytes))
	}
	if index > 1 && d.chance(2) {
		var after []int
		for range d.r.IntN(5) {
			after = append(after, 1+d.r.IntN(index-1))
		}
		decl.After = state.EdgesOf(after...)
	}
	return decl
}
