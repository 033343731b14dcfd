// Package strictjson reads JSON objects as this module takes them from outside:
// names count as they are spelled, and none may repeat. The standard library
// matches names in any case and lets the last of several values win, so that
// two readers of one text may see different things in it.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// What Fields and Object return, possibly wrapped.
var (
	// ErrNotObject says that a text is JSON, but no object.
	ErrNotObject = errors.New("not a JSON object")
	// ErrMore says that something follows the object.
	ErrMore = errors.New("more than one JSON value")
	// ErrTooMany says that an object has more fields than it may.
	ErrTooMany = errors.New("too many fields")
)

// RepeatedError says that an object has two fields of one name.
type RepeatedError struct{ Name string }

// Error quotes the beginning of the name, which came from outside.
func (e *RepeatedError) Error() string {
	name := e.Name
	if len(name) > 64 {
		name = strings.ToValidUTF8(name[:64], "") + "…"
	}
	return fmt.Sprintf("field %q is given twice", name)
}

// Fields reads a text that is one object of at most so many fields, and returns
// the texts of its values by name. Values that are objects are not looked into.
// The error is or wraps [ErrNotObject], [ErrMore], [ErrTooMany], a
// [*RepeatedError], or what encoding/json says about a text that is not JSON.
// It quotes no value.
func Fields(text []byte, most int) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	fields := make(map[string]json.RawMessage)
	there, err := Object(d, func(name string) error {
		if len(fields) == most {
			return fmt.Errorf("%w: more than %d", ErrTooMany, most)
		}
		var value json.RawMessage
		err := d.Decode(&value)
		fields[name] = value
		return err
	})
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, ErrNotObject
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, ErrMore
	}
	return fields, nil
}

// Object reads the next value of d and calls field with the name of each of its
// fields, in order; field reads the field's value from d. there is false if the
// value is null. For errors see [Fields]; those of field are returned as they
// are.
func Object(d *json.Decoder, field func(name string) error) (there bool, err error) {
	t, err := d.Token()
	switch {
	case errors.Is(err, io.EOF):
		return false, io.ErrUnexpectedEOF
	case err != nil || t == nil:
		return false, err
	case t != json.Delim('{'):
		return false, ErrNotObject
	}
	seen := make(map[string]bool)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return true, err
		}
		name, ok := t.(string)
		if !ok {
			return true, fmt.Errorf("%v instead of a name", t)
		}
		if seen[name] {
			return true, &RepeatedError{name}
		}
		seen[name] = true
		if err := field(name); err != nil {
			return true, err
		}
	}
	_, err = d.Token() // the }, for anything else is an error
	return true, err
}
