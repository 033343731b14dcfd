package strictjson_test

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/query/strictjson"
)

func TestFieldsAreReadAsTheyAreSpelled(t *testing.T) {
	fields, err := strictjson.Fields([]byte(` {"a":1, "A":[{"x":1}],"":null,"\u0062":"t"} `), 4)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a": "1", "A": `[{"x":1}]`, "": "null", "b": `"t"`} {
		if got := string(fields[name]); got != want {
			t.Errorf("field %q is %q, want %q", name, got, want)
		}
	}
	if len(fields) != 4 {
		t.Errorf("fields %v", fields)
	}
}

func TestAFieldThatRepeatsIsRefused(t *testing.T) {
	for _, text := range []string{`{"a":1,"a":1}`, `{"a":1,"b":2,"\u0061":3}`, `{"a":null,"a":1}`, `{"":1,"":2}`} {
		_, err := strictjson.Fields([]byte(text), 9)
		var repeated *strictjson.RepeatedError
		if !errors.As(err, &repeated) {
			t.Errorf("%s: %v", text, err)
		}
	}
	long := `"` + strings.Repeat("é", 100) + `"`
	if _, err := strictjson.Fields([]byte(`{`+long+`:1,`+long+`:2}`), 9); err == nil || len(err.Error()) > 200 {
		t.Errorf("a long name: %v", err)
	}
}

func TestOnlyObjectsAreRead(t *testing.T) {
	for text, want := range map[string]error{
		`[]`: strictjson.ErrNotObject, `1`: strictjson.ErrNotObject, `null`: strictjson.ErrNotObject, `"{}"`: strictjson.ErrNotObject,
		`{} {}`: strictjson.ErrMore, `{}x`: strictjson.ErrMore, `{"a":1}]`: strictjson.ErrMore,
		`{"a":1,"b":2,"c":3}`: strictjson.ErrTooMany,
	} {
		if _, err := strictjson.Fields([]byte(text), 2); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
	for _, text := range []string{``, ` `, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{a:1}`, `{1:1}`, `{"a" 1}`, `{"a":1 "b":2}`, `{"a":01}`, `}`, `{]`} {
		if _, err := strictjson.Fields([]byte(text), 9); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}

func FuzzFields(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":{"b":[1e9]},"c":null}`, `{"a":1,"a":2}`, `{"a":1}{`, `[`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		fields, err := strictjson.Fields(text, 100)
		if err != nil {
			return
		}
		var whole map[string]json.RawMessage
		if err := json.Unmarshal(text, &whole); err != nil || len(whole) != len(fields) {
			t.Errorf("%q is read as %v, though encoding/json says %v, %v", text, fields, whole, err)
		}
	})
}

func TestNamesAreCheckedAtEveryDepth(t *testing.T) {
	var all []string
	note := func(name string) error {
		all = append(all, name)
		return nil
	}
	if err := strictjson.Names([]byte(`{"a":[{"b":{},"c":[[{"a":null}],1]}],"d":"x"}`), 6, note); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(all, ""); got != "abcad" {
		t.Errorf("names %q", got)
	}
	for text, want := range map[string]error{
		`{"a":1,"a":2}`:              new(strictjson.RepeatedError),
		`[{"a":{"b":1,"\u0062":2}}]`: new(strictjson.RepeatedError),
		`{} {}`:                      strictjson.ErrMore,
		`{"a":[1,2}`:                 nil,
		`{"a":`:                      io.ErrUnexpectedEOF,
		``:                           io.ErrUnexpectedEOF,
	} {
		err := strictjson.Names([]byte(text), 3, nil)
		repeated := new(strictjson.RepeatedError)
		switch {
		case err == nil:
			t.Errorf("%s is accepted", text)
		case errors.As(want, &repeated) != errors.As(err, &repeated), want != nil && !errors.As(want, &repeated) && !errors.Is(err, want):
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
}
