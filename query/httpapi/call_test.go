package httpapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/httpapi"
)

func TestTheCallsAnswerInTheDocumentedShapes(t *testing.T) {
	f := serve(t, nil)
	f.recordExample()
	f.recordStory()
	prefix := httpapi.DefaultPrefix
	for _, tt := range []struct {
		name string
		r    *http.Request
	}{
		{"get_task_status", request("GET", callPath, nil, "bk_biz_id", "2", "task_id", "10")},
		{"get_task_status_of_node", request("GET", callPath, nil, "bk_biz_id", "2", "task_id", exampleActivity)},
		{"get_task_status_ex_data", request("GET", callPath, nil, "bk_biz_id", "2", "task_id", "10", "with_ex_data", "true")},
		{"get_task_status_not_found", request("GET", callPath, nil, "bk_biz_id", "2", "task_id", "12")},
		{"get_tasks_status", postJSON(prefix+"/get_tasks_status/", `{"bk_biz_id":"2","task_id_list":[11,"12",10]}`)},
		{"get_tasks_status_children", postJSON(prefix+"/get_tasks_status/", `{"bk_biz_id":"2","task_id_list":[10],"include_children_status":true}`)},
		{"get_task_node_detail", request("GET", prefix+"/get_task_node_detail/", nil, "bk_biz_id", "2", "task_id", "11", "node_id", "compile")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := f.do(tt.r)
			if got := w.Header().Get("Content-Type"); w.Code != 200 || got != "application/json; charset=utf-8" {
				t.Errorf("status %d, content type %q", w.Code, got)
			}
			golden(t, tt.name, w.Body.Bytes())
		})
	}
}

