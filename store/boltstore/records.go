package boltstore

import (
	"encoding/binary"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Flags of a node's declaration.
const (
	declNoRetry = 1 << iota
	declNoSkip
	declMaxLoops
	declName
	// declPlaced says that a key and edges follow. In the nodes bucket, which has
	// only four bits for flags, placedVersion says so.
	declPlaced
)

// placedVersion, instead of recordVersion, begins a node that has a key or
// edges.
const placedVersion = 2

// appendNode appends a node, without its index, which follows from its place in
// the bucket, and without its parent's ID, which is in the parent's record.
func appendNode(dst []byte, n *state.Node) []byte {
	var flags byte
	if n.NoRetry {
		flags |= declNoRetry
	}
	if n.NoSkip {
		flags |= declNoSkip
	}
	if n.MaxLoops != 0 {
		flags |= declMaxLoops
	}
	if n.Name != "" {
		flags |= declName
	}
	version := byte(recordVersion)
	if isPlaced(&n.Declaration) {
		version = placedVersion
	}
	dst = append(dst, version, byte(n.Kind)<<4|flags)
	dst = binary.AppendUvarint(dst, uint64(n.ParentIndex+1))
	dst = appendID(dst, n.ID)
	if flags&declMaxLoops != 0 {
		dst = binary.AppendUvarint(dst, uint64(n.MaxLoops))
	}
	if flags&declName != 0 {
		dst = appendText(dst, n.Name)
	}
	if version == placedVersion {
		dst = appendPlaced(dst, &n.Declaration)
	}
	dst = appendInstant(dst, n.Updated, state.Instant{})
	return appendProgress(dst, &n.Progress, n.Updated, state.Version{}, 0)
}

// decodeNode reads what appendNode wrote into n, except Index and Parent.
func decodeNode(node []byte, n *state.Node) error {
	return (*texts)(nil).decodeNode(node, n)
}

// decodeNode is decodeNode for one of many nodes whose IDs share memory.
func (ids *texts) decodeNode(node []byte, n *state.Node) error {
	d := decoder{b: node, ids: ids}
	d.identity(n)
	base := d.instant(state.Instant{})
	n.Progress = state.Progress{}
	flags := d.progress(&n.Progress, base, state.Version{})
	if !n.Updated.IsSet() || flags&ofChanges != 0 {
		d.fail()
	}
	return d.end("node")
}

// identity reads the beginning of a node, which never changes.
func (d *decoder) identity(n *state.Node) {
	version := d.byte()
	d.known(version, placedVersion)
	b := d.byte()
	flags := b & 15
	n.Kind = state.Kind(b >> 4)
	d.kind(n.Kind)
	n.Declaration = state.Declaration{NoRetry: flags&declNoRetry != 0, NoSkip: flags&declNoSkip != 0}
	n.ParentIndex = d.int(maxInt) - 1
	n.ID = d.id()
	if flags&declMaxLoops != 0 {
		n.MaxLoops = d.int(maxInt)
	}
	if flags&declName != 0 {
		n.Name = d.name()
	}
	if version == placedVersion {
		d.placed(&n.Declaration)
	}
}

// kind checks a kind that was read from a record.
func (d *decoder) kind(k state.Kind) {
	switch {
	case k == 0:
		d.fail()
	case !k.Valid():
		d.later()
	}
}

// appendTask appends a header, without the number, which is in the key.
func appendTask(dst []byte, t *store.Task) []byte {
	dst = append(dst, recordVersion, byte(t.State)|byte(t.Shown)<<4)
	dst = appendID(appendID(appendID(dst, t.Key.Business), t.Key.Task), t.Root)
	dst = appendText(dst, t.Name)
	dst = binary.AppendUvarint(dst, t.Revision)
	dst = binary.AppendUvarint(dst, uint64(t.Nodes))
	for st := state.Created; st <= state.Finished; st++ {
		dst = binary.AppendUvarint(dst, uint64(t.Counts[st]))
	}
	dst = appendMaybe(dst, t.Recorded, state.Instant{})
	dst = appendMaybe(dst, t.Updated, t.Recorded)
	dst = appendMaybe(dst, t.Started, t.Recorded)
	dst = appendMaybe(dst, t.Finished, t.Recorded)
	if t.Pending > 0 || t.Labels != (state.Labels{}) {
		dst = binary.AppendUvarint(dst, uint64(t.Pending))
	}
	if t.Labels != (state.Labels{}) {
		dst = appendLabels(dst, t.Labels)
	}
	return dst
}

func decodeTask(k, v []byte) (store.Task, error) {
	d := unsealed(k, v)
	return d.task(seqOf(k))
}

// task reads what appendTask wrote.
func (d *decoder) task(number uint64) (t store.Task, err error) {
	d.known(d.byte(), recordVersion)
	b := d.byte()
	t.Number, t.State, t.Shown = number, state.State(b&15), state.State(b>>4)
	d.state(t.State)
	d.state(t.Shown)
	t.Key.Business, t.Key.Task, t.Root = d.id(), d.id(), d.id()
	t.Name = d.name()
	t.Revision, t.Nodes = d.uvarint(), d.int(maxInt)
	for st := state.Created; st <= state.Finished; st++ {
		t.Counts[st] = d.int(maxInt)
	}
	t.Recorded = d.maybe(state.Instant{})
	t.Updated, t.Started, t.Finished = d.maybe(t.Recorded), d.maybe(t.Recorded), d.maybe(t.Recorded)
	if d.left() > 0 {
		t.Pending = d.int(maxInt)
	}
	if d.left() > 0 {
		t.Labels = d.labels()
	}
	if !d.bad && (t.Revision < t.Number || t.Validate() != nil) {
		d.fail()
	}
	return t, d.end("task")
}

// place is a task number and the index of a node: the value of the ids bucket.
type place struct {
	number uint64
	index  int
}

func appendPlace(dst []byte, p place) []byte {
	dst = binary.AppendUvarint(append(dst, recordVersion), p.number)
	return binary.AppendUvarint(dst, uint64(p.index))
}

func decodePlace(v []byte) (place, error) {
	d := record(v)
	p := place{d.uvarint(), d.int(maxInt)}
	return p, d.end("id")
}

// appendNumber and decodeNumber are for values that are one number.
func appendNumber(dst []byte, n uint64) []byte {
	return binary.AppendUvarint(append(dst, recordVersion), n)
}

func decodeNumber(v []byte) (uint64, error) {
	d := record(v)
	n := d.uvarint()
	return n, d.end("number")
}

// decodeAttempt reads a record of the attempts bucket.
func decodeAttempt(k, v []byte) (state.Attempt, error) {
	d := sealed(k, v)
	a := d.attempt(state.Instant{}, state.Version{})
	return a, d.end("attempt")
}
