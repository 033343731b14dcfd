package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/query/strictjson"
	"github.com/pipestatus/pipestatus/state"
)

// questionError is an error of an interface parameter. It is an answer: the
// documented envelope with HTTP status 200.
type questionError struct {
	code    int
	message string
}

func (e *questionError) Error() string { return e.message }

func malformed(format string, args ...any) error {
	return &questionError{codeInvalid, fmt.Sprintf(format, args...)}
}

// missing is malformed for a missing parameter.
func missing(format string, args ...any) error {
	return &questionError{codeNotFound, fmt.Sprintf(format, args...)}
}

// given is the value of a plain parameter, ok only if it has one.
func (p params) given(name string) (value string, ok bool, err error) {
	v, there := p[name]
	switch {
	case !there:
		return "", false, nil
	case v.list:
		return "", false, malformed("%s must be a string, not a list", name)
	case v.wrong != "":
		return "", false, malformed("%s must be a string, not %s", name, v.wrong)
	}
	return v.values[0], true, nil
}

// id is a required parameter that names something.
func (p params) id(name string) (string, error) {
	value, ok, err := p.given(name)
	if err != nil {
		return "", err
	}
	if !ok || value == "" {
		return "", malformed("%s is required", name)
	}
	return value, checkID(name, value)
}

// nodeID is a required parameter that names a node of a task, by its ID or its
// key.
func (p params) nodeID(name string) (string, error) {
	value, ok, err := p.given(name)
	if err != nil {
		return "", err
	}
	if !ok || value == "" {
		return "", malformed("%s is required", name)
	}
	if err := state.CheckNodeKey(value); err != nil { // which also an ID is
		return "", malformed("%s: %s", name, strings.TrimPrefix(err.Error(), state.ErrInvalidArgument.Error()+": "))
	}
	return value, nil
}

func checkID(name, value string) error {
	if err := state.CheckID(name, value); err != nil {
		return malformed("%s", strings.TrimPrefix(err.Error(), state.ErrInvalidArgument.Error()+": "))
	}
	return nil
}

// ids is a required list of names, as a JSON array, as a JSON array in a form
// or query, or as a parameter given several times.
func (p params) ids(name string, limit int) ([]string, error) {
	v, ok := p[name]
	if ok && !v.list && len(v.values) == 1 && strings.HasPrefix(v.values[0], "[") {
		inner := make(params)
		if err := inner.readJSON([]byte(`{"list":` + v.values[0] + `}`)); err != nil {
			return nil, malformed("%s must be a list of task IDs", name)
		}
		v = inner["list"]
	}
	switch {
	case !ok || !v.list && v.wrong == "" && v.plain() == "":
		return nil, malformed("%s is required", name)
	case v.wrong != "":
		return nil, malformed("%s must be a list of task IDs, not %s", name, v.wrong)
	}
	// One that repeats is asked for once.
	seen := make(map[string]bool)
	values := slices.DeleteFunc(slices.Clone(v.values), func(id string) bool {
		repeats := seen[id]
		seen[id] = true
		return repeats
	})
	if len(v.values) > limit {
		return nil, malformed("%s has %d task IDs, at most %d", name, len(v.values), limit)
	}
	for _, id := range values {
		if err := checkID("ID in "+name, id); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// object is an optional JSON object, nil if it is empty.
func (p params) object(name string) (json.RawMessage, error) {
	v, ok := p[name]
	raw := v.raw
	switch {
	case !ok:
		return nil, nil
	case raw == nil && v.plain() != "":
		raw = json.RawMessage(v.plain()) // as a form has it
	}
	fields, err := strictjson.Fields(raw, fieldsMax)
	if err != nil {
		return nil, malformed("%s must be an object", name)
	}
	if len(fields) == 0 {
		return nil, nil
	}
	return raw, nil
}

// optionalFlag is flag with a third value, nil if it is not given.
func (p params) optionalFlag(name string) (*bool, error) {
	if p.plain(name) == "" {
		_, _, err := p.given(name)
		return nil, err
	}
	value, err := p.flag(name)
	return &value, err
}

// scope is the sort of a business ID. There is only one sort here, which stands for
// both.
func (p params) scope() error {
	switch value, _, err := p.given("scope"); {
	case err != nil:
		return err
	case value != "" && value != "cmdb_biz" && value != "project":
		return malformed("scope must be cmdb_biz or project")
	}
	return nil
}

// flag is an optional true or false.
func (p params) flag(name string) (bool, error) {
	value, _, err := p.given(name)
	if err != nil {
		return false, err
	}
	switch strings.ToLower(value) {
	case "", "false", "0":
		return false, nil
	case "true", "1":
		return true, nil
	}
	return false, malformed("%s must be true or false", name)
}

// number is an optional integer from 1 to limit.
func (p params) number(name string, unset, limit int) (int, error) {
	value, ok, err := p.given(name)
	if err != nil || !ok || value == "" {
		return unset, err
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > limit {
		return 0, malformed("%s must be a number from 1 to %d", name, limit)
	}
	return n, nil
}

// moment is an optional time in RFC 3339 or Unix seconds.
func (p params) moment(name string) (state.Instant, error) {
	value, ok, err := p.given(name)
	if err != nil || !ok || value == "" {
		return state.Instant{}, err
	}
	at, err := parseMoment(value)
	if err != nil || !at.Valid() {
		return state.Instant{}, malformed("%s must be a time in RFC 3339 or in Unix seconds", name)
	}
	return at, nil
}

func parseMoment(value string) (state.Instant, error) {
	if sec, err := strconv.ParseInt(value, 10, 64); err == nil {
		return state.UnixInstant(sec, 0), nil
	}
	t, err := time.Parse(time.RFC3339Nano, value)
	if err != nil {
		return state.Instant{}, errors.New("malformed")
	}
	return state.InstantOf(t), nil
}

// states is an optional list of documented states.
func (p params) states(name string) ([]state.State, error) {
	var list []state.State
	for _, text := range p[name].values {
		if text == "" {
			continue
		}
		s, err := state.ParseState(strings.ToUpper(text))
		if err != nil {
			return nil, malformed("%s must be one of CREATED, RUNNING, FAILED, SUSPENDED, REVOKED, FINISHED", name)
		}
		list = append(list, s)
	}
	return list, nil
}
