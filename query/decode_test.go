package query_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Every option changes the JSON, and decoding the JSON restores every value.
func TestStatusAndJSONAgreeForEveryTreeAndOption(t *testing.T) {
	for seed := range uint64(60) {
		tree := randomTree(t, seed, 3+int(seed))
		for variant := range 16 {
			o := options
			o.FailedFirst, o.Keys = variant%2 == 1, variant%3 == 1
			o.Fields = []query.Fields{
				0, query.AllFields, query.FieldElapsedTime | query.FieldExData, query.FieldCounts | query.FieldKind, query.FieldRetryAt, query.FieldErrorIgnored | query.FieldStateRefreshAt | query.FieldRevision,
				query.FieldKey | query.FieldLabels, query.FieldEdges | query.FieldNote,
			}[variant/2]
			q := query.New(nil, &o)
			node := int(seed) % tree.Len()
			appended := q.AppendTree([]byte("before"), tree, node)[len("before"):]
			status := q.StatusOf(tree, node)
			marshalled, err := status.MarshalJSON()
			if err != nil || !bytes.Equal(marshalled, appended) {
				t.Fatalf("seed %d, %+v: marshalled %s (%v), appended %s", seed, o, marshalled, err, appended)
			}
			var decoded query.Status
			if err := json.Unmarshal(appended, &decoded); err != nil {
				t.Fatalf("seed %d: %v in %s", seed, err, appended)
			}
			if diff := cmp.Diff(&decoded, onWire(status, false)); diff != "" {
				t.Fatalf("seed %d: decoded (-) is not what was encoded (+)\n%s", seed, diff)
			}
		}
	}
}

// onWire removes from a status the values that its JSON does not contain; failed
// says that a node above has ex_data.
func onWire(s *query.Status, failed bool) *query.Status {
	c := *s
	has := func(f query.Fields) bool { return c.Fields&f != 0 }
	c.Started, c.Finished = c.Started.Truncate(time.Second), c.Finished.Truncate(time.Second)
	c.Elapsed = c.Elapsed.Truncate(time.Second)
	c.Updated, c.RetryAt = c.Updated.Truncate(time.Second), c.RetryAt.Truncate(time.Second)
	if failed = failed || has(query.FieldExData); !failed || c.OwnState != state.Failed {
		c.OwnState, c.Error = 0, ""
	}
	if !has(query.FieldElapsedTime) {
		c.Elapsed = 0
	}
	if !has(query.FieldKey) {
		c.Key = ""
	}
	if !has(query.FieldEdges) {
		c.After, c.From = nil, ""
	}
	if !has(query.FieldNote) {
		c.Note = ""
	}
	if !has(query.FieldLabels) {
		c.Labels = nil
	}
	if !has(query.FieldErrorIgnored) {
		c.ErrorIgnored = false
	}
	if !has(query.FieldStateRefreshAt) {
		c.Updated = time.Time{}
	}
	if !has(query.FieldRetryAt) {
		c.RetryAt = time.Time{}
	}
	if !has(query.FieldKind) {
		c.Kind = 0
	}
	if !has(query.FieldRevision) {
		c.Revision = 0
	}
	if !has(query.FieldCounts) {
		c.Counts = state.Counts{}
	}
	c.Children = nil
	for _, child := range s.Children {
		c.Children = append(c.Children, onWire(child, failed))
	}
	return &c
}

