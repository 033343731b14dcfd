package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/wire"
)

// filled is a value of a type with all fields, at any depth, set to values that are
// not zero and that the format can represent.
func filled(t *testing.T, v reflect.Value) {
	t.Helper()
	if v.Type() == reflect.TypeFor[state.Instant]() {
		v.Set(reflect.ValueOf(state.UnixInstant(1_700_000_000, 7)))
		return
	}
	if v.Type() == reflect.TypeFor[state.Version]() {
		v.Set(reflect.ValueOf(state.VersionOf([16]byte{1, 15: 2})))
		return
	}
	if v.Type() == reflect.TypeFor[state.Edges]() {
		v.Set(reflect.ValueOf(state.EdgesOf(3, 1)))
		return
	}
	if v.Type() == reflect.TypeFor[state.Labels]() {
		v.Set(reflect.ValueOf(state.LabelsOf(map[string]string{"text <&>": "\u2028", "none": ""})))
		return
	}
	if v.Type() == reflect.TypeFor[*state.Data]() {
		v.Set(reflect.ValueOf(state.NewData([]byte("\x00\xff"))))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("text <&> \u2028")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(3)
	case reflect.Uint8: // states, kinds and operations
		v.SetUint(2)
	case reflect.Uint64:
		v.SetUint(1<<63 + 1)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		filled(t, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			filled(t, v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			filled(t, v.Field(i))
		}
	default:
		t.Fatalf("a field of type %s: say how the test fills it", v.Type())
	}
}

// through encodes and decodes a form.
func through[R any](t *testing.T, r R) *R {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	back := new(R)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(back); err != nil {
		t.Fatal(err)
	}
	return back
}

func TestEveryFieldSurvivesEncodingAndDecoding(t *testing.T) {
	var tr state.Transition
	filled(t, reflect.ValueOf(&tr).Elem())
	if got, err := through(t, wire.OfTransition(&tr)).Value(); err != nil || !reflect.DeepEqual(*got, tr) {
		t.Errorf("transition %+v became %+v, %v", tr, got, err)
	}
	var n state.Node
	filled(t, reflect.ValueOf(&n).Elem())
	if got, err := through(t, wire.OfNode(&n)).Node(); err != nil || !reflect.DeepEqual(got, n) {
		t.Errorf("node %+v became %+v, %v", n, got, err)
	}
	var kept store.Attempt
	filled(t, reflect.ValueOf(&kept).Elem())
	for _, kept := range []store.Attempt{
		kept,
		{Attempt: kept.Attempt, Input: kept.Input.Named(), Output: state.NewData([]byte{})},
	} {
		if got, err := through(t, wire.OfKeptAttempt(&kept)).Value(); err != nil || !reflect.DeepEqual(got, kept) {
			t.Errorf("attempt %+v became %+v, %v", kept, got, err)
		}
	}
	altered := wire.OfData(kept.Input)
	*altered.Bytes = []byte("other")
	if _, err := (&wire.KeptAttempt{Attempt: wire.OfAttempt(&kept.Attempt), Input: altered}).Value(); !errors.Is(err, state.ErrInvalidArgument) {
		t.Errorf("other bytes than are named: %v", err)
	}
	var a state.Attempt
	filled(t, reflect.ValueOf(&a).Elem())
	if got, err := through(t, wire.OfAttempt(&a)).Value(); err != nil || !reflect.DeepEqual(got, a) {
		t.Errorf("attempt %+v became %+v, %v", a, got, err)
	}
}

func TestAHeaderSurvivesEncodingAndDecoding(t *testing.T) {
	now := state.UnixInstant(1_700_000_000, 7)
	task := store.Task{
		Key: state.Key{Business: "2", Task: "10"}, Root: "r", Name: "n", Number: 1, Revision: 1<<63 + 1, Shown: state.Running, State: state.Running,
		Pending: 1, Nodes: 9, Labels: state.LabelsOf(map[string]string{"env": "prod"}), Recorded: now, Updated: now, Started: now,
	}
	task.Counts[state.Running], task.Counts[state.Failed] = 3, 2
	if got, err := through(t, wire.OfTask(&task)).Value(); err != nil || !reflect.DeepEqual(got, task) {
		t.Errorf("header %+v became %+v, %v", task, got, err)
	}
	form := wire.OfTask(&task)
	form.Nodes = 1
	if _, err := form.Value(); !errors.Is(err, state.ErrMalformed) {
		t.Errorf("an invalid header: %v", err)
	}
}

func TestInvalidTextsAreErrors(t *testing.T) {
	for name, r := range map[string]wire.Attempt{
		"state": {State: "READY"}, "version": {State: "FAILED", Version: "1"}, "time": {State: "FAILED", Started: "noon"}, "operation": {State: "FAILED", Began: "begun"},
	} {
		if _, err := r.Value(); !errors.Is(err, state.ErrInvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := (&wire.Change{ID: "a", Kind: "pipeline", Attempt: wire.Attempt{State: "FAILED"}}).Node(); !errors.Is(err, state.ErrInvalidArgument) {
		t.Errorf("a change for a node: %v", err)
	}
}

func TestPositionsAndErrorsKeepTheirIdentity(t *testing.T) {
	for _, at := range []store.Position{{}, store.End, {Sequence: 5}, {History: store.NewHistory(), Sequence: 7}} {
		if got, err := wire.ParsePosition(at.String()); err != nil || got != at {
			t.Errorf("%v became %v, %v", at, got, err)
		}
	}
	both := fmt.Errorf("%w and %w", store.ErrCorrupt, state.ErrMalformed)
	back := errors.Join(wire.Errors(append(wire.ErrorNames(both), "of a later version"))...)
	if !errors.Is(back, store.ErrCorrupt) || !errors.Is(back, state.ErrMalformed) || errors.Is(back, store.ErrClosed) {
		t.Errorf("%v became %v", both, back)
	}
}
