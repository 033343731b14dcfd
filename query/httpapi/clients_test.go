package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/state"
)

// These are clients as the public documentation of each family shows them. All
// read every field of the envelope, in any answer.

// client sends one call, with its credentials in a place, to a path.
type client func(t *testing.T, base, call string, ids, parameters map[string]any) *http.Request

// componentPost is a client of the component API that sends everything in the
// body.
func componentPost(t *testing.T, base, call string, ids, parameters map[string]any) *http.Request {
	body := map[string]any{"bk_app_code": "esb_test", "bk_app_secret": "xxx", "bk_token": "t0ken"}
	for _, more := range []map[string]any{ids, parameters} {
		maps.Copy(body, more)
	}
	return posted(t, base+httpapi.DefaultPrefix+"/"+call+"/", body)
}

// componentGet is a client of the component API that sends everything in the
// query.
func componentGet(t *testing.T, base, call string, ids, parameters map[string]any) *http.Request {
	if strings.HasPrefix(call, "get_tasks_") || strings.HasPrefix(call, "operate_") {
		return componentPost(t, base, call, ids, parameters)
	}
	return got(t, base+httpapi.DefaultPrefix+"/"+call+"/", url.Values{
		"bk_app_code": {"esb_test"}, "bk_app_secret": {"xxx"}, "bk_token": {"t0ken"},
	}, ids, parameters)
}

// gatewayHeader is a client of the API gateway with credentials in the header
// and IDs in the path.
func gatewayHeader(t *testing.T, base, call string, ids, parameters map[string]any) *http.Request {
	r := gateway(t, base, call, url.Values{}, ids, parameters)
	r.Header.Set("X-Bkapi-Authorization", `{"bk_app_code":"esb_test","bk_app_secret":"xxx","bk_username":"ann"}`)
	return r
}

// gatewaySystem is the same for services without a user.
func gatewaySystem(t *testing.T, base, call string, ids, parameters map[string]any) *http.Request {
	r := gatewayHeader(t, base+"/system", call, ids, parameters)
	return r
}

// gatewayToken is a client of the API gateway with an access token.
func gatewayToken(t *testing.T, base, call string, ids, parameters map[string]any) *http.Request {
	r := gateway(t, base, call, url.Values{}, ids, parameters)
	r.Header.Set("X-Bkapi-Authorization", `{"access_token":"acc3ss"}`)
	return r
}

// gatewayQuery is a client of the first gateway, with everything in the query.
func gatewayQuery(t *testing.T, base, call string, ids, parameters map[string]any) *http.Request {
	return gateway(t, base, call, url.Values{"app_code": {"esb_test"}, "app_secret": {"xxx"}, "access_token": {"acc3ss"}}, ids, parameters)
}

func gateway(t *testing.T, base, call string, query url.Values, ids, parameters map[string]any) *http.Request {
	path := base + "/" + call
	for _, name := range []string{"task_id", "bk_biz_id"} {
		if id, ok := ids[name]; ok {
			path += "/" + text(id)
		}
	}
	if strings.HasPrefix(call, "get_tasks_") || strings.HasPrefix(call, "operate_") {
		return posted(t, path+"/?"+query.Encode(), parameters)
	}
	return got(t, path+"/", query, parameters)
}

func posted(t *testing.T, address string, body map[string]any) *http.Request {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), "POST", address, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	return r
}

