package statusctl

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/state"
)

func TestLinesThatAreRefused(t *testing.T) {
	const start = `{"op":"start","node":"a"`
	for name, line := range map[string]string{
		"not JSON":                             `start a`,
		"half of an object":                    `{"op":"start"`,
		"no object":                            `["start"]`,
		"null":                                 `null`,
		"two objects":                          start + `} ` + start + `}`,
		"something behind the object":          start + `} x`,
		"a comma too many":                     start + `,}`,
		"no UTF-8 in a value":                  "{\"op\":\"start\",\"node\":\"\xff\"}",
		"no UTF-8 in an error":                 "{\"op\":\"fail\",\"node\":\"a\",\"error\":\"\xff\"}",
		"a byte order mark":                    "\ufeff" + start + `}`,
		"an object too deep":                   strings.Repeat(`{"op":`, 20_000),
		"a list too deep":                      `{"op":"batch","ops":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + "}",
		"no op":                                `{"node":"a"}`,
		"an op that is a number":               `{"op":1}`,
		"an op that is null":                   `{"op":null}`,
		"an unknown op":                        `{"op":"restart","node":"a"}`,
		"delete":                               `{"op":"delete","node":"a"}`,
		"an op in capitals":                    `{"op":"START","node":"a"}`,
		"a field name in capitals":             `{"op":"start","NODE":"a"}`,
		"an additional field name in capitals": start + `,"Node":"a"}`,
		"a field twice":                        start + `,"node":"a"}`,
		"a field twice, once escaped":          start + `,"n\u006fde":"a"}`,
		"a node that is missing":               `{"op":"start"}`,
		"a node that is empty":                 `{"op":"start","node":""}`,
		"a node that is a number":              `{"op":"start","node":7}`,
		"a node that is null":                  `{"op":"start","node":null}`,
		"a node that is a list":                `{"op":"start","node":["a"]}`,
		"a node of 129 bytes":                  `{"op":"start","node":"` + strings.Repeat("a", 129) + `"}`,
		"a node with a control character":      `{"op":"start","node":"a\u0085"}`,
		"a node with half a surrogate pair":    `{"op":"start","node":"\ud800"}`,
		"a node with the halves exchanged":     `{"op":"start","node":"\udc00\ud800"}`,
		"a node with half a pair, then a":      `{"op":"start","node":"\ud800a"}`,
		"an actor that is empty":               start + `,"actor":""}`,
		"an actor that is a number":            start + `,"actor":7}`,
		"a version too short":                  start + `,"version":"7447"}`,
		"a version in capitals":                start + `,"version":"7447CC2801B630F497768493C02FB488"}`,
		"a version that is null":               start + `,"version":null}`,
		"idempotent as a string":               start + `,"idempotent":"true"}`,
		"idempotent as a number":               start + `,"idempotent":1}`,
		"idempotent as null":                   start + `,"idempotent":null}`,
		"at as a word":                         start + `,"at":"now"}`,
		"at as a number in a string":           start + `,"at":"1524730114"}`,
		"at as null":                           start + `,"at":null}`,
		"at as true":                           start + `,"at":true}`,
		"at as an object":                      start + `,"at":{}}`,
		"at empty":                             start + `,"at":""}`,
		"at without a zone":                    start + `,"at":"2018-04-26T16:08:34"}`,
		"at with a blank for T":                start + `,"at":"2018-04-26 16:08:34+08:00"}`,
		"at with an hour of one digit":         start + `,"at":"2018-04-26T6:08:34Z"}`,
		"at with a comma":                      start + `,"at":"2018-04-26T16:08:34,5Z"}`,
		"at with an offset of a day":           start + `,"at":"2018-04-26T16:08:34+24:00"}`,
		"at on a day that does not exist":      start + `,"at":"2018-02-30T16:08:34Z"}`,
		"at in the year 0":                     start + `,"at":"0000-12-31T23:59:59Z"}`,
		"at before the year 1 by its zone":     start + `,"at":"0001-01-01T00:00:00+08:00"}`,
		"at after the year 9999 by its zone":   start + `,"at":"9999-12-31T23:59:59-08:00"}`,
		"at in the year 10000":                 start + `,"at":253402300800}`,
		"at before the year 1":                 start + `,"at":-62135596801}`,
		"at in milliseconds of a far day":      start + `,"at":1524730114000000}`,
		"at beyond any number":                 start + `,"at":1e999999999}`,
		"at with an exponent beyond integers":  start + `,"at":1e99999999999999999999}`,
		"at with a thousand digits":            start + `,"at":0.` + strings.Repeat("1", 1000) + `}`,
		"a field of another op":                start + `,"new_version":"7447cc2801b630f497768493c02fb488"}`,
		"error on start":                       start + `,"error":"x"}`,
		"biz on start":                         start + `,"biz":"2"}`,
		"version on create":                    `{"op":"create","biz":"2","task":"10","version":""}`,
		"node on create":                       `{"op":"create","biz":"2","task":"10","node":"p"}`,
		"create without a task":                `{"op":"create","biz":"2"}`,
		"create with a task that is a number":  `{"op":"create","biz":"2","task":10}`,
		"create with an empty ID":              `{"op":"create","biz":"2","task":"10","id":""}`,
		"create with a name that is null":      `{"op":"create","biz":"2","task":"10","name":null}`,
		"create with half a character":         `{"op":"create","biz":"2","task":"\udfff"}`,
		"declare without a parent":             `{"op":"declare","node":"a","kind":"start_event"}`,
		"declare without a kind":               `{"op":"declare","node":"a","parent":"p"}`,
		"declare of an unknown kind":           `{"op":"declare","node":"a","parent":"p","kind":"gateway"}`,
		"declare with an empty ID":             `{"op":"declare","node":"","parent":"p","kind":"start_event"}`,
		"declare with id":                      `{"op":"declare","id":"a","parent":"p","kind":"start_event"}`,
		"retryable as null":                    `{"op":"declare","node":"a","parent":"p","kind":"start_event","retryable":null}`,
		"skippable as a string":                `{"op":"declare","node":"a","parent":"p","kind":"start_event","skippable":"no"}`,
		"max_loops below zero":                 `{"op":"declare","node":"a","parent":"p","kind":"start_event","max_loops":-1}`,
		"max_loops with a point":               `{"op":"declare","node":"a","parent":"p","kind":"start_event","max_loops":1.5}`,
		"max_loops as a string":                `{"op":"declare","node":"a","parent":"p","kind":"start_event","max_loops":"1"}`,
		"max_loops too large":                  `{"op":"declare","node":"a","parent":"p","kind":"start_event","max_loops":2147483648}`,
		"ignore as a number":                   `{"op":"fail","node":"a","ignore":0}`,
		"retry_at as a word":                   `{"op":"fail","node":"a","retry_at":"soon"}`,
		"error as a list":                      `{"op":"fail","node":"a","error":["x"]}`,
		"error as null":                        `{"op":"fail","node":"a","error":null}`,
		"new_version on fail":                  `{"op":"fail","node":"a","new_version":""}`,
		"retry with an error":                  `{"op":"retry","node":"a","error":"x"}`,
		"status without a task":                `{"op":"status","biz":"2"}`,
		"status with an empty business":        `{"op":"status","biz":"","task":"10"}`,
		"status with a time":                   `{"op":"status","biz":"2","task":"10","at":1}`,
		"status with failed_first as null":     `{"op":"status","biz":"2","task":"10","failed_first":null}`,
		"history without a node":               `{"op":"history"}`,
		"history with idempotent":              `{"op":"history","node":"a","idempotent":true}`,
		"a batch without ops":                  `{"op":"batch"}`,
		"a batch of nothing":                   `{"op":"batch","ops":[]}`,
		"a batch of null":                      `{"op":"batch","ops":null}`,
		"a batch of one object":                `{"op":"batch","ops":` + start + `}}`,
		"a batch with a time":                  `{"op":"batch","ops":[` + start + `}],"at":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			req, err := parseRequest([]byte(line))
			if !errors.Is(err, state.ErrInvalidArgument) {
				t.Errorf("parsed as %+v, error %v", req, err)
			}
			if err != nil && len(err.Error()) > 400 {
				t.Errorf("the error repeats the input: %d bytes", len(err.Error()))
			}
		})
	}
}

