package boltstore

import (
	"encoding/binary"
	"slices"

	"github.com/pipestatus/pipestatus/state"
)

// A block is a series of one task's transitions. In the journal it is complete;
// in the transitions bucket it is "packed": it lacks the IDs and declarations,
// which the nodes' records have. Within a block, sequences, times and versions
// are relative to the transition before.

const (
	trRecorded = 1 << iota // the recording time follows, because it is not the effective one
	trActor
	trPending // the number of pending automatic retries follows
	trLabels  // the task's labels after it follow
	trData    // the size and the digest of its data follow

	trKnown = 1<<iota - 1
)

// changeMin is the least size of a change: index, kind, flags and state. It
// bounds the memory that a malformed count can make a reader allocate.
const changeMin = 5

// blockWriter appends transitions to a block. The zero blockWriter begins one.
type blockWriter struct {
	packed bool
	seq    uint64 // of the transition before
	at     state.Instant
	seen   versions
}

// add appends a transition with a sequence greater than the one before.
func (w *blockWriter) add(dst []byte, tr *state.Transition, seq uint64) []byte {
	dst = binary.AppendUvarint(dst, seq-w.seq)
	dst = appendTransition(dst, tr, w.at, &w.seen, w.packed)
	w.seq, w.at = seq, tr.At
	return dst
}

// restart begins another block and reuses the memory.
func (w *blockWriter) restart(seq uint64) {
	w.seen.reset()
	w.seq, w.at = seq, state.Instant{}
}

// follow continues after the last transition that a reader has read. The reader
// must be restarted before its next use.
func (w *blockWriter) follow(r *blockReader) {
	w.seq, w.at = r.seq, r.at
	w.seen, r.seen = r.seen, w.seen
}

func appendTransition(dst []byte, tr *state.Transition, base state.Instant, seen *versions, packed bool) []byte {
	var flags byte
	if tr.Recorded != tr.At {
		flags |= trRecorded
	}
	if tr.Actor != "" {
		flags |= trActor
	}
	if tr.Pending > 0 {
		flags |= trPending
	}
	if tr.Labels != (state.Labels{}) {
		flags |= trLabels
	}
	if tr.Data != nil {
		flags |= trData
	}
	dst = append(dst, byte(tr.Op)|byte(tr.Shown)<<4, flags)
	dst = appendInstant(dst, tr.At, base)
	if flags&trRecorded != 0 {
		dst = appendInstant(dst, tr.Recorded, tr.At)
	}
	if flags&trActor != 0 {
		dst = appendID(dst, tr.Actor)
	}
	if flags&trPending != 0 {
		dst = binary.AppendUvarint(dst, uint64(tr.Pending))
	}
	if flags&trLabels != 0 {
		dst = appendLabels(dst, tr.Labels)
	}
	if flags&trData != 0 {
		digest := tr.Data.Digest()
		dst = append(binary.AppendUvarint(dst, uint64(tr.Data.Size())), digest[:]...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(tr.Changes)))
	for i := range tr.Changes {
		dst = appendChange(dst, &tr.Changes[i], tr.At, seen, packed)
	}
	return dst
}

func appendChange(dst []byte, c *state.Change, at state.Instant, seen *versions, packed bool) []byte {
	var flags uint16
	if c.Declared != nil {
		flags |= isDeclared
	}
	if c.Superseded != nil {
		flags |= hasSuperseded
	}
	dst = binary.AppendUvarint(dst, uint64(c.Index))
	dst = append(dst, byte(c.Kind)|byte(c.From)<<4)
	before := seen.get(c.Index)
	dst = appendProgress(dst, &c.Progress, at, before, flags)
	if !packed {
		dst = appendID(dst, c.ID)
		if c.Declared != nil {
			dst = appendDeclaration(dst, c.Declared)
		}
	}
	if c.Superseded != nil {
		dst = appendAttempt(dst, c.Superseded, at, before)
	}
	seen.set(c.Index, c.Version)
	return dst
}

