package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/pipestatus/pipestatus/query/strictjson"
)

// params are the parameters of a request, each a list of texts: one for a
// plain value, any number for a JSON array. For a JSON value that is neither, the
// error is kept.
type params map[string]param

type param struct {
	values []string
	list   bool            // given as a JSON array
	wrong  string          // the type of a value that no parameter can have
	raw    json.RawMessage // the text of an object, which few parameters can be
}

// plain is the value, "" if it is missing, a list or malformed.
func (v param) plain() string {
	if v.wrong != "" || v.list || len(v.values) == 0 {
		return ""
	}
	return v.values[0]
}

// AuthHeader is the header that holds the general parameters as a JSON object.
const AuthHeader = "X-Bkapi-Authorization"

var generalNames = []string{"bk_app_code", "bk_app_secret", "bk_token", "bk_username", "access_token", "app_code", "app_secret"}

// requestError is an unreadable request.
type requestError struct {
	status  int
	message string
}

func (e *requestError) Error() string { return e.message }

func badRequest(format string, args ...any) error {
	return &requestError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// readParams reads the parameters of a request from all places but the body and
// the path, which have been read already.
func readParams(r *http.Request, body []byte, inPath params) (params, error) {
	p := make(params)
	for _, text := range r.Header.Values(AuthHeader) {
		given := make(params)
		if err := given.readJSON([]byte(text)); err != nil {
			return nil, badRequest("header %s: %s", AuthHeader, err)
		}
		for name := range given {
			if !slices.Contains(generalNames, name) {
				delete(given, name)
			}
		}
		if err := p.merge(given); err != nil {
			return nil, err
		}
	}
	if r.Method == http.MethodPost {
		given, err := bodyParams(r, body)
		if err != nil {
			return nil, err
		}
		if err := p.merge(given); err != nil {
			return nil, err
		}
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("the query is malformed")
	}
	if err := p.merge(ofValues(values)); err != nil {
		return nil, err
	}
	if err := p.merge(inPath); err != nil {
		return nil, err
	}
	// Some clients of gateways leave the prefix out.
	for _, name := range []string{"app_code", "app_secret"} {
		if v, ok := p[name]; ok {
			if err := p.merge(params{"bk_" + name: v}); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

func bodyParams(r *http.Request, body []byte) (params, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, nil
	}
	p := make(params)
	if len(r.Header.Values("Content-Type")) > 1 {
		return nil, badRequest("header Content-Type is given more than once")
	}
	switch contentType(r) {
	case "application/json":
		if err := p.readJSON(body); err != nil {
			return nil, badRequest("body: %s", err)
		}
	case "application/x-www-form-urlencoded":
		values, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, badRequest("body: the form is malformed")
		}
		p = ofValues(values)
	default:
		return nil, &requestError{http.StatusUnsupportedMediaType, "the body must be application/json or application/x-www-form-urlencoded"}
	}
	return p, nil
}

// contentType is the content type of a body, JSON by default.
func contentType(r *http.Request) string {
	header := r.Header.Get("Content-Type")
	if header == "" {
		return "application/json"
	}
	t, _, err := mime.ParseMediaType(header)
	if err != nil {
		return ""
	}
	return t
}

func ofValues(values url.Values) params {
	p := make(params, len(values))
	for name, v := range values {
		p[name] = param{values: v}
	}
	return p
}

// fieldsMax is more than any request has fields.
const fieldsMax = 256

// readJSON reads an object. Errors quote no value, since it may be a secret.
func (p params) readJSON(text []byte) error {
	fields, err := strictjson.Fields(text, fieldsMax)
	var repeated *strictjson.RepeatedError
	switch {
	case errors.As(err, &repeated), errors.Is(err, strictjson.ErrMore), errors.Is(err, strictjson.ErrTooMany):
		return err
	case err != nil:
		return strictjson.ErrNotObject
	}
	for name, raw := range fields {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber() // numbers are IDs: all digits count
		var v any
		if err := d.Decode(&v); err != nil {
			return strictjson.ErrNotObject
		}
		switch v := v.(type) {
		case nil: // as if it were not given
			if name == "node_id" {
				// Without a node, an operation is one on the whole task.
				p[name] = param{wrong: "null"}
			}
		case []any:
			p[name] = listOf(v)
		default:
			text, wrong := scalar(v)
			p[name] = param{values: []string{text}, wrong: wrong, raw: object(v, raw)}
		}
	}
	return nil
}

// object is raw if it is an object.
func object(v any, raw json.RawMessage) json.RawMessage {
	if _, ok := v.(map[string]any); ok {
		return raw
	}
	return nil
}

func listOf(elements []any) param {
	list := param{list: true}
	for _, e := range elements {
		text, wrong := scalar(e)
		if wrong != "" {
			list.wrong = "a list with " + wrong
		}
		list.values = append(list.values, text)
	}
	return list
}

// scalar is a JSON value as the text of a parameter.
func scalar(v any) (text, wrong string) {
	switch v := v.(type) {
	case string:
		return v, ""
	case bool:
		if v {
			return "true", ""
		}
		return "false", ""
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return "", "a number that is no integer"
		}
		return v.String(), ""
	case nil:
		return "", "null"
	case []any:
		return "", "a list"
	}
	return "", "an object"
}

// merge adds the parameters of another place. A parameter with two different
// values is refused: a gateway in front may have looked at the other one.
func (p params) merge(more params) error {
	for name, v := range more {
		old, given := p[name]
		if given && !old.equal(v) || !v.list && !repeatable[name] && !v.single() {
			return badRequest("%s is given more than once, with different values", shorten(name))
		}
		p[name] = v
	}
	return nil
}

// repeatable parameters may be given several times in a query.
var repeatable = map[string]bool{"state": true, "task_id_list": true}

func (v param) equal(w param) bool {
	return v.wrong == "" && w.wrong == "" && v.list == w.list && slices.Equal(v.values, w.values)
}

// single reports whether all values are the same.
func (v param) single() bool { return len(slices.Compact(slices.Clone(v.values))) <= 1 }

// shorten cuts a client's text for a message.
func shorten(s string) string {
	if len(s) > 64 {
		s = strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}

// general takes the general parameters. A malformed one counts as missing, because a
// message would not be clearer.
func (p params) general() Credentials {
	return Credentials{
		AppCode: p.plain("bk_app_code"), AppSecret: p.plain("bk_app_secret"),
		Token: p.plain("bk_token"), Username: p.plain("bk_username"), AccessToken: p.plain("access_token"),
	}
}

// plain is a parameter's value, "" if it is missing, a list or malformed.
func (p params) plain(name string) string { return p[name].plain() }
