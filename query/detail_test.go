package query_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

func TestANodeHasAllItsAttemptsWithTheirData(t *testing.T) {
	onEach(t, func(t *testing.T, e *engine.Engine) {
		in := engine.In("2", "10")
		record(
			t, e,
			engine.Create("2", "10", engine.ID("root"), engine.Input([]byte(`{"definition":1}`)), at(0)), engine.Start("", in, at(0)),
			engine.Declare("", state.ServiceActivity, engine.ID("n"), engine.Key("build"), in, at(0)),
			engine.Start("build", in, engine.Input([]byte(`"one"`)), at(1)),
			engine.Fail("build", "broke", in, engine.Output([]byte(`{"exit_code":2}`)), at(2)),
			engine.Retry("build", in, at(3)), engine.Start("build", in, engine.Input([]byte("\xff")), at(4)),
			engine.Finish("build", in, at(5)), engine.Loop("build", in, at(6)),
			engine.Create("3", "10", engine.ID("foreign"), at(0)),
		)
	}, func(t *testing.T, r store.Reader) {
		q := query.New(r, &options)
		for _, name := range []string{"n", "build"} {
			d, err := q.Node(t.Context(), "2", "10", name)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, a := range d.Attempts {
				got = append(got, fmt.Sprintf("%s loop=%d retry=%d %q %q %v", a.State, a.Loop, a.Retry, a.Input.Bytes(), a.Output.Bytes(), a.Current))
			}
			want := []string{
				`FAILED loop=1 retry=0 "\"one\"" "{\"exit_code\":2}" false`, `FINISHED loop=1 retry=1 "\xff" "" false`, `RUNNING loop=2 retry=1 "" "" true`,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			body, err := json.Marshal(d)
			var back struct {
				ID       string
				Attempts []map[string]any
			}
			if err := errors.Join(err, json.Unmarshal(body, &back)); err != nil {
				t.Fatal(err)
			}
			if back.ID != "n" || len(back.Attempts) != 3 || back.Attempts[1]["input_base64"] != "/w==" {
				t.Errorf("as JSON: %s", body)
			}
		}
		root, err := q.Node(t.Context(), "2", "10", "root")
		if err != nil || len(root.Attempts) != 1 || string(root.Attempts[0].Input.Bytes()) != `{"definition":1}` {
			t.Errorf("the root: %+v, %v", root, err)
		}
		for _, node := range []string{"foreign", "nothing"} {
			if _, err := q.Node(t.Context(), "2", "10", node); !errors.Is(err, state.ErrNotFound) {
				t.Errorf("%s: %v", node, err)
			}
		}
	})
}