func TestBatchesThatAreRefusedNameTheOperation(t *testing.T) {
	const fine = `{"op":"start","node":"a"}`
	for name, test := range map[string]struct {
		ops   string
		index int
	}{
		"no object":              {`1`, 0},
		"null":                   {fine + `,null`, 1},
		"nested":                 {fine + `,{"op":"batch","ops":[` + fine + `]}`, 1},
		"status":                 {`{"op":"status","biz":"2","task":"10"}`, 0},
		"history":                {fine + `,` + fine + `,{"op":"history","node":"a"}`, 2},
		"create later":           {fine + `,{"op":"create","biz":"2","task":"10"}`, 1},
		"unknown field":          {fine + `,{"op":"start","node":"a","to":"b"}`, 1},
		"malformed version":      {fine + `,{"op":"start","node":"a","version":"1"}`, 1},
		"the first of two":       {fine + `,{"op":"start"},{"op":"finish"}`, 1},
		"field twice in a batch": {`{"op":"start","node":"a","node":"a"}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := parseRequest([]byte(`{"op":"batch","ops":[` + test.ops + `]}`))
			got := refusal(err, req.batch)
			if got.Code != "invalid_argument" || got.Index == nil || *got.Index != test.index {
				t.Errorf("refusal %+v, want index %d", got, test.index)
			}
		})
	}
}

func TestLinesThatAreAccepted(t *testing.T) {
	const start = `{"op":"start","node":"a"`
	for name, line := range map[string]string{
		"with blanks":                    " \t{ \"op\" : \"start\" , \"node\" : \"a\" } \r",
		"with everything":                start + `,"version":"7447cc2801b630f497768493c02fb488","at":0,"actor":"alice","idempotent":true}`,
		"with the root's version":        start + `,"version":""}`,
		"with escaped names":             `{"\u006fp":"st\u0061rt","n\u006fde":"a"}`,
		"with a surrogate pair":          `{"op":"start","node":"\ud83d\ude00"}`,
		"with an escaped backslash":      `{"op":"start","node":"\\ud800"}`,
		"with the largest ID":            `{"op":"start","node":"` + strings.Repeat("é", 32) + `"}`,
		"with U+2028":                    "{\"op\":\"start\",\"node\":\"\u2028\"}",
		"with an escaped plus":           start + `,"at":"2018-04-26T16:08:34\u002b08:00"}`,
		"a failure without text":         `{"op":"fail","node":"a"}`,
		"a failure with half a pair":     `{"op":"fail","node":"a","error":"\ud800"}`,
		"a declaration with everything":  `{"op":"declare","node":"a","parent":"p","kind":"start_event","name":"","retryable":true,"skippable":false,"max_loops":3,"new_version":"7447cc2801b630f497768493c02fb488","at":"2018-04-26T16:08:34+08:00","actor":"a","idempotent":false}`,
		"a create with no ID":            `{"op":"create","biz":"2","task":"10"}`,
		"a status":                       `{"op":"status","biz":"2","task":"10","failed_first":true}`,
		"a batch that begins by create":  `{"op":"batch","ops":[{"op":"create","biz":"2","task":"10","id":"p"},` + start + `}]}`,
		"a loop with versions":           `{"op":"loop","node":"a","version":"","new_version":"7447cc2801b630f497768493c02fb488"}`,
		"the last moment":                start + `,"at":253402300799.999999999}`,
		"the first moment":               start + `,"at":"0001-01-01T00:00:00Z"}`,
		"a time with more than it takes": start + `,"at":0.30000000000000004}`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parseRequest([]byte(line)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestUnixSecondsAreExact(t *testing.T) {
	for number, want := range map[string]struct {
		sec, nsec int64
	}{
		"0":                    {0, 0},
		"-0":                   {0, 0},
		"1524730114":           {1524730114, 0},
		"1524730114.1":         {1524730114, 100_000_000},
		"1524730114.123456789": {1524730114, 123_456_789},
		"1524730114.999999999": {1524730114, 999_999_999},
		"1524730114.000":       {1524730114, 0},
		"1.524730114e9":        {1524730114, 0},
		"15247301140E-1":       {1524730114, 0},
		"1e-9":                 {0, 1},
		"-0.5":                 {-1, 500_000_000},
		"-1.000000001":         {-2, 999_999_999},
		"0.30000000000000004":  {0, 300_000_000},
		"-62135596800":         {-62135596800, 0},
	} {
		at, ok := parseUnix(number)
		if !ok || at.Unix() != want.sec || int64(at.Nanosecond()) != want.nsec {
			t.Errorf("%s: %d.%09d, %t; want %d.%09d", number, at.Unix(), at.Nanosecond(), ok, want.sec, want.nsec)
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	for op, fields := range protocol {
		line := `{"op":"` + op + `"`
		for name := range strings.FieldsSeq(fields.needs + " " + fields.takes) {
			line += `,"` + name + `":` + values[name][0]
		}
		f.Add([]byte(line + "}"))
	}
	f.Add([]byte(`{"op":"batch","ops":[{"op":"start","node":"\ud83d\ude00"},{"op":"fail","node":"\\ud800","error":"\ud800"}]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		req, err := parseRequest(line)
		if err != nil {
			if !errors.Is(err, state.ErrInvalidArgument) || len(err.Error()) > 1000 {
				t.Errorf("error %v", err)
			}
			return
		}
		parts := 0
		for _, set := range []bool{req.ops != nil, req.status != nil, req.history != nil} {
			if set {
				parts++
			}
		}
		if parts != 1 || req.batch && len(req.ops) == 0 {
			t.Errorf("request %+v", req)
		}
		// encoding/json decides whether a text is JSON, the table which fields it may have.
		var object struct {
			Op  string
			Ops []map[string]any
		}
		var fields map[string]any
		if err := errors.Join(json.Unmarshal(line, &object), json.Unmarshal(line, &fields)); err != nil {
			t.Fatal(err)
		}
		for _, fields := range append(object.Ops, fields) {
			op, _ := fields["op"].(string)
			allowed := strings.Fields("op " + protocol[op].needs + " " + protocol[op].takes)
			for name := range fields {
				if !slices.Contains(allowed, name) {
					t.Errorf("%s takes %q", op, name)
				}
			}
		}
	})
}
