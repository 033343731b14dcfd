package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/state"
)

const detailPath = httpapi.DefaultPrefix + "/get_task_node_detail"

func TestRequestsWithinATaskAreAnsweredOrRefused(t *testing.T) {
	f := serve(t, nil)
	f.recordExample()
	f.recordStory()
	for _, tt := range []struct {
		path  string
		query []string
		want  string // in the answer
		code  int    // of a refusal
	}{
		{callPath, []string{"subprocess_id", "sub"}, `"name":"Build"`, 0},
		{callPath, []string{"subprocess_id", ""}, `"name":"Deploy"`, 0},
		{callPath, []string{"subprocess_id", "compile"}, "", 3540400}, // no container
		{callPath, []string{"subprocess_id", exampleRoot}, "", 3540400},
		{callPath, []string{"subprocess_id", "absent"}, "", 3540400},
		{callPath, []string{"loop", "1"}, `"name":"Deploy"`, 0},
		{callPath, []string{"loop", "2"}, "", 3540400},
		{callPath, []string{"loop", "x"}, "", 3540000},
		{callPath, []string{"scope", "project"}, `"name":"Deploy"`, 0},
		{callPath, []string{"scope", "cmdb_biz"}, `"name":"Deploy"`, 0},
		{callPath, []string{"scope", "galaxy"}, "", 3540000},
		{callPath, []string{"with_failed_node_info", "perhaps"}, "", 3540000},
		{detailPath, []string{"node_id", "compile"}, `"loop":2,`, 0},
		{detailPath, []string{"node_id", "compile", "loop", "2"}, `"histories":[]`, 0},
		{detailPath, []string{"node_id", "compile", "loop", "1"}, `"state":"FINISHED","skip":true`, 0},
		{detailPath, []string{"node_id", "compile", "loop", "1"}, `"ex_data":"exit 2"`, 0},
		{detailPath, []string{"node_id", "compile", "loop", "3"}, "", 3540400},
		{detailPath, []string{"node_id", "compile", "scope", "galaxy"}, "", 3540000},
	} {
		w := f.get(tt.path, append(tt.query, "bk_biz_id", "2", "task_id", "11")...)
		if tt.code != 0 {
			if _, code := refused(t, w); code != tt.code || w.Code != 200 {
				t.Errorf("%v: %d %s", tt.query, w.Code, w.Body)
			}
			continue
		}
		if !strings.HasPrefix(w.Body.String(), `{"result":true,`) || !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%v: %s, want %s", tt.query, w.Body, tt.want)
		}
	}
}

func TestFailedNodesShowTheirAutomaticRetries(t *testing.T) {
	f := serve(t, nil)
	f.recordExample()
	f.record(engine.Declare(exampleRoot, state.ServiceActivity, engine.ID("auto")), engine.Start("auto"),
		engine.Fail("auto", "x"), engine.Retry("auto"), engine.Start("auto"), engine.Fail("auto", "x", engine.RetryAt(clock().Add(time.Hour))))
	body := f.get(callPath, "bk_biz_id", "2", "task_id", "10", "with_failed_node_info", "1", "with_auto_retry_status", "1").Body.String()
	for _, want := range []string{
		`"failed_node_info":{"` + exampleActivity + `":{},"auto":{"node_id":"auto","auto_retry_times":1,"max_auto_retry_times":2}}`,
		`"auto_retry_status":{"exist_auto_retry_nodes":true,"auto_retry_nodes":["auto"]}`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in %s", want, body)
		}
	}
	body = f.get(callPath, "bk_biz_id", "2", "task_id", exampleStart, "with_failed_node_info", "1", "with_auto_retry_status", "1").Body.String()
	if !strings.Contains(body, `"failed_node_info":{},"auto_retry_status":{"exist_auto_retry_nodes":false,"auto_retry_nodes":[]}`) {
		t.Errorf("of a node without any: %s", body)
	}
}

