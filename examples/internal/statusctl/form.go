package statusctl

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/pipestatus/pipestatus/query/strictjson"
	"github.com/pipestatus/pipestatus/state"
)

// form is an object whose fields are taken out one by one, so that the remaining
// fields are unknown ones. It keeps its first error.
type form struct {
	op     string
	fields map[string]json.RawMessage
	err    error
}

func parseForm(raw []byte) (*form, error) {
	fields, err := parseObject(raw)
	if err != nil {
		return nil, err
	}
	f := &form{fields: fields}
	f.op = f.required("op")
	return f, f.err
}

// maxFields is more than any operation has.
const maxFields = 32

// parseObject reads a JSON object. No field may be given twice.
func parseObject(raw []byte) (map[string]json.RawMessage, error) {
	fields, err := strictjson.Fields(raw, maxFields)
	var repeated *strictjson.RepeatedError
	switch {
	case err == nil:
		return fields, nil
	case errors.As(err, &repeated), errors.Is(err, strictjson.ErrNotObject), errors.Is(err, strictjson.ErrTooMany):
		return nil, invalid("%v", err)
	}
	return nil, invalid("not JSON: %v", err)
}

// fail keeps the first error, which names the operation once it is known.
func (f *form) fail(format string, args ...any) {
	if f.err != nil {
		return
	}
	problem := fmt.Sprintf(format, args...)
	if f.op != "" {
		problem = f.op + ": " + problem
	}
	f.err = invalid("%s", problem)
}

// end is the form's first error, or else one about an unknown field.
func (f *form) end() error {
	for _, name := range slices.Sorted(maps.Keys(f.fields)) {
		f.fail("takes no field %q", brief(name, 64))
	}
	return f.err
}

// take removes a field from the form; given is false if it is absent.
func (f *form) take(name string) (raw json.RawMessage, given bool) {
	raw, given = f.fields[name]
	delete(f.fields, name)
	return raw, given
}

// text takes a string. It refuses escapes of half a surrogate pair, which are no
// character.
func (f *form) text(name string) (s string, given bool) {
	raw, given := f.take(name)
	if !given {
		return "", false
	}
	if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		f.fail("%q is not a string", name)
	} else if loneSurrogate(raw) {
		f.fail("%q has half of a surrogate pair", name)
	}
	return s, true
}

func (f *form) required(name string) string {
	s, given := f.text(name)
	if !given {
		f.fail("%q is missing", name)
	}
	return s
}

// id takes a required ID.
func (f *form) id(name string) string {
	id, given := f.optionalID(name)
	if !given {
		f.fail("%q is missing", name)
	}
	return id
}

// optionalID takes an ID that may be absent, but not empty.
func (f *form) optionalID(name string) (id string, given bool) {
	return f.checked(name, func(id string) error { return state.CheckID(strconv.Quote(name), id) })
}

// checked takes a text that must pass a check.
func (f *form) checked(name string, check func(string) error) (text string, given bool) {
	text, given = f.text(name)
	if given && f.err == nil {
		if err := check(text); err != nil {
			f.err = fmt.Errorf("%s: %w", f.op, err)
		}
	}
	return text, given
}

// message takes a text that is never refused for its characters.
func (f *form) message(name string) (s string) {
	if raw, given := f.take(name); given && (raw[0] != '"' || json.Unmarshal(raw, &s) != nil) {
		f.fail("%q is not a string", name)
	}
	return s
}

// version takes the version of an attempt; "" and absent name none.
func (f *form) version(name string) string {
	version, _ := f.text(name)
	if _, err := state.ParseVersion(version); err != nil {
		f.fail("%q is not 32 lower-case hex digits", name)
	}
	return version
}

func (f *form) flag(name string, absent bool) bool {
	raw, given := f.take(name)
	switch {
	case !given:
		return absent
	case string(raw) == "true":
		return true
	case string(raw) != "false":
		f.fail("%q is neither true nor false", name)
	}
	return false
}

func (f *form) count(name string) int {
	raw, given := f.take(name)
	if !given {
		return 0
	}
	n, err := strconv.ParseInt(string(raw), 10, 32)
	if err != nil || n < 0 {
		f.fail("%q is not a whole number from 0 to %d", name, math.MaxInt32)
	}
	return int(n)
}

// loneSurrogate reports whether a valid JSON string has an escape of half a
// surrogate pair, which encoding/json would replace by U+FFFD.
func loneSurrogate(raw []byte) bool {
	for i := 0; i+1 < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		i++
		first, ok := escaped(raw[i:])
		if !ok || !utf16.IsSurrogate(first) {
			continue
		}
		if i+6 >= len(raw) || raw[i+5] != '\\' {
			return true
		}
		second, ok := escaped(raw[i+6:])
		if !ok || utf16.DecodeRune(first, second) == utf8.RuneError {
			return true
		}
		i += 10
	}
	return false
}

// escaped reads the u and the four digits of an escape.
func escaped(raw []byte) (rune, bool) {
	if len(raw) < 5 || raw[0] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(raw[1:5]), 16, 16)
	return rune(n), err == nil
}