func TestAStatusKeepsTheTimesThatItsJSONRounds(t *testing.T) {
	at := state.UnixInstant(1524730114, 123456789)
	e := openEngine(t, store.NewMemory(), nil)
	record(t, e, engine.Create("2", "1", engine.ID("root"), engine.At(at.Time())), engine.Start("root", engine.At(at.Time())))
	s, err := query.New(e, &options).Status(t.Context(), "2", "1")
	if err != nil || !s.Started.Equal(at.Time()) || s.Started.Location() != shanghai || !s.Finished.IsZero() {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestAttemptsSurviveJSON(t *testing.T) {
	for _, a := range []query.Attempt{
		{},
		{Loop: 2, Retry: 3, Skip: true, State: state.Failed, Version: `<v>`, Started: begin, Finished: begin.Add(time.Minute), Error: "a\n<b>", Current: true},
	} {
		data, err := a.MarshalJSON()
		if err != nil || bytes.Contains(data, []byte("current")) != a.Current || bytes.Contains(data, []byte(`\u003c`)) {
			t.Errorf("%s, %v", data, err)
		}
		got := query.Attempt{Loop: 9}
		if err := json.Unmarshal(data, &got); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(got, a); diff != "" {
			t.Error(diff)
		}
		before := got
		for _, in := range []string{`{"state":"READY"}`, `{"start_time":"x"}`, `{"finish_time":"x"}`, `{"loop":"1"}`} {
			if err := json.Unmarshal([]byte(in), &got); err == nil || got != before {
				t.Errorf("%s: %v, %+v", in, err, got)
			}
		}
	}
}

func TestStatusMarshalsAsAValueToo(t *testing.T) {
	s := query.Status{ID: "a", State: state.Running, Loop: 1, Children: []*query.Status{nil}}
	for _, v := range []any{s, &s, map[string]query.Status{"": s}, query.Response{Result: true, Data: &s}} {
		got, err := json.Marshal(v)
		if err != nil || !strings.Contains(string(got), `"children":{},"state":"RUNNING","version":"","id":"a","loop":1}`) {
			t.Errorf("%T: %s %v", v, got, err)
		}
	}
	for _, v := range []any{(*query.Status)(nil), (*query.Response)(nil)} {
		if got, err := json.Marshal(v); string(got) != "null" || err != nil {
			t.Errorf("%T: %s %v", v, got, err)
		}
	}
}

func TestResponsesOfOtherServersAreRead(t *testing.T) {
	const node = `{"id":"a","state":"RUNNING","retry":1,"loop":2,"skip":true,"name":"n","version":"v","start_time":"2018-04-26 16:08:34 +0800","finish_time":"2018-04-26T17:08:34.5+08:00","children":`
	leaf := query.Status{ID: "a", State: state.Running, Retry: 1, Loop: 2, Skip: true, Name: "n", Version: "v", Started: begin, Finished: begin.Add(time.Hour)}
	parent := leaf
	parent.Children = []*query.Status{{ID: "z"}, {ID: "b", State: state.Failed}}
	for name, c := range map[string]struct {
		in   string
		want query.Response
	}{
		"any order, space":        {" { \"data\" : " + node + "{}} , \"result\" : true } ", query.Response{Result: true, Data: &leaf}},
		"children in their order": {`{"result":true,"data":` + node + `{"z":{},"b":{"state":"FAILED"}}}}`, query.Response{Result: true, Data: &parent}},
		"unknown fields":          {`{"code":0,"result":true,"data":` + node + `{},"x":[{"children":[]}],"state_":1},"request_id":{"data":1}}`, query.Response{Result: true, Data: &leaf}},
		"null for empty values":   {`{"result":true,"message":null,"data":{"id":null,"state":null,"retry":null,"children":null,"ex_data":null,"counts":null,"elapsed_time":null,"kind":null}}`, query.Response{Result: true, Data: &query.Status{}}},
		"missing fields":          {`{"result":true,"data":{}}`, query.Response{Result: true, Data: &query.Status{}}},
		"refusal":                 {`{"result":false,"message":"no such task"}`, query.Response{Message: "no such task"}},
		"refusal with data":       {`{"result":false,"data":null,"code":3545030,"message":"no"}`, query.Response{Message: "no"}},
		"refusal with other data": {`{"result":false,"data":[1],"message":"no"}`, query.Response{Message: "no"}},
		"null":                    {`null`, query.Response{}},
	} {
		t.Run(name, func(t *testing.T) {
			var got query.Response
			if err := json.Unmarshal([]byte(c.in), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, c.want); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestInvalidResponsesAreRefusedAndChangeNothing(t *testing.T) {
	deep := func(n int) string {
		return `{"result":true,"data":` + strings.Repeat(`{"children":{"a":`, n) + `{}` + strings.Repeat(`}}`, n) + `}`
	}
	for name, c := range map[string]struct{ in, want string }{
		"no object":                        {`[]`, "not a JSON object"},
		"no result":                        {`{"message":"no"}`, "result"},
		"result without data":              {`{"result":true}`, "without data"},
		"result with null data":            {`{"result":true,"data":null}`, "without data"},
		"data that is no object":           {`{"result":true,"data":[]}`, "not a JSON object"},
		"unknown state":                    {`{"result":true,"data":{"state":"READY"}}`, `"READY"`},
		"no time":                          {`{"result":true,"data":{"start_time":"soon"}}`, `"soon"`},
		"an invalid offset":                {`{"result":true,"data":{"start_time":"2018-04-26 16:08:34 +2460"}}`, "+2460"},
		"text for a number":                {`{"result":true,"data":{"retry":"1"}}`, "retry"},
		"a child that is no object":        {`{"result":true,"data":{"children":{"a":1}}}`, "not a JSON object"},
		"a child under a name":             {`{"result":true,"data":{"children":{"a":{"id":"b"}}}}`, `"b"`},
		"the same child twice":             {`{"result":true,"data":{"children":{"a":{},"a":{}}}}`, `"a"`},
		"the same field twice":             {`{"result":true,"data":{"loop":1,"loop":2}}`, `"loop"`},
		"the same error twice":             {`{"result":true,"data":{"ex_data":{"a":"","a":""}}}`, `"a"`},
		"two results":                      {`{"result":true,"data":{},"result":false}`, `"result"`},
		"nested too deeply":                {deep(1001), "too deeply"},
		"a bomb":                           {deep(4000), "too deeply"},
		"deep nesting in an ignored field": {`{"result":true,"data":{"x":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}}`, "depth"},
		"a state of counts":                {`{"result":true,"data":{"counts":{"x":1}}}`, `"x"`},
	} {
		t.Run(name, func(t *testing.T) {
			before := query.Response{Message: "before"}
			got := before
			err := json.Unmarshal([]byte(c.in), &got)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %s", err, c.want)
			}
			if diff := cmp.Diff(got, before); diff != "" {
				t.Errorf("changed: %s", diff)
			}
		})
	}
	var s query.Status
	for _, in := range []string{``, `{`, `{"id":"a"} {}`, `{"id":"a"}]`, `{"id"}`, `{1:2}`, `nul`} {
		if err := s.UnmarshalJSON([]byte(in)); err == nil {
			t.Errorf("%q is read", in)
		}
		if err := new(query.Response).UnmarshalJSON([]byte(in)); err == nil {
			t.Errorf("%q is read as a response", in)
		}
	}
	var ok query.Response
	if err := json.Unmarshal([]byte(deep(999)), &ok); err != nil {
		t.Errorf("999 levels: %v", err)
	}
}

func FuzzDecodeResponse(f *testing.F) {
	o := options
	o.Fields = query.AllFields
	q := query.New(nil, &o)
	for seed := range uint64(4) {
		tree := randomTree(f, seed, 10)
		f.Add(append(q.AppendTree([]byte(`{"result":true,"data":`), tree, 0), '}'))
	}
	for _, in := range []string{`{"result":false,"message":"no"}`, `null`, `{"result":true,"data":{"start_time":"0001-01-01 00:00:00 +0000","elapsed_time":9223372036854775807,"version":"\n"}}`, `{"result":true,"data":{"children":{"a":{"x":[]}}}}`} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var first, second query.Response
		if first.UnmarshalJSON(in) != nil {
			return
		}
		again, err := first.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if err := second.UnmarshalJSON(again); err != nil {
			t.Fatalf("%s was read, but as %s is not: %v", in, again, err)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Errorf("%s comes back different:\n%s", again, diff)
		}
	})
}

// Inputs and outputs of any bytes come back, and their JSON is valid.
func TestDataOfAttemptsSurvivesJSON(t *testing.T) {
	text := rapid.SampledFrom([]string{
		`{"a":"<&>"}`, ` [ 1 , "é" ] `, `null`, `""`, `["` + "\xff" + `"]`, "\xff\x00", `{`,
		strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), strings.Repeat("[", 1000) + strings.Repeat("]", 1000),
	})
	data := rapid.OneOf(
		rapid.Just[*state.Data](nil), rapid.Map(rapid.SliceOf(rapid.Byte()), state.NewData),
		rapid.Map(text, func(s string) *state.Data { return state.NewData([]byte(s)) }),
	)
	rapid.Check(t, func(t *rapid.T) {
		a := query.Attempt{Loop: 1, State: state.Finished, Input: data.Draw(t, "input"), Output: data.Draw(t, "output")}
		direct := comesBack(t, &a, query.Attempt.MarshalJSON)
		comesBack(t, &a, func(a query.Attempt) ([]byte, error) { return json.Marshal(a) })
		var got query.Attempt
		if err := got.UnmarshalJSON(direct); err != nil {
			t.Fatal(err)
		}
		for what, pair := range map[string][2]*state.Data{"input": {a.Input, got.Input}, "output": {a.Output, got.Output}} {
			want, is := pair[0], pair[1]
			if want.IsJSON() { // white space around the value is not part of it
				want, is = state.NewData(bytes.TrimSpace(want.Bytes())), state.NewData(bytes.TrimSpace(is.Bytes()))
			}
			if !want.Equal(is) {
				t.Fatalf("%s %s becomes %s", what, pair[0], pair[1])
			}
		}
	})
}

// comesBack returns the JSON of an attempt, after a check that the attempt read from
// that JSON marshals to the same JSON.
func comesBack(t *rapid.T, a *query.Attempt, marshal func(query.Attempt) ([]byte, error)) []byte {
	first, err := marshal(*a)
	if err != nil || !utf8.Valid(first) || !json.Valid(first) {
		t.Fatalf("%.200q, %v", first, err)
	}
	var back query.Attempt
	if err := json.Unmarshal(first, &back); err != nil {
		t.Fatal(err)
	}
	if second, err := marshal(back); err != nil || !bytes.Equal(second, first) {
		t.Fatalf("%.200q becomes %.200q, %v", first, second, err)
	}
	return first
}

func TestDataOfAttemptsIsReadOrRefused(t *testing.T) {
	for _, in := range []string{`{"input":1,"input_base64":"/w=="}`, `{"output":1,"output_base64":""}`, `{"input_base64":"/w"}`, `{"output_base64":"/x=="}`, `{"input_base64":1}`} {
		a := query.Attempt{Loop: 9}
		if err := a.UnmarshalJSON([]byte(in)); err == nil || a.Loop != 9 {
			t.Errorf("%s: %v, %+v", in, err, a)
		}
	}
}
