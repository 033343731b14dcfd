package httpapi_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/wire"
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

// Answers are JSON in UTF-8 for data of any bytes.
func TestDataOfAnyBytesNeverBreaksAnAnswer(t *testing.T) {
	for _, text := range []string{`["` + "\xff" + `"]`, `{"a":"` + "\xff" + `"}`, `{"` + "\xff" + `":1}`, strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)} {
		f, data := serve(t, nil), []byte(text)
		in := engine.In("2", "10")
		f.record(
			engine.Create("2", "10", engine.ID("root"), engine.Input(data)), engine.Start("", in),
			engine.Declare("", state.ServiceActivity, engine.Key("build"), in), engine.Start("build", in, engine.Input(data)),
			engine.Finish("build", in, engine.Output(data)), engine.Loop("build", in, engine.Input(data)), engine.Finish("build", in, engine.Output(data)),
		)
		inBase64 := base64.StdEncoding.EncodeToString(data)
		for call, times := range map[string]int{
			httpapi.DefaultPrefix + "/get_task_node_detail": 4, httpapi.DefaultPrefix + "/get_task_node_data": 2,
			httpapi.DefaultPrefix + "/get_task_detail": 0, "/api/history": 4,
		} {
			if call == "/api/history" && utf8.Valid(data) {
				times = 0 // a text in that answer
			}
			w := f.get(call, "bk_biz_id", "2", "task_id", "10", "node_id", "build")
			if body := w.Body.String(); w.Code != 200 || !json.Valid([]byte(body)) || !utf8.ValidString(body) || strings.Count(body, inBase64) != times {
				t.Errorf("%s of %.20q: %d %.300q, want %d times %.20q", call, text, w.Code, body, times, inBase64)
			}
		}
	}
}

// paused is a reader that waits before it reads data.
type paused struct {
	store.Reader
	asked, answer chan struct{}
}

func (r paused) Attempts(ctx context.Context, ref store.Ref, q store.AttemptQuery) ([]store.Attempt, error) {
	if q.Data {
		r.asked <- struct{}{}
		<-r.answer
	}
	return r.Reader.Attempts(ctx, ref, q)
}

func TestAnswersWithLargeDataAtOnceAreBounded(t *testing.T) {
	e, err := engine.Open(t.Context(), store.NewMemory(), &engine.Options{Now: clock, Limits: state.Limits{DataBytes: state.MaxDataBytes}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	f := &fixture{T: t, engine: e}
	large := []byte(`"` + string(bytes.Repeat([]byte("x"), 4<<20)) + `"`)
	f.record(
		engine.Create("2", "10", engine.ID("root"), engine.Input(large)), engine.Start("root"),
		engine.Declare("root", state.ServiceActivity, engine.ID("n")), engine.Start("n"), engine.Finish("n", engine.Output(large)),
		engine.Declare("root", state.ServiceActivity, engine.ID("small")), engine.Start("small", engine.Input([]byte("1"))),
	)
	for name, params := range map[string][]string{
		httpapi.DefaultPrefix + "/get_task_node_detail": {"bk_biz_id", "2", "task_id", "10", "node_id", "n"},
		httpapi.DefaultPrefix + "/get_task_node_data":   {"bk_biz_id", "2", "task_id", "10", "node_id", "n"},
		httpapi.DefaultPrefix + "/get_task_detail":      {"bk_biz_id", "2", "task_id", "10"},
		"/api/history":        {"bk_biz_id", "2", "task_id", "10", "node_id", "n"},
		"/api/store/attempts": {"bk_biz_id", "2", "task_id", "10", "data", "true", "limit", "1", "version", strconv.Itoa(wire.Version)},
	} {
		r := paused{e, make(chan struct{}, 10), make(chan struct{})}
		f.handler = handlerOn(r, &httpapi.Options{
			Authenticator: byName{}, AuthorizeStore: func(context.Context, httpapi.Identity, string) bool { return true },
			MaxMemory: 64 << 20, WriteTimeout: 20 * time.Millisecond,
		})
		ask := func(user string, params ...string) chan int {
			code := make(chan int, 1)
			go func() {
				w := f.get(name, append([]string{"bk_username", user}, params...)...)
				if w.Code != 200 && w.Code != 503 {
					t.Errorf("%s: %.500s", name, w.Body)
				}
				code <- w.Code
			}()
			return code
		}
		first := ask("ann", params...)
		select {
		case <-r.asked:
		case code := <-first:
			t.Errorf("%s: answered %d without data", name, code)
			continue
		}
		second := ask("bob", params...)
		select {
		case <-r.asked:
			t.Errorf("%s: a second large one is made at the same time", name)
		case code := <-second:
			if code != 503 {
				t.Errorf("%s: a second large one: %d", name, code)
			}
		}
		close(r.answer)
		if code := <-first; code != 200 {
			t.Errorf("%s: the first: %d", name, code)
		}
		if code := <-ask("bob", params...); code != 200 {
			t.Errorf("%s: after it: %d", name, code)
		}
	}
	// Small data waits for none of this.
	r := paused{e, make(chan struct{}, 10), make(chan struct{})}
	f.handler = handlerOn(r, &httpapi.Options{Authenticator: byName{}, MaxMemory: 64 << 20, WriteTimeout: time.Minute})
	codes := make(chan int)
	for i := range 4 {
		go func() {
			codes <- f.get("/api/history", "bk_username", fmt.Sprint(i), "bk_biz_id", "2", "task_id", "10", "node_id", "small").Code
		}()
	}
	for range 4 {
		<-r.asked
	}
	close(r.answer)
	for range 4 {
		if code := <-codes; code != 200 {
			t.Errorf("small data: %d", code)
		}
	}
}