func TestANodeOfTheDefinitionHasADetailBeforeItIsRecorded(t *testing.T) {
	f := serve(t, nil)
	const definition = `{"start_event":{"id":"begin","name":"go"},"activities":{"act":{"name":"later"},"sub":{"pipeline":{"gateways":{"deep":{"name":"fork"}}}}}}`
	f.record(engine.Create("2", "10", engine.ID("root"), engine.Input([]byte(definition))))
	for id, name := range map[string]string{"begin": "go", "act": "later", "deep": "fork"} {
		w := f.get(detailPath, "bk_biz_id", "2", "task_id", "10", "node_id", id)
		if body := w.Body.String(); !strings.Contains(body, `"state":"CREATED"`) || !strings.Contains(body, `"name":"`+name+`"`) || !strings.Contains(body, `"histories":[]`) {
			t.Errorf("%s: %s", id, body)
		}
	}
	if _, code := refused(t, f.get(detailPath, "bk_biz_id", "2", "task_id", "10", "node_id", "name")); code != 3540400 {
		t.Errorf("a node of neither: code %d", code)
	}
	if body := f.get(httpapi.DefaultPrefix+"/get_task_detail", "bk_biz_id", "2", "task_id", "10").Body.String(); !strings.Contains(body, `"pipeline_tree":`+definition) {
		t.Errorf("the task's detail: %s", body)
	}
}

