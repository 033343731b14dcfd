package state

import (
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"slices"
)

// Limits of a task's labels.
const (
	// MaxLabels is the most labels of a task.
	MaxLabels = 32
	// MaxLabelKeyBytes is the length limit of a label's key: 1 to 63 bytes of
	// UTF-8 without control characters.
	MaxLabelKeyBytes = 63
	// MaxLabelValueBytes is that of its value: 0 to 255 bytes.
	MaxLabelValueBytes = 255
)

// Labels are keys, each with a value, by which tasks can be found. The zero
// Labels are empty. Labels can be compared with == and never change.
type Labels struct {
	packed string // in the order of the keys; each text with its length before it
}

// LabelsOf are the labels in m.
func LabelsOf(m map[string]string) Labels {
	var packed []byte
	for _, key := range slices.Sorted(maps.Keys(m)) {
		for _, text := range []string{key, m[key]} {
			packed = append(binary.AppendUvarint(packed, uint64(len(text))), text...)
		}
	}
	return Labels{string(packed)}
}

// All iterates over the labels in the order of their keys.
func (l Labels) All() iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		for rest := l.packed; rest != ""; {
			var key, value string
			key, rest = cutText(rest)
			value, rest = cutText(rest)
			if !yield(key, value) {
				return
			}
		}
	}
}

// cutText removes a text, with its length before it, from the front.
func cutText(s string) (text, rest string) {
	size, n := binary.Uvarint([]byte(s[:min(len(s), binary.MaxVarintLen64)]))
	return s[n : n+int(size)], s[n+int(size):]
}

// Len is the number of labels.
func (l Labels) Len() (n int) {
	for range l.All() {
		n++
	}
	return n
}

// Get returns the value of the label with the given key.
func (l Labels) Get(key string) (value string, ok bool) {
	for k, v := range l.All() {
		if k == key {
			return v, true
		}
	}
	return "", false
}

// String lists the labels, such as map[env:prod].
func (l Labels) String() string { return fmt.Sprint(maps.Collect(l.All())) }

// Equal is l == o.
func (l Labels) Equal(o Labels) bool { return l == o }

// Validate returns an error that matches [ErrInvalidArgument] if there are too many
// labels or [CheckLabel] refuses one.
func (l Labels) Validate() error {
	if l == (Labels{}) {
		return nil
	}
	if n := l.Len(); n > MaxLabels {
		return fmt.Errorf("%w: %d labels, at most %d", ErrInvalidArgument, n, MaxLabels)
	}
	for key, value := range l.All() {
		if err := CheckLabel(key, value); err != nil {
			return err
		}
	}
	return nil
}

// CheckLabel returns an error that matches [ErrInvalidArgument] if the key of a label
// is empty, or if its key or value is too long, or not UTF-8 without control characters.
func CheckLabel(key, value string) error {
	if err := checkText("label key", key, MaxLabelKeyBytes); err != nil {
		return err
	}
	if value == "" {
		return nil
	}
	return checkText("value of label "+brief(key), value, MaxLabelValueBytes)
}

// with returns the labels after some were set and others removed.
func (l Labels) with(set Labels, remove []string) Labels {
	next := maps.Collect(l.All())
	maps.Insert(next, set.All())
	for _, key := range remove {
		delete(next, key)
	}
	return LabelsOf(next)
}

// label changes the labels of a task and no node.
func (e *edit) label() error {
	t, op := e.tree, e.op
	i, err := t.target(op)
	if err != nil {
		return err
	}
	next := t.labels.with(op.Labels, op.Unlabel)
	if n := next.Len(); n > MaxLabels {
		return fmt.Errorf("%w: %d labels, at most %d", ErrInvalidArgument, n, MaxLabels)
	}
	if op.Idempotent && next == t.labels {
		e.repeat(i)
		return nil
	}
	t.labels = next
	e.now = op.time()
	e.begin()
	e.transition.Labels = next
	e.finish(i)
	return nil
}