func appendDeclaration(dst []byte, decl *state.Declaration) []byte {
	dst = binary.AppendUvarint(dst, uint64(decl.ParentIndex+1))
	if decl.ParentIndex >= 0 {
		dst = appendID(dst, decl.Parent)
	}
	dst = appendText(dst, decl.Name)
	var flags byte
	if decl.NoRetry {
		flags |= declNoRetry
	}
	if decl.NoSkip {
		flags |= declNoSkip
	}
	if isPlaced(decl) {
		flags |= declPlaced
	}
	dst = binary.AppendUvarint(append(dst, flags), uint64(decl.MaxLoops))
	if flags&declPlaced != 0 {
		dst = appendPlaced(dst, decl)
	}
	return dst
}

// isPlaced reports whether the node has a key or edges, which appendPlaced
// writes.
func isPlaced(decl *state.Declaration) bool { return decl.Key != "" || decl.After != (state.Edges{}) }

func appendPlaced(dst []byte, decl *state.Declaration) []byte {
	dst = appendText(dst, decl.Key)
	dst = binary.AppendUvarint(dst, uint64(decl.After.Len()))
	last := 0
	for i := range decl.After.All() {
		dst = binary.AppendUvarint(dst, uint64(i-last))
		last = i
	}
	return dst
}

func (d *decoder) placed(decl *state.Declaration) {
	decl.Key = d.short(state.MaxKeyBytes)
	if decl.Key != "" && state.CheckNodeKey(decl.Key) != nil {
		d.fail()
	}
	var after []int
	last := 0
	for range d.int(state.MaxAfter) {
		step := d.int(maxInt)
		if last += step; step == 0 || last > maxInt {
			d.fail()
			return
		}
		after = append(after, last)
	}
	decl.After = state.EdgesOf(after...)
}

func appendLabels(dst []byte, labels state.Labels) []byte {
	dst = binary.AppendUvarint(dst, uint64(labels.Len()))
	for key, value := range labels.All() {
		dst = appendText(appendText(dst, key), value)
	}
	return dst
}

func (d *decoder) labels() state.Labels {
	n := d.int(state.MaxLabels)
	labels := make(map[string]string, n)
	last := ""
	for range n {
		key := d.short(state.MaxLabelKeyBytes)
		value := d.short(state.MaxLabelValueBytes)
		if key <= last || state.CheckLabel(key, value) != nil {
			d.fail()
			return state.Labels{}
		}
		labels[key], last = value, key
	}
	return state.LabelsOf(labels)
}

// blockReader reads the transitions of a block one by one.
type blockReader struct {
	d      decoder
	packed bool
	// lean is for a write-back, which needs less: the IDs of older nodes are left
	// out, and superseded attempts are only valid until the next transition is
	// read.
	lean bool
	seq  uint64 // of the transition before
	at   state.Instant
	seen versions
	// Memory for lean readers: superseded for the attempts of one transition,
	// declared for all declarations since the owner emptied it.
	superseded []state.Attempt
	declared   []state.Declaration
}

// restart begins to read another block and reuses the memory.
func (r *blockReader) restart(block []byte, base uint64) {
	r.d, r.seq, r.at = decoder{b: block, ids: r.d.ids}, base, state.Instant{}
	r.seen.reset()
}

// next reads a transition into tr, except its task, and reports whether there
// was one. It overwrites tr's changes.
func (r *blockReader) next(tr *state.Transition) bool {
	if r.d.left() == 0 {
		return false
	}
	step := r.d.uvarint()
	if step == 0 || r.seq+step < r.seq {
		r.d.fail()
	}
	r.seq += step
	tr.Sequence = r.seq
	r.transition(tr)
	r.at = tr.At
	return !r.d.bad
}

// readBlock reads a block to its end.
func readBlock(d decoder, key state.Key, base uint64, packed bool, what string) ([]*state.Transition, error) {
	r := blockReader{packed: packed}
	r.restart(d.rest(), base)
	r.d.bad = d.bad
	var trs []*state.Transition
	for {
		tr := &state.Transition{Task: key}
		if !r.next(tr) {
			return trs, r.d.end(what)
		}
		trs = append(trs, tr)
	}
}