func TestTasksAreListedByNameAndProgress(t *testing.T) {
	f := serve(t, nil)
	for i := range 7 {
		id := fmt.Sprint(100 + i)
		f.record(engine.Create("2", id, engine.ID("r"+id), engine.Name([]string{"nightly", "deploy"}[i%2]+" "+id)))
		if i > 1 {
			f.record(engine.Start("r" + id))
		}
		if i > 4 {
			f.record(engine.Finish("r" + id))
		}
	}
	f.record(engine.Create("3", "200"))
	for query, want := range map[string]string{
		"":                            "7: 106 105 104 103 102 101 100",
		"limit=2":                     "7: 106 105",
		"limit=2&offset=3":            "7: 103 102",
		"offset=7":                    "7:",
		"keyword=deploy":              "3: 105 103 101",
		"is_started=false":            "2: 101 100",
		"is_finished=true":            "2: 106 105",
		"is_started=1&is_finished=0":  "3: 104 103 102",
		"without_count=true&limit=1":  "<nil>: 106",
		"keyword=nothing of the sort": "0:",
	} {
		r := request("GET", httpapi.DefaultPrefix+"/get_task_list", nil, "bk_biz_id", "2")
		r.URL.RawQuery += "&" + strings.ReplaceAll(query, " ", "+")
		var answer struct {
			Count any
			Data  []struct{ ID int }
		}
		w := f.do(r)
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprint(answer.Count, ":")
		got = strings.ReplaceAll(got, " :", ":")
		for _, task := range answer.Data {
			got += fmt.Sprint(" ", task.ID)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

func TestATaskWaitsForAPersonWhenANodeDoes(t *testing.T) {
	f := serve(t, nil)
	waits := func() bool {
		t.Helper()
		body := f.do(postJSON(httpapi.DefaultPrefix+"/get_tasks_manual_intervention_state", `{"bk_biz_id":2,"task_id_list":[1]}`)).Body.String()
		return strings.Contains(body, `"manual_intervention_required":true`)
	}
	f.begin("1")
	for _, step := range []struct {
		op    engine.Op
		waits bool
	}{
		{engine.Fail("node-1", "x", engine.RetryAt(clock().Add(time.Hour))), false},
		{engine.Retry("node-1"), false},
		{engine.Suspend("node-1"), true},
		{engine.Resume("node-1"), false},
		{engine.Start("node-1"), false},
		{engine.Fail("node-1", "x"), true},
		{engine.Suspend("root-1"), true},
		{engine.Revoke("root-1"), false},
	} {
		f.record(step.op)
		if got := waits(); got != step.waits {
			t.Errorf("after %v it waits: %v", step.op, got)
		}
	}
}

func TestNumericIDsAreAnsweredAsNumbers(t *testing.T) {
	f := serve(t, nil)
	for id, want := range map[string]string{
		"7": `"id":7,`, "0": `"id":0,`, "007": `"id":"007",`, "-7": `"id":"-7",`, "9007199254740993": `"id":"9007199254740993",`, "1e3": `"id":"1e3",`, "x": `"id":"x",`,
	} {
		f.record(engine.Create("2", id))
		body := f.do(postJSON(httpapi.DefaultPrefix+"/get_tasks_status", `{"bk_biz_id":2,"task_id_list":["`+id+`"]}`)).Body.String()
		if !strings.Contains(body, `[{`+want) {
			t.Errorf("%s: %s", id, body)
		}
	}
}

func TestAMissingPermissionMayHaveACode(t *testing.T) {
	f := serve(t, nil)
	f.handler = handlerOn(f.engine, &httpapi.Options{
		Authenticator: httpapi.NoAuth{}, ForbiddenCode: 9900403,
		Authorize: func(context.Context, httpapi.Identity, string) bool { return false },
	})
	w := f.get(callPath, "bk_biz_id", "2", "task_id", "10")
	if m, code := refused(t, w); w.Code != 200 || code != 9900403 || m != "no permission for this business" {
		t.Errorf("%d %d %s", w.Code, code, m)
	}
}

func TestAGatewayMayHaveAPrefixAndPathsAreExact(t *testing.T) {
	f := serve(t, &httpapi.Options{Authenticator: httpapi.NoAuth{}, GatewayPrefix: "/prod/sops/"})
	f.recordExample()
	f.record(engine.Create("a/b", "c d", engine.ID("odd")))
	for path, status := range map[string]int{
		"/prod/sops/get_task_status/10/2/": 200, "/prod/sops/get_task_status/10/2": 200, "/prod/sops/system/get_task_status/10/2/": 200,
		"/prod/sops/get_task_status/c%20d/a%2Fb/": 200,
		"/get_task_status/10/2/":                  404, "/prod/sops/get_task_status/10/": 404, "/prod/sops/get_task_status/10/2/3/": 404,
		"/prod/sops/get_task_status//2/": 404, "/prod/sops/system/system/get_task_status/10/2/": 404, "/prod/sops/nothing/10/2/": 404,
		"/prod/sops/get_task_status/10/2/?task_id=11": 400, "/prod/sops/get_task_status/10/2/?task_id=10": 200,
	} {
		w := f.do(request("GET", path, nil))
		if w.Code != status || status == 200 && !strings.HasPrefix(w.Body.String(), `{"result":true,`) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestThePageIsFoundWithoutASlash(t *testing.T) {
	f := serve(t, nil)
	mux := http.NewServeMux()
	mux.Handle("/in/status", http.StripPrefix("/in/status", f.handler))
	mux.Handle("/in/status/", http.StripPrefix("/in/status", f.handler))
	server := listen(t, mux)
	for path, end := range map[string]string{"/in/status": "/in/status/", "/in/status?x=1": "/in/status/?x=1", "/in/status/": "/in/status/"} {
		resp, err := server.Client().Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Request.URL.RequestURI(); got != end || resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%s leads to %s: %s", path, got, resp.Status)
		}
	}
}

func TestOtherOriginsAndFramesAreLetInByName(t *testing.T) {
	f := serve(t, nil)
	ask := func(method, origin string) *httptest.ResponseRecorder {
		r := request(method, callPath, nil, "bk_biz_id", "2", "task_id", "10")
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", "POST")
		return f.do(r)
	}
	if w := ask("OPTIONS", "https://portal.example"); w.Code != 405 || w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("by default: %d %v", w.Code, w.Header())
	}
	f.handler = handlerOn(f.engine, &httpapi.Options{
		Authenticator: httpapi.NoAuth{}, Origins: []string{"https://portal.example"}, Frames: []string{"https://portal.example", "x; script-src *"},
	})
	for origin, allowed := range map[string]bool{"https://portal.example": true, "https://portal.example.evil": false, "http://portal.example": false, "null": false} {
		for method, status := range map[string]int{"OPTIONS": 204, "GET": 200} {
			w := ask(method, origin)
			if got := w.Header().Get("Access-Control-Allow-Origin"); (got == origin) != allowed || allowed && w.Code != status {
				t.Errorf("%s from %s: %d, %q", method, origin, w.Code, got)
			}
			if w.Header().Get("Access-Control-Allow-Credentials") != "" {
				t.Error("cookies are let in")
			}
		}
	}
	for _, path := range []string{"/", callPath} {
		header := f.get(path).Header()
		policy := header.Get("Content-Security-Policy")
		if !strings.HasSuffix(policy, "frame-ancestors https://portal.example") || strings.Contains(policy, "script-src *") || header.Get("X-Frame-Options") != "" {
			t.Errorf("%s: %s, %s", path, policy, header.Get("X-Frame-Options"))
		}
	}
}

func TestARequestKeepsItsRequestID(t *testing.T) {
	f := serve(t, nil)
	for given, kept := range map[string]bool{"abc-1.2_X": true, "": false, `a"b`: false, strings.Repeat("x", 65): false, "a b": false} {
		r := request("GET", callPath, nil)
		r.Header.Set("X-Bkapi-Request-Id", given)
		w := f.do(r)
		var answer struct {
			Request string `json:"request_id"`
			Trace   string `json:"trace_id"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || (answer.Request == given) != kept || answer.Request == "" ||
			answer.Trace != "0af7651916cd43dd8448eb211c80319c" || w.Header().Get("X-Bkapi-Request-Id") != answer.Request {
			t.Errorf("%q: %s, %v", given, w.Body, err)
		}
	}
}
