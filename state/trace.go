package state

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math/bits"
)

// Trace is a digest of a node's values that a store keeps to check whether a change
// follows from the node. It is valid within one process, and different values have
// different traces for all practical purposes. The zero Trace stands for no node.
type Trace struct {
	id, version, attempt, values, supersedes uint32
	kind                                     Kind
	state                                    State
	began                                    OpKind
}

// IsSet reports whether t is the trace of a node.
func (t Trace) IsSet() bool { return t.kind != 0 }

// TraceOf is the trace of a node with these values. It allocates nothing.
func TraceOf(id string, kind Kind, p *Progress) Trace {
	return Trace{
		id: sumID(id), version: sumVersion(p.Version), attempt: sumAttempt(&p.Attempt), values: sumValues(&p.Attempt), supersedes: sumVersion(p.Supersedes),
		kind: kind, state: p.State, began: p.Began,
	}
}

// Holds reports whether t is the trace of a container with an ID: whether a
// node can be declared in it.
func (t Trace) Holds(id string) bool { return t.kind.Container() && t.id == sumID(id) }

// Follows returns an error that matches [ErrMalformed] if the previous values in a
// change differ from those of the node: t is its trace before the change, the zero
// Trace for a new node. The change belongs to a transition that
// [Transition.Validate] accepts.
func (c *Change) Follows(t Trace) error {
	switch {
	case (c.Declared == nil) != t.IsSet():
		return fmt.Errorf("%w: node %q at %d: only a new node has a declaration", ErrMalformed, c.ID, c.Index)
	case c.Declared != nil:
		return nil
	case t.kind != c.Kind || t.id != sumID(c.ID):
		return fmt.Errorf("%w: node %q at %d is another one", ErrMalformed, c.ID, c.Index)
	case t.state != c.From:
		return fmt.Errorf("%w: node %q is %s, not %s", ErrMalformed, c.ID, t.state, c.From)
	}
	if old := c.Superseded; old != nil {
		if old.Began != 0 && t.began != old.Began || t.version != sumVersion(old.Version) || t.attempt != sumAttempt(old) || t.values != sumValues(old) {
			return fmt.Errorf("%w: node %q supersedes an attempt that it did not have", ErrMalformed, c.ID)
		}
		return nil
	}
	// A start may give an attempt that had not started its version.
	starts := c.From == Created && c.State == Running
	if t.version != sumVersion(c.Version) && !starts || t.attempt != sumAttempt(&c.Attempt) || t.began != c.Began || t.supersedes != sumVersion(c.Supersedes) {
		return fmt.Errorf("%w: node %q has another attempt", ErrMalformed, c.ID)
	}
	return nil
}

// traceKey differs between processes, so that an attacker cannot choose values with
// equal digests.
var traceKey = maphash.String(seed, "trace")

func sumID(id string) uint32 { return uint32(maphash.String(seed, id) >> 32) }

func sumVersion(v Version) uint32 { return uint32(mixVersion(traceKey, v)) }

func sumAttempt(a *Attempt) uint32 {
	h := mix(traceKey, uint64(flagIf(a.Along, flagAlong)))
	return uint32(mix(mix(h, uint64(a.Loop)), uint64(a.Retries)<<32|uint64(a.Skips)))
}

func sumValues(a *Attempt) uint32 {
	h := mixInstant(mixInstant(mixInstant(traceKey, a.Started), a.Finished), a.RetryAt)
	h = mix(h, uint64(flagIf(a.Skipped, flagSkipped)|flagIf(a.ErrorIgnored, flagIgnored)|flagIf(a.Paused, flagPaused)))
	if a.CameFrom != 0 {
		h = mix(h, uint64(a.CameFrom))
	}
	if a.Error != "" {
		h = mix(h, maphash.String(seed, a.Error))
	}
	return uint32(h)
}

func mixVersion(h uint64, v Version) uint64 {
	if !v.set {
		return mix(h, 1)
	}
	h = mix(h, binary.LittleEndian.Uint64(v.id[:8]))
	return mix(h, binary.LittleEndian.Uint64(v.id[8:]))
}

func mixInstant(h uint64, i Instant) uint64 {
	return mix(mix(h, uint64(i.sec)), uint64(i.nsec)<<1|uint64(flagIf(i.set, 1)))
}

// mix is a step of a hash: both halves of a product of 64 bits each.
func mix(h, x uint64) uint64 {
	hi, lo := bits.Mul64(h^0x9e3779b97f4a7c15, x^0xe7037ed1a0b428db)
	return hi ^ lo
}
