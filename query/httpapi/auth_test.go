package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query/httpapi"
)

// credentials go into one of the possible places of a request.
type credentials struct{ code, secret, token, user string }

func (c credentials) fields() map[string]string {
	fields := make(map[string]string)
	for name, v := range map[string]string{"bk_app_code": c.code, "bk_app_secret": c.secret, "bk_token": c.token, "bk_username": c.user} {
		if v != "" {
			fields[name] = v
		}
	}
	return fields
}

func quoted(fields map[string]string) string {
	var parts []string
	for name, v := range fields {
		parts = append(parts, `"`+name+`":"`+v+`"`)
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func (c credentials) requests() map[string]*http.Request {
	var inQuery []string
	inBody := map[string]string{"bk_biz_id": "2", "task_id": "10"}
	for name, v := range c.fields() {
		inQuery = append(inQuery, name, v)
		inBody[name] = v
	}
	header := request("GET", callPath, nil, "bk_biz_id", "2", "task_id", "10")
	header.Header.Set("X-Bkapi-Authorization", quoted(c.fields()))
	return map[string]*http.Request{
		"query":  request("GET", callPath, nil, append(inQuery, "bk_biz_id", "2", "task_id", "10")...),
		"body":   postJSON(callPath, quoted(inBody)),
		"header": header,
	}
}

func TestEveryCombinationOfMissingWrongAndRightCredentials(t *testing.T) {
	for _, secret := range []string{"s3cret", httpapi.HashSecret("s3cret")} {
		f := serve(t, &httpapi.Options{Authenticator: &httpapi.Applications{
			Secrets:     map[string]string{"app": secret, "trusted": secret},
			Trusted:     []string{"trusted"},
			VerifyToken: httpapi.Tokens(map[string]string{"t0ken": "ann"}),
		}})
		f.recordExample()
		for _, code := range []string{"", "wrong", "app", "trusted"} {
			for _, secret := range []string{"", "wrong", "s3cret"} {
				for _, token := range []string{"", "wrong", "t0ken"} {
					for _, user := range []string{"", "bob"} {
						c := credentials{code, secret, token, user}
						status, message := expected(c)
						for place, r := range c.requests() {
							w := f.do(r)
							if w.Code != status {
								t.Errorf("%+v in %s: status %d, want %d: %s", c, place, w.Code, status, w.Body)
								continue
							}
							if status == 401 {
								if m := refusal(t, w); m != message {
									t.Errorf("%+v in %s: message %q, want %q", c, place, m, message)
								}
							}
						}
					}
				}
			}
		}
	}
}

// expected is the outcome according to the documentation of the general
// parameters.
func expected(c credentials) (status int, message string) {
	switch {
	case c.code == "":
		return 401, "bk_app_code is required"
	case c.secret == "":
		return 401, "bk_app_secret is required"
	case c.code == "wrong" || c.secret == "wrong":
		return 401, "bk_app_code or bk_app_secret is wrong"
	case c.token == "t0ken" || c.user != "" && c.code == "trusted":
		return 200, ""
	case c.token != "":
		return 401, "bk_token is not valid"
	case c.user != "":
		return 401, "this application may not name a user by bk_username, bk_token is required"
	}
	return 401, "bk_token or bk_username is required"
}

func TestTheUserIsTheTokensOrTheNamedOne(t *testing.T) {
	var seen []httpapi.Identity
	f := serve(t, &httpapi.Options{
		Authenticator: &httpapi.Applications{
			Secrets: map[string]string{"app": "s"}, Trusted: []string{"app"},
			VerifyToken: httpapi.Tokens(map[string]string{"t": "ann"}),
		},
		Authorize: func(_ context.Context, who httpapi.Identity, business string) bool {
			seen = append(seen, who)
			return business == "2"
		},
	})
	f.recordExample()
	for _, c := range []credentials{{"app", "s", "t", ""}, {"app", "s", "t", "bob"}, {"app", "s", "", "bob"}, {"app", "s", "bad", "bob"}} {
		f.do(c.requests()["header"])
	}
	want := []string{"ann", "ann", "bob", "bob"}
	for i := range want {
		if i >= len(seen) || seen[i] != (httpapi.Identity{App: "app", User: want[i]}) {
			t.Fatalf("asked for %v, want users %v", seen, want)
		}
	}
}

func TestAHandlerWithoutAuthenticatorRefusesEveryRequest(t *testing.T) {
	var log bytes.Buffer
	f := serve(t, &httpapi.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	f.recordExample()
	if !strings.Contains(log.String(), "no authenticator configured") {
		t.Errorf("log %q", log.String())
	}
	for _, path := range []string{"/", callPath, "/api/tasks", "/api/task", "/api/events"} {
		w := f.get(path, "bk_biz_id", "2", "task_id", "10")
		if m := refusal(t, w); w.Code != 401 || !strings.Contains(m, "no authenticator") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestAnswersNeverShowAnotherBusiness(t *testing.T) {
	f := serve(t, &httpapi.Options{
		Authenticator: httpapi.NoAuth{},
		Authorize:     func(_ context.Context, _ httpapi.Identity, business string) bool { return business == "2" },
	})
	f.recordExample()
	f.record(engine.Create("3", "30", engine.ID("hidden")))
	prefix := httpapi.DefaultPrefix
	for _, path := range []string{callPath, prefix + "/get_task_node_detail", "/api/task", "/api/status", "/api/history", "/api/timeline", "/api/usual", "/api/compare", "/api/events"} {
		there := f.get(path, "bk_biz_id", "3", "task_id", "30", "node_id", "hidden", "with", "hidden")
		absent := f.get(path, "bk_biz_id", "3", "task_id", "31", "node_id", "absent", "with", "absent")
		if there.Code != 403 || absent.Code != 403 || there.Body.String() != absent.Body.String() {
			t.Errorf("%s: %d %s, %d %s", path, there.Code, there.Body, absent.Code, absent.Body)
		}
		// The node exists, in a business that this caller does not name.
		foreign := f.get(path, "bk_biz_id", "2", "task_id", "hidden", "node_id", "hidden", "with", "hidden")
		unknown := f.get(path, "bk_biz_id", "2", "task_id", "absent", "node_id", "absent", "with", "absent")
		if foreign.Code != 200 || strings.ReplaceAll(refusal(t, foreign), "hidden", "absent") != refusal(t, unknown) {
			t.Errorf("%s: %d %s, %d %s", path, foreign.Code, foreign.Body, unknown.Code, unknown.Body)
		}
	}
	w := f.do(postJSON(prefix+"/get_tasks_status", `{"bk_biz_id":3,"task_id_list":[30]}`))
	if w.Code != 403 {
		t.Errorf("get_tasks_status: %d %s", w.Code, w.Body)
	}
	if w := f.get("/api/tasks"); w.Code != 200 || strings.Contains(w.Body.String(), "hidden") || !strings.Contains(w.Body.String(), exampleRoot) {
		t.Errorf("tasks: %d %s", w.Code, w.Body)
	}
	if w := f.get("/api/tasks", "bk_biz_id", "3"); w.Code != 403 {
		t.Errorf("tasks of the other business: %d %s", w.Code, w.Body)
	}
}

func TestAVerifierThatFailsIsNoVerdict(t *testing.T) {
	f := serve(t, &httpapi.Options{Authenticator: &httpapi.Applications{
		Secrets:     map[string]string{"app": "s"},
		VerifyToken: func(context.Context, string) (string, error) { return "", errors.New("10.0.0.7 refused") },
	}})
	w := f.do(credentials{"app", "s", "t", ""}.requests()["query"])
	if m := refusal(t, w); w.Code != 503 || strings.Contains(m, "10.0.0.7") || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %q", w.Code, m)
	}
}

func TestAnInvalidConfigurationIsReported(t *testing.T) {
	for name, a := range map[string]httpapi.Applications{
		"empty secret":     {Secrets: map[string]string{"app": ""}},
		"empty code":       {Secrets: map[string]string{"": "s"}},
		"short hash":       {Secrets: map[string]string{"app": "sha256:abcd"}},
		"no hash":          {Secrets: map[string]string{"app": "sha256:" + strings.Repeat("x", 64)}},
		"trusted stranger": {Secrets: map[string]string{"app": "s"}, Trusted: []string{"other"}},
	} {
		if err := a.Validate(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	good := httpapi.Applications{Secrets: map[string]string{"app": httpapi.HashSecret("s")}, Trusted: []string{"app"}}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}

func TestTheLogContainsNoSecret(t *testing.T) {
	var log bytes.Buffer
	f := serve(t, &httpapi.Options{
		Logger: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Authenticator: &httpapi.Applications{
			Secrets:     map[string]string{"app": "s3cret"},
			VerifyToken: httpapi.Tokens(map[string]string{"t0ken": "ann"}),
		},
	})
	f.recordExample()
	for _, c := range []credentials{{"app", "s3cret", "t0ken", ""}, {"app", "s3cret", "t0ken-bad", ""}, {"app", "s3cret-bad", "t0ken", ""}} {
		for _, r := range c.requests() {
			f.do(r)
		}
	}
	f.do(postJSON(callPath, `{"bk_app_secret":"s3cret`))
	text := log.String()
	if strings.Contains(text, "s3cret") || strings.Contains(text, "t0ken") {
		t.Errorf("log: %s", text)
	}
	for _, want := range []string{`"path":"` + callPath, `"status":200`, `"status":401`, `"status":400`, `"app":"app"`, `"user":"ann"`, `"business":"2"`, `"task":"10"`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in the log: %s", want, text)
		}
	}
}
