// Package strictjson reads JSON objects that come from outside this module. Field
// names are case-sensitive and must not repeat. The standard library ignores case
// and takes the last of several values, which lets two readers of one text see
// different values.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Errors of this package, possibly wrapped.
var (
	// ErrNotObject says that a text is JSON but not an object.
	ErrNotObject = errors.New("not a JSON object")
	// ErrMore says that something follows the object.
	ErrMore = errors.New("more than one JSON value")
	// ErrTooMany says that an object has more fields than it may.
	ErrTooMany = errors.New("too many fields")
	// ErrTooDeep says that a text is nested more deeply than it may.
	ErrTooDeep = errors.New("nested too deeply")
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
// value is null. For errors see [Fields]; those of field are returned unchanged.
func Object(d *json.Decoder, field func(name string) error) (there bool, err error) {
	t, err := token(d)
	switch {
	case err != nil || t == nil:
		return false, err
	case t != json.Delim('{'):
		return false, ErrNotObject
	}
	return true, fields(d, field)
}

// fields is Object after the opening brace.
func fields(d *json.Decoder, field func(name string) error) error {
	seen := make(map[string]bool)
	for d.More() {
		t, err := token(d)
		if err != nil {
			return err
		}
		name, ok := t.(string)
		if !ok {
			return fmt.Errorf("%v instead of a name", t)
		}
		if seen[name] {
			return &RepeatedError{name}
		}
		seen[name] = true
		if err := field(name); err != nil {
			return err
		}
	}
	_, err := token(d) // the }, for anything else is an error
	return err
}

// token reads a required token: the end of the text is an error.
func token(d *json.Decoder) (json.Token, error) {
	t, err := d.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return t, err
}

// Names reads a text that is one value and calls check with every name of every
// object in it, up to the given depth. Call it before decoding the text with
// encoding/json. check may be nil. For errors see [Fields]; in addition it returns
// [ErrTooDeep], and errors of check unchanged.
func Names(text []byte, depth int, check func(name string) error) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if err := names(d, depth, check); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return ErrMore
	}
	return nil
}

func names(d *json.Decoder, depth int, check func(name string) error) error {
	t, err := token(d)
	if err != nil || t != json.Delim('{') && t != json.Delim('[') {
		return err
	}
	if depth--; depth < 0 {
		return ErrTooDeep
	}
	if t == json.Delim('{') {
		return fields(d, func(name string) error {
			if check != nil {
				if err := check(name); err != nil {
					return err
				}
			}
			return names(d, depth, check)
		})
	}
	for d.More() {
		if err := names(d, depth, check); err != nil {
			return err
		}
	}
	_, err = token(d)
	return err
}