func (r *blockReader) transition(tr *state.Transition) {
	d := &r.d
	b, flags := d.byte(), d.byte()
	tr.Op, tr.Shown = state.OpKind(b&15), state.State(b>>4)
	switch {
	case tr.Op == 0:
		d.fail()
	case !tr.Op.Valid() || flags&^trKnown != 0:
		d.later()
	case tr.Op != state.Delete:
		d.state(tr.Shown)
	}
	tr.At = d.instant(r.at)
	tr.Recorded = tr.At
	if flags&trRecorded != 0 {
		tr.Recorded = d.instant(tr.At)
	}
	tr.Actor = ""
	if flags&trActor != 0 {
		tr.Actor = d.actor()
	}
	tr.Pending = 0
	if flags&trPending != 0 {
		tr.Pending = d.int(maxInt)
	}
	tr.Labels = state.Labels{}
	if flags&trLabels != 0 {
		tr.Labels = d.labels()
	}
	tr.Data = nil
	if flags&trData != 0 {
		tr.Data = d.data()
	}
	n := d.int(uint64(d.left()) / changeMin)
	r.superseded = r.superseded[:0]
	tr.Changes = slices.Grow(tr.Changes[:0], n)[:n]
	for i := range tr.Changes {
		tr.Changes[i] = state.Change{}
		r.change(&tr.Changes[i], tr.At)
	}
}

func (r *blockReader) change(c *state.Change, at state.Instant) {
	d := &r.d
	c.Index = d.int(maxInt)
	b := d.byte()
	c.Kind, c.From = state.Kind(b&15), state.State(b>>4)
	d.kind(c.Kind)
	if c.From != 0 {
		d.state(c.From)
	}
	before := r.seen.get(c.Index)
	flags := d.progress(&c.Progress, at, before)
	if flags&isDeclared != 0 {
		c.Declared = r.declaration()
	}
	switch {
	case r.packed:
	case c.Declared != nil:
		c.ID = d.id()
		d.declaration(c.Declared)
	case r.lean:
		d.skipID()
	default:
		c.ID = d.id()
	}
	if flags&hasSuperseded != 0 {
		c.Superseded = r.attempt(d.attempt(at, before))
	}
	r.seen.set(c.Index, c.Version)
}

// data reads the size and the digest of data.
func (d *decoder) data() *state.Data {
	size := d.int(state.MaxDataBytes)
	var digest [16]byte
	copy(digest[:], d.bytes(len(digest)))
	if d.bad {
		return nil
	}
	named, _ := state.NamedData(size, digest) // cannot fail for such a size
	return named
}

// declaration returns memory for a declaration. In a packed block all
// declarations are empty and share it.
func (r *blockReader) declaration() *state.Declaration {
	switch {
	case !r.lean:
		return new(state.Declaration)
	case !r.packed || len(r.declared) == 0:
		r.declared = append(r.declared, state.Declaration{})
	}
	return &r.declared[len(r.declared)-1]
}

// attempt returns a superseded attempt in memory of the reader, if lean.
func (r *blockReader) attempt(a state.Attempt) *state.Attempt {
	if !r.lean {
		return &a
	}
	r.superseded = append(r.superseded, a)
	return &r.superseded[len(r.superseded)-1]
}

func (d *decoder) declaration(decl *state.Declaration) {
	decl.ParentIndex = d.int(maxInt) - 1
	if decl.ParentIndex >= 0 {
		decl.Parent = d.id()
	}
	decl.Name = d.name()
	flags := d.byte()
	if flags&^(declNoRetry|declNoSkip|declPlaced) != 0 {
		d.later()
	}
	decl.NoRetry, decl.NoSkip = flags&declNoRetry != 0, flags&declNoSkip != 0
	decl.MaxLoops = d.int(maxInt)
	if flags&declPlaced != 0 {
		d.placed(decl)
	}
}
