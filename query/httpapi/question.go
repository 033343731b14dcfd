package httpapi

import (
	"cmp"
	"encoding/json"
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

// question is the parameters of a request as its handler reads them, one after the
// other. It keeps the first error, after which every method returns a zero value; a
// handler looks at err before it uses what it has read.
type question struct {
	params
	err error
}

// fail keeps the first error. It ignores nil.
func (q *question) fail(err error) { q.err = cmp.Or(q.err, err) }

// given is the value of a plain parameter, ok only if it has one.
func (q *question) given(name string) (value string, ok bool) {
	v, there := q.params[name]
	switch {
	case q.err != nil || !there:
		return "", false
	case v.list:
		v.wrong = "a list"
	}
	if v.wrong != "" {
		q.fail(malformed("%s must be a string, not %s", name, v.wrong))
		return "", false
	}
	return v.values[0], true
}

// text is an optional text.
func (q *question) text(name string) string {
	value, _ := q.given(name)
	return value
}

// required is a text that must not be missing or empty.
func (q *question) required(name string) string {
	value := q.text(name)
	if value == "" {
		q.fail(malformed("%s is required", name))
	}
	return value
}

// id is a required parameter that names something.
func (q *question) id(name string) string {
	value := q.required(name)
	q.checkID(name, value)
	return value
}

// nodeID is a required parameter that names a node of a task, by its ID or its
// key.
func (q *question) nodeID(name string) string {
	value := q.required(name)
	if err := state.CheckNodeKey(value); err != nil { // which also an ID is
		q.fail(malformed("%s: %s", name, reason(err)))
	}
	return value
}

// checkID checks an ID, which what names in the message.
func (q *question) checkID(what, id string) {
	if err := state.CheckID(what, id); err != nil {
		q.fail(malformed("%s", reason(err)))
	}
}

// reason is an error of package state without the name of its sentinel.
func reason(err error) string {
	return strings.TrimPrefix(err.Error(), state.ErrInvalidArgument.Error()+": ")
}

// ids is a required list of names, as a JSON array, as a JSON array in a form
// or query, or as a parameter given several times.
func (q *question) ids(name string, limit int) []string {
	v, ok := q.params[name]
	if ok && !v.list && len(v.values) == 1 && strings.HasPrefix(v.values[0], "[") {
		inner := make(params)
		if err := inner.readJSON([]byte(`{"list":` + v.values[0] + `}`)); err != nil {
			q.fail(malformed("%s must be a list of task IDs", name))
		}
		v = inner["list"]
	}
	switch {
	case !ok || !v.list && v.wrong == "" && v.plain() == "":
		q.fail(malformed("%s is required", name))
	case v.wrong != "":
		q.fail(malformed("%s must be a list of task IDs, not %s", name, v.wrong))
	case len(v.values) > limit:
		q.fail(malformed("%s has %d task IDs, at most %d", name, len(v.values), limit))
	}
	// One that repeats is asked for once.
	var values []string
	for _, id := range v.values {
		if q.err == nil && !slices.Contains(values, id) {
			q.checkID("ID in "+name, id)
			values = append(values, id)
		}
	}
	return values
}

// object is an optional JSON object, nil if it is empty.
func (q *question) object(name string) json.RawMessage {
	v, ok := q.params[name]
	raw := v.raw
	switch {
	case !ok:
		return nil
	case raw == nil && v.plain() != "":
		raw = json.RawMessage(v.plain()) // as a form has it
	}
	fields, err := strictjson.Fields(raw, fieldsMax)
	if err != nil {
		q.fail(malformed("%s must be an object", name))
	}
	if len(fields) == 0 {
		return nil
	}
	return raw
}

// optionalFlag is flag with a third value, nil if it is not given.
func (q *question) optionalFlag(name string) *bool {
	if q.text(name) == "" {
		return nil
	}
	value := q.flag(name)
	return &value
}

// scope is the sort of a business ID. There is only one sort here, which stands for
// both.
func (q *question) scope() {
	if value := q.text("scope"); value != "" && value != "cmdb_biz" && value != "project" {
		q.fail(malformed("scope must be cmdb_biz or project"))
	}
}

// flag is an optional true or false.
func (q *question) flag(name string) bool {
	switch strings.ToLower(q.text(name)) {
	case "", "false", "0":
		return false
	case "true", "1":
		return true
	}
	q.fail(malformed("%s must be true or false", name))
	return false
}

// number is an optional integer from 1 to limit.
func (q *question) number(name string, unset, limit int) int {
	value := q.text(name)
	if value == "" {
		return unset
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > limit {
		q.fail(malformed("%s must be a number from 1 to %d", name, limit))
	}
	return n
}

// sequence is an optional number of a transition.
func (q *question) sequence(name string) uint64 {
	text, ok := q.given(name)
	if !ok {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		q.fail(fmt.Errorf("%w: %s is no sequence", state.ErrInvalidArgument, name))
	}
	return n
}

// moment is an optional time in RFC 3339 or Unix seconds.
func (q *question) moment(name string) state.Instant {
	value := q.text(name)
	if value == "" {
		return state.Instant{}
	}
	sec, err := strconv.ParseInt(value, 10, 64)
	at := state.UnixInstant(sec, 0)
	if err != nil {
		var t time.Time
		t, err = time.Parse(time.RFC3339Nano, value)
		at = state.InstantOf(t)
	}
	if err != nil || !at.Valid() {
		q.fail(malformed("%s must be a time in RFC 3339 or in Unix seconds", name))
	}
	return at
}

// states is an optional list of documented states.
func (q *question) states(name string) (list []state.State) {
	for _, text := range q.params[name].values {
		if text == "" {
			continue
		}
		s, err := state.ParseState(strings.ToUpper(text))
		if err != nil {
			q.fail(malformed("%s must be one of CREATED, RUNNING, FAILED, SUSPENDED, REVOKED, FINISHED", name))
		}
		list = append(list, s)
	}
	return list
}
