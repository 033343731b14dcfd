package httpapi_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/state"
)

func TestDetailsHaveTheDataOfEveryAttempt(t *testing.T) {
	f := serve(t, nil)
	in := engine.In("2", "10")
	f.record(
		engine.Create("2", "10", engine.ID("root")), engine.Start("", in),
		engine.Declare("", state.ServiceActivity, engine.ID("n"), engine.Key("build"), in),
		engine.Start("build", in, engine.Input([]byte(`{"branch":"main"}`))),
		engine.Fail("build", "broke", in, engine.Output([]byte(`{"exit_code":2,"lines":"<b>"}`))),
		engine.Retry("build", in), engine.Start("build", in, engine.Input([]byte(`["list"]`))),
		engine.Finish("build", in, engine.Output([]byte("\xff\x00"))),
		engine.Loop("build", in), engine.Finish("build", in, engine.Output([]byte(`[{"key":"k","value":1}]`))),
	)
	type data struct {
		Inputs, Outputs any
		Loop            int
		Histories       []struct {
			Inputs, Outputs any
			Loop            int
		}
	}
	ask := func(call string, params ...string) (d data) {
		t.Helper()
		w := f.get(httpapi.DefaultPrefix+"/"+call, append([]string{"bk_biz_id", "2", "task_id", "10", "node_id", "build"}, params...)...)
		var answer struct {
			Result bool
			Data   data
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || !answer.Result {
			t.Fatalf("%s: %v %s", call, err, w.Body)
		}
		return answer.Data
	}
	type object = map[string]any
	failed := []any{object{"key": "exit_code", "name": "exit_code", "value": 2.0}, object{"key": "lines", "name": "lines", "value": "<b>"}}
	binary := []any{object{"key": "output_base64", "name": "output_base64", "value": "/wA="}}
	list, listed := []any{object{"key": "k", "value": 1.0}}, object{"input": []any{"list"}}
	equal := func(got, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	now := ask("get_task_node_detail")
	equal([]any{now.Loop, now.Inputs, now.Outputs, len(now.Histories)}, []any{2, object{}, any(list), 2})
	equal([]any{now.Histories[0].Inputs, now.Histories[0].Outputs}, []any{object{"branch": "main"}, any(failed)})
	equal([]any{now.Histories[1].Inputs, now.Histories[1].Outputs}, []any{listed, any(binary)})
	first := ask("get_task_node_detail", "loop", "1")
	equal([]any{first.Loop, first.Inputs, first.Outputs, len(first.Histories)}, []any{1, listed, any(binary), 1})
	equal(first.Histories[0].Outputs, any(failed))
	values := ask("get_task_node_data")
	equal([]any{values.Inputs, values.Outputs}, []any{object{}, any(list)})
	values = ask("get_task_node_data", "loop", "1")
	equal([]any{values.Inputs, values.Outputs}, []any{listed, any(binary)})

	var history struct {
		Attempts []map[string]any
	}
	f.data("/api/history?bk_biz_id=2&task_id=10&node_id=build", &history)
	var recorded []any
	for _, a := range history.Attempts {
		recorded = append(recorded, a["input"], a["input_base64"], a["output"], a["output_base64"])
	}
	equal(recorded, []any{
		`{"branch":"main"}`, nil, `{"exit_code":2,"lines":"<b>"}`, nil,
		`["list"]`, nil, nil, "/wA=",
		nil, nil, `[{"key":"k","value":1}]`, nil,
	})
}