// The golden file of get_task_status is the specification's example.
func TestTheExampleIsAnsweredAsDocumented(t *testing.T) {
	f := serve(t, nil)
	f.recordExample()
	const want = `{"result":true,"data":{"retry":0,"name":"<class 'pipeline.core.pipeline.Pipeline'>","finish_time":"","skip":false,"start_time":"2018-04-26 16:08:34 +0800","children":{` +
		`"62d4784e20483f1585149ce90ed954c9":{"retry":0,"name":"<class 'pipeline.core.flow.event.EmptyStartEvent'>","finish_time":"2018-04-26 16:08:34 +0800","skip":false,"start_time":"2018-04-26 16:08:34 +0800","children":{},"state":"FINISHED","version":"7447cc2801b630f497768493c02fb488","id":"62d4784e20483f1585149ce90ed954c9","loop":1},` +
		`"e8b128dff46637368b9b1bd921abc14e":{"retry":0,"name":"<class 'pipeline.core.flow.activity.ServiceActivity'>","finish_time":"2018-04-26 16:08:46 +0800","skip":false,"start_time":"2018-04-26 16:08:34 +0800","children":{},"state":"FAILED","version":"914d35fe7d143c2186e6d3532870b37d","id":"e8b128dff46637368b9b1bd921abc14e","loop":1}},` +
		`"state":"FAILED","version":"","id":"5a1622f9f43e3429acb604e18dbd100a","loop":1}}`
	for name, r := range map[string]*http.Request{
		"GET":            request("GET", callPath, nil, "bk_biz_id", "2", "task_id", "10"),
		"without slash":  request("GET", strings.TrimSuffix(callPath, "/"), nil, "bk_biz_id", "2", "task_id", "10"),
		"POST query":     request("POST", callPath, nil, "bk_biz_id", "2", "task_id", "10"),
		"POST JSON":      postJSON(callPath, `{"bk_biz_id":"2","task_id":"10"}`),
		"POST numbers":   postJSON(callPath, `{"bk_biz_id":2,"task_id":10}`),
		"POST form":      post(callPath, "application/x-www-form-urlencoded; charset=utf-8", "bk_biz_id=2&task_id=10"),
		"POST no type":   post(callPath, "", `{"bk_biz_id":"2","task_id":"10"}`),
		"POST and query": post(callPath+"?bk_biz_id=2", "application/json; charset=utf-8", `{"task_id":10,"bk_biz_id":"2"}`),
	} {
		if w := f.do(r); w.Code != 200 || inProcess(t, w.Body.Bytes()) != want {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestThePrefixIsConfigurable(t *testing.T) {
	f := serve(t, &httpapi.Options{Authenticator: httpapi.NoAuth{}, Prefix: "/v2/sops/"})
	f.recordExample()
	if w := f.get("/v2/sops/get_task_status", "bk_biz_id", "2", "task_id", "10"); w.Code != 200 {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	if w := f.get(callPath, "bk_biz_id", "2", "task_id", "10"); w.Code != 404 {
		t.Errorf("under the default prefix: status %d", w.Code)
	}
}

func TestBigIntegersAreExact(t *testing.T) {
	f := serve(t, nil)
	const task = "123456789012345678901234567890"
	f.record(engine.Create("9007199254740993", task, engine.ID("big")))
	w := f.do(postJSON(callPath, `{"bk_biz_id":9007199254740993,"task_id":`+task+`}`))
	if !strings.Contains(w.Body.String(), `"id":"big"`) {
		t.Errorf("answer %s", w.Body)
	}
	if m := refusal(t, f.do(postJSON(callPath, `{"bk_biz_id":9007199254740992,"task_id":`+task+`}`))); !strings.Contains(m, "no task") {
		t.Errorf("message %q for a neighbor's number", m)
	}
}

func TestAParameterThatIsMissingOrMalformedIsNamed(t *testing.T) {
	f := serve(t, nil)
	tasks, detail := httpapi.DefaultPrefix+"/get_tasks_status", httpapi.DefaultPrefix+"/get_task_node_detail"
	long := strings.Repeat("x", 129)
	for _, tt := range []struct {
		path, body string
		status     int
		message    string
	}{
		{callPath, ``, 200, "bk_biz_id is required"},
		{callPath, `{}`, 200, "bk_biz_id is required"},
		{callPath, `{"bk_biz_id":"","task_id":"1"}`, 200, "bk_biz_id is required"},
		{callPath, `{"bk_biz_id":null,"task_id":"1"}`, 200, "bk_biz_id is required"},
		{callPath, `{"bk_biz_id":"2"}`, 200, "task_id is required"},
		{callPath, `{"bk_biz_id":"2","task_id":1.5}`, 200, "task_id must be a string, not a number that is no integer"},
		{callPath, `{"bk_biz_id":"2","task_id":1e3}`, 200, "task_id must be a string, not a number that is no integer"},
		{callPath, `{"bk_biz_id":"2","task_id":["1"]}`, 200, "task_id must be a string, not a list"},
		{callPath, `{"bk_biz_id":{"a":1},"task_id":"1"}`, 200, "bk_biz_id must be a string, not an object"},
		{callPath, `{"bk_biz_id":"2","task_id":"` + long + `"}`, 200, "task_id of 129 bytes, at most 128"},
		{callPath, `{"bk_biz_id":"2","task_id":"a\nb"}`, 200, `task_id "a\nb" has a control character`},
		{callPath, `{"bk_biz_id":"2","task_id":"1","with_ex_data":"perhaps"}`, 200, "with_ex_data must be true or false"},
		{callPath, `{"bk_biz_id":"2","task_id":"1"}`, 200, `business "2" has no task or node "1"`},
		{callPath, `{"bk_biz_id":`, 400, "body: not a JSON object"},
		{callPath, `[1]`, 400, "body: not a JSON object"},
		{callPath, `null`, 400, "body: not a JSON object"},
		{callPath, `{} {}`, 400, "body: more than one JSON value"},
		{callPath + "?task_id=2", `{"bk_biz_id":"2","task_id":"1"}`, 400, "task_id is given more than once, with different values"},
		{callPath + "?task_id=2&task_id=1", `{"bk_biz_id":"2"}`, 400, "task_id is given more than once, with different values"},
		{callPath + "?task_id=%zz", `{"bk_biz_id":"2"}`, 400, "the query is malformed"},
		{tasks, `{"bk_biz_id":"2"}`, 200, "task_id_list is required"},
		{tasks, `{"bk_biz_id":"2","task_id_list":{}}`, 200, "task_id_list must be a list of task IDs, not an object"},
		{tasks, `{"bk_biz_id":"2","task_id_list":["1",[2]]}`, 200, "task_id_list must be a list of task IDs, not a list with a list"},
		{tasks, `{"bk_biz_id":"2","task_id_list":["1",""]}`, 200, "ID in task_id_list is empty"},
		{tasks, `{"bk_biz_id":"2","task_id_list":[` + strings.Repeat("1,", 50) + `1]}`, 200, "task_id_list has 51 task IDs, at most 50"},
		{detail, `{"bk_biz_id":"2","task_id":"1"}`, 200, "node_id is required"},
		{detail, `{"bk_biz_id":"2","task_id":"1","node_id":"x"}`, 200, `business "2" has no task or node "1"`},
	} {
		w := f.do(postJSON(tt.path, tt.body))
		if m := refusal(t, w); w.Code != tt.status || m != tt.message {
			t.Errorf("%s %s: %d %q, want %d %q", tt.path, tt.body, w.Code, m, tt.status, tt.message)
		}
	}
}

func TestAParameterThatIsGivenTwiceIsRefused(t *testing.T) {
	f := serve(t, nil)
	f.recordExample()
	const form = "application/x-www-form-urlencoded"
	header := func(values ...string) *http.Request {
		r := request("GET", callPath, nil, "bk_biz_id", "2", "task_id", "10")
		r.Header["X-Bkapi-Authorization"] = values
		return r
	}
	events := request("GET", "/api/events", nil, "bk_biz_id", "2", "task_id", "10")
	events.Header["Last-Event-Id"] = []string{"0", "1"}
	kinds := postJSON(callPath, `{"bk_biz_id":2,"task_id":10}`)
	kinds.Header.Add("Content-Type", form)
	for name, r := range map[string]*http.Request{
		"in a body":                  postJSON(callPath, `{"bk_biz_id":2,"task_id":"10","task_id":"11"}`),
		"in a body, once escaped":    postJSON(callPath, `{"bk_biz_id":2,"task_id":"11","task\u005fid":"10"}`),
		"in a body, once null":       postJSON(callPath, `{"bk_biz_id":2,"task_id":"10","bk_biz_id":null}`),
		"in a body, an unknown one":  postJSON(callPath, `{"bk_biz_id":2,"task_id":"10","x":1,"x":1}`),
		"in a form":                  post(callPath, form, "bk_biz_id=2&task_id=10&task_id=11"),
		"in body and query":          postJSON(callPath+"?bk_biz_id=3", `{"bk_biz_id":2,"task_id":"10"}`),
		"as text and list":           postJSON(callPath+"?task_id=10", `{"bk_biz_id":2,"task_id":["10"]}`),
		"in a credential header":     header(`{"bk_app_code":"a","bk_app_code":"b"}`),
		"in two credential headers":  header(`{"bk_app_code":"a"}`, `{"bk_app_code":"b"}`),
		"in a list within a text":    postJSON(httpapi.DefaultPrefix+"/get_tasks_status", `{"bk_biz_id":2,"task_id_list":"[10],\"list\":[11]"}`),
		"the position of a stream":   events,
		"the content type of a body": kinds,
	} {
		w := f.do(r)
		if m := refusal(t, w); w.Code != 400 && name != "in a list within a text" {
			t.Errorf("%s: %d %s", name, w.Code, m)
		}
	}
	if w := f.do(header(`{"bk_app_code":"a"}`, `{"bk_app_code":"a"}`)); w.Code != 200 {
		t.Errorf("twice the same: %d %s", w.Code, w.Body)
	}
}

func TestAListOfTasksComesAsJSONOrForm(t *testing.T) {
	f := serve(t, nil)
	f.recordExample()
	f.recordStory()
	path, form := httpapi.DefaultPrefix+"/get_tasks_status", "application/x-www-form-urlencoded"
	want := f.do(postJSON(path, `{"bk_biz_id":2,"task_id_list":["10","11"]}`)).Body.String()
	if strings.Count(want, `"status"`) != 2 {
		t.Fatalf("answer %s", want)
	}
	for _, body := range []string{"bk_biz_id=2&task_id_list=10&task_id_list=11", "bk_biz_id=2&task_id_list=[10,11]"} {
		if got := f.do(post(path, form, body)).Body.String(); got != want {
			t.Errorf("%s: %s", body, got)
		}
	}
}

func TestANodeOfAnotherTaskIsNotFound(t *testing.T) {
	f := serve(t, nil)
	f.recordExample()
	f.recordStory()
	w := f.get(httpapi.DefaultPrefix+"/get_task_node_detail", "bk_biz_id", "2", "task_id", "10", "node_id", "compile")
	if m := refusal(t, w); m != `task "10" of business "2" has no node "compile"` {
		t.Errorf("message %q", m)
	}
}

// The rest is a client as a reader of the specification alone would write it.

type documentedNode struct {
	Retry      int                       `json:"retry"`
	Name       string                    `json:"name"`
	FinishTime string                    `json:"finish_time"`
	Skip       bool                      `json:"skip"`
	StartTime  string                    `json:"start_time"`
	Children   map[string]documentedNode `json:"children"`
	State      string                    `json:"state"`
	Version    string                    `json:"version"`
	ID         string                    `json:"id"`
	Loop       int                       `json:"loop"`
}

type documentedResponse struct {
	Result    bool           `json:"result"`
	Data      documentedNode `json:"data"`
	Message   string         `json:"message"`
	Code      int            `json:"code"`
	RequestID string         `json:"request_id"`
	TraceID   string         `json:"trace_id"`
}

func TestAClientOfTheDocumentationIsServed(t *testing.T) {
	f := serve(t, &httpapi.Options{Authenticator: &httpapi.Applications{
		Secrets:     map[string]string{"esb_test": "xxx"},
		VerifyToken: httpapi.Tokens(map[string]string{"xxx": "ann"}),
	}})
	f.recordExample()
	server := listen(t, f.handler)
	ask := func(task string) (r documentedResponse) {
		body, _ := json.Marshal(map[string]string{
			"bk_app_code": "esb_test", "bk_app_secret": "xxx", "bk_token": "xxx", "bk_biz_id": "2", "task_id": task,
		})
		resp, err := server.Client().Post(server.URL+"/api/c/compapi/v2/sops/get_task_status/", "application/json", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		d := json.NewDecoder(resp.Body)
		d.DisallowUnknownFields()
		if err := d.Decode(&r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := ask("10")
	failed := r.Data.Children[exampleActivity]
	started, err := time.Parse("2006-01-02 15:04:05 -0700", r.Data.StartTime)
	if !r.Result || r.Data.State != "FAILED" || len(r.Data.Children) != 2 || failed.State != "FAILED" || failed.ID != exampleActivity ||
		err != nil || started.Unix() != 1524730114 {
		t.Errorf("got %+v", r)
	}
	if r := ask("404"); r.Result || r.Message == "" || r.Code == 0 || r.RequestID == "" || r.TraceID == "" {
		t.Errorf("got %+v", r)
	}
}

func TestExtraFieldsAreAnOption(t *testing.T) {
	f := serve(t, &httpapi.Options{
		Authenticator: httpapi.NoAuth{},
		Query:         &query.Options{Location: zone, Now: clock, Fields: query.FieldKind | query.FieldElapsedTime},
	})
	f.recordExample()
	body := f.get(callPath, "bk_biz_id", "2", "task_id", "10").Body.String()
	for _, want := range []string{`"kind":"service_activity"`, `"elapsed_time":12`} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in %s", want, body)
		}
	}
}

func FuzzParameters(f *testing.F) {
	for _, seed := range []string{`{"bk_biz_id":2,"task_id":"10"}`, `bk_biz_id=2&task_id=10`, `{"task_id_list":[1,null]}`, `[`, `{"a":{"b":[1e9]}}`} {
		f.Add(seed, "task_id=1", `{"bk_app_code":"a"}`, true)
	}
	f.Fuzz(func(t *testing.T, body, rawQuery, header string, isJSON bool) {
		fx := serve(t, nil)
		fx.recordExample()
		kind := "application/x-www-form-urlencoded"
		if isJSON {
			kind = "application/json"
		}
		for _, path := range []string{callPath, httpapi.DefaultPrefix + "/get_tasks_status"} {
			r := post(path, kind, body)
			r.URL.RawQuery = rawQuery
			r.Header.Set("X-Bkapi-Authorization", header)
			w := fx.do(r)
			var answer struct {
				Result  *bool
				Data    json.RawMessage
				Message string
			}
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Result == nil || *answer.Result != (answer.Message == "") {
				t.Fatalf("answer %d %q", w.Code, w.Body)
			}
			if w.Code >= 500 {
				t.Fatal(fmt.Sprint("status ", w.Code))
			}
		}
	})
}
