package state

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

const (
	// DefaultDataBytes is the most bytes of an input or output, unless
	// [Limits].DataBytes says otherwise.
	DefaultDataBytes = 64 << 10
	// MaxDataBytes is the upper bound of that option.
	MaxDataBytes = 16 << 20
)

// Data is the input or the output of an attempt: bytes that the library does not
// interpret, by convention JSON. Trees and snapshots do not hold it. A transition
// brings it to the store, which keeps it once and returns it with the attempt.
// Transitions that are read from a store hold only its size and digest. A nil *Data
// is no data, which differs from empty data.
type Data struct {
	size   int
	digest [16]byte
	bytes  []byte
}

// NewData is the data b, nil if b is nil. The bytes are not copied and must not
// be modified any more.
func NewData(b []byte) *Data {
	if b == nil {
		return nil
	}
	sum := sha256.Sum256(b)
	return &Data{size: len(b), digest: [16]byte(sum[:16]), bytes: b}
}

// NamedData names data by its size and digest without holding it. A size that
// data cannot have is an error that matches [ErrInvalidArgument].
func NamedData(size int, digest [16]byte) (*Data, error) {
	if size < 0 || size > MaxDataBytes {
		return nil, fmt.Errorf("%w: data of %d bytes", ErrInvalidArgument, size)
	}
	return &Data{size: size, digest: digest}, nil
}

// Size is the number of bytes.
func (d *Data) Size() int { return d.size }

// Digest is the beginning of the SHA-256 of the bytes.
func (d *Data) Digest() [16]byte { return d.digest }

// Bytes are nil if only size and digest are known, and for nil. They must not be
// modified.
func (d *Data) Bytes() []byte {
	if d == nil {
		return nil
	}
	return d.bytes
}

// Named names the same data without holding it; nil for nil.
func (d *Data) Named() *Data {
	if d == nil {
		return nil
	}
	return &Data{size: d.size, digest: d.digest}
}

// Equal reports whether both are the same data by size and digest, or both nil.
func (d *Data) Equal(o *Data) bool {
	if d == nil || o == nil {
		return d == o
	}
	return d.size == o.size && d.digest == o.digest
}

// maxJSONDepth bounds the nesting of what counts as JSON. Decoders, the one of Go
// too, refuse an answer that is nested too deeply as a whole.
const maxJSONDepth = 1000

// IsJSON reports whether the bytes are one JSON value that an answer can hold as it
// is: in valid UTF-8 and nested at most 1,000 deep. White space around the value is
// allowed. It is false for nil and if only size and digest are known.
func (d *Data) IsJSON() bool {
	b := d.Bytes()
	return utf8.Valid(b) && json.Valid(b) && jsonDepth(b) <= maxJSONDepth
}

// jsonDepth is the depth of nesting of valid JSON.
func jsonDepth(b []byte) (most int) {
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++ // the escaped byte, which may be a quote
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[', c == '{':
			depth++
			most = max(most, depth)
		case c == ']', c == '}':
			depth--
		}
	}
	return most
}

// String names the data, such as "12 bytes 5891b5b522d5df08".
func (d *Data) String() string {
	if d == nil {
		return "none"
	}
	return fmt.Sprintf("%d bytes %x", d.size, d.digest[:8])
}

// takesInput and givesOutput report whether an operation can have an input or
// an output.

func (k OpKind) takesInput() bool { return k == Create || k == Start || k == Loop }

func (k OpKind) givesOutput() bool { return k == Finish || k == Fail || k == Skip }

// Input is the input that the transition gave to the attempt of its first change, or
// nil.
func (tr *Transition) Input() *Data {
	if tr.Op.takesInput() {
		return tr.Data
	}
	return nil
}

// Output is the output of the attempt of its first change, or nil.
func (tr *Transition) Output() *Data {
	if tr.Op.givesOutput() {
		return tr.Data
	}
	return nil
}

// validateData checks the data of a transition. It belongs to the attempt of
// the first change, which has at most one input and one output.
func (tr *Transition) validateData() error {
	switch {
	case tr.Data == nil:
		return nil
	case !tr.Op.takesInput() && !tr.Op.givesOutput():
		return fmt.Errorf("%w: a %s with data", ErrMalformed, tr.Op)
	case tr.Op == Start && tr.Changes[0].Index == 0:
		return fmt.Errorf("%w: an input of the root's start", ErrMalformed)
	case tr.Op == Fail && tr.Changes[0].From == Failed:
		return fmt.Errorf("%w: an output of an attempt that had failed", ErrMalformed)
	}
	return nil
}

// errRootInput refuses an input of the root in any operation but its create.
var errRootInput = fmt.Errorf("%w: a task gets its input when it is created", ErrInvalidArgument)

// validateData checks that the operation may have its data, and that the data
// has its bytes.
func (op *Op) validateData() error {
	begins := op.Kind.takesInput() || op.Kind == Begin
	ends := op.Kind.givesOutput() || op.Kind == Report && (op.State == Finished || op.State == Failed)
	switch {
	case op.Input != nil && op.beginsRoot():
		return errRootInput
	case op.Input != nil && !begins:
		return misplaced(op.Kind, "input")
	case op.Output != nil && !ends:
		return misplaced(op.Kind, "output")
	}
	for _, d := range []*Data{op.Input, op.Output} {
		if d != nil && d.bytes == nil {
			return fmt.Errorf("%w: data without its bytes", ErrInvalidArgument)
		}
	}
	return nil
}

// checkData compares the data of an operation with the limits.
func (l Limits) checkData(op *Op) error {
	for _, d := range []*Data{op.Input, op.Output} {
		if d != nil && d.size > l.DataBytes {
			return fmt.Errorf("%w: data of %d bytes, at most %d", ErrInvalidArgument, d.size, l.DataBytes)
		}
	}
	return nil
}

// CheckData returns an error that matches [ErrInvalidArgument] if an
// operation's data is larger than the limits allow.
func (l Limits) CheckData(op *Op) error { return l.withDefaults().checkData(op) }

// data sets the operation's data in its transition.
func (e *edit) data() {
	if e.transition.Data = e.op.Input; e.op.Output != nil {
		e.transition.Data = e.op.Output
	}
}