func got(t *testing.T, address string, query url.Values, more ...map[string]any) *http.Request {
	t.Helper()
	for _, parameters := range more {
		for name, v := range parameters {
			query.Set(name, text(v))
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", address+"?"+query.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func text(v any) string {
	b, _ := json.Marshal(v) // cannot fail for the values of tests
	return strings.Trim(string(b), `"`)
}

func TestTheClientsOfEachFamilyAreServed(t *testing.T) {
	for family, c := range map[string]client{
		"component API, POST": componentPost, "component API, GET": componentGet, "gateway, header": gatewayHeader,
		"gateway, system": gatewaySystem, "gateway, access token": gatewayToken, "first gateway, query": gatewayQuery,
	} {
		t.Run(family, func(t *testing.T) {
			f := serve(t, nil)
			f.recordExample()
			f.record(engine.Declare(exampleRoot, state.Subprocess, engine.ID("sub")))
			f.handler = handlerOn(f.engine, &httpapi.Options{
				Operator: &operator{engine: f.engine},
				Authenticator: &httpapi.Applications{
					Secrets: map[string]string{"esb_test": "xxx"}, Trusted: []string{"esb_test"},
					VerifyToken: httpapi.Tokens(map[string]string{"t0ken": "ann"}),
					VerifyAccessToken: func(_ context.Context, token string) (who httpapi.Identity, err error) {
						if token == "acc3ss" {
							who = httpapi.Identity{App: "esb_test", User: "ann"}
						}
						return who, nil
					},
				},
				AuthorizeOperation: func(_ context.Context, who httpapi.Identity, _ httpapi.Operation) bool { return who.User == "ann" },
			})
			base := listen(t, f.handler).URL
			ask := func(call string, ids, parameters map[string]any) map[string]any {
				t.Helper()
				return answerTo(t, c(t, base, call, ids, parameters))
			}
			task := map[string]any{"bk_biz_id": 2, "task_id": 10}
			business := map[string]any{"bk_biz_id": "2"}
			list := map[string]any{"task_id_list": []int{10, 12}}

			status := ask("get_task_status", task, map[string]any{"with_ex_data": true})["data"].(map[string]any)
			if status["state"] != "FAILED" || status["ex_data"].(map[string]any)[exampleActivity] == "" || len(status["children"].(map[string]any)) != 3 {
				t.Errorf("status %v", status)
			}
			sub := ask("get_task_status", task, map[string]any{"subprocess_id": "sub"})["data"].(map[string]any)
			if sub["id"] != "sub" || sub["state"] != "CREATED" {
				t.Errorf("subprocess %v", sub)
			}
			statuses := ask("get_tasks_status", business, list)["data"].([]any)
			if one := statuses[0].(map[string]any); len(statuses) != 1 || one["id"] != 10.0 || one["current_flow"] != "execute_task" ||
				one["create_time"] != "2018-04-26 16:08:34 +0800" || one["is_deleted"] != false || one["status"].(map[string]any)["error_ignorable"] != false {
				t.Errorf("statuses %v", statuses)
			}
			if none := ask("get_tasks_status", business, map[string]any{"task_id_list": []int{}})["data"].([]any); len(none) != 0 {
				t.Errorf("statuses of none %v", none)
			}
			detail := ask("get_task_node_detail", task, map[string]any{"node_id": exampleActivity})["data"].(map[string]any)
			if detail["ex_data"] != "<b>no route</b> & more" || detail["elapsed_time"] != 12.0 || detail["state_refresh_at"] != "2018-04-26T08:08:46.000Z" {
				t.Errorf("node %v", detail)
			}
			if d := ask("get_task_detail", task, nil)["data"].(map[string]any); d["id"] != 10.0 || d["is_started"] != true || d["elapsed_time"] != 26.0 {
				t.Errorf("detail %v", d)
			}
			tasks := ask("get_task_list", business, map[string]any{"limit": 5})
			if tasks["count"] != 1.0 || tasks["data"].([]any)[0].(map[string]any)["id"] != 10.0 {
				t.Errorf("list %v", tasks)
			}
			waiting := ask("get_tasks_manual_intervention_state", business, list)["data"].([]any)
			if len(waiting) != 1 || waiting[0].(map[string]any)["manual_intervention_required"] != true {
				t.Errorf("waiting %v", waiting)
			}
			if done := ask("operate_node", task, map[string]any{"node_id": exampleActivity, "action": "skip"}); done["data"] != "success" {
				t.Errorf("skip %v", done)
			}
			if done := ask("operate_task", task, map[string]any{"action": "pause"}); done["result"] != true {
				t.Errorf("pause %v", done)
			}
			story, err := f.engine.Transitions(t.Context(), state.Key{Business: "2", Task: "10"}, 0, 0)
			if err != nil || story[len(story)-1].Actor != "ann" || story[len(story)-1].Op != state.Suspend || story[len(story)-2].Op != state.Skip {
				t.Errorf("recorded %v, %v", story, err)
			}
			absent := ask("get_task_status", map[string]any{"bk_biz_id": 2, "task_id": 404}, nil)
			if absent["result"] != false || absent["message"] == "" || absent["code"] == 0.0 || absent["data"] != nil {
				t.Errorf("absent %v", absent)
			}
		})
	}
}

// answerTo is an answer with all fields that clients read.
func answerTo(t *testing.T, r *http.Request) (answer map[string]any) {
	t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &answer); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s: %s %s", r.URL, resp.Status, body)
	}
	for _, name := range []string{"result", "data", "message", "code", "request_id", "trace_id"} {
		if _, ok := answer[name]; !ok {
			t.Errorf("%s: no %s in %s", r.URL, name, body)
		}
	}
	return answer
}
