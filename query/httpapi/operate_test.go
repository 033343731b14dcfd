package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// operator records requested operations, like a runner without running steps.
type operator struct {
	engine *engine.Engine
	err    error // returned instead, if set

	mu   sync.Mutex
	seen []httpapi.Operation
}

func (o *operator) Operate(ctx context.Context, op httpapi.Operation) error {
	o.mu.Lock()
	o.seen = append(o.seen, op)
	o.mu.Unlock()
	if o.err != nil {
		return o.err
	}
	node := op.Node
	if node == "" {
		snap, err := o.engine.Load(ctx, store.ByKey(op.Business, op.Task))
		if err != nil {
			return err
		}
		node = snap.Tree.ID(0)
	}
	by := engine.Actor(op.Actor)
	do, ok := map[httpapi.Action]engine.Op{
		httpapi.Pause: engine.Suspend(node, by), httpapi.Resume: engine.Resume(node, by), httpapi.Revoke: engine.Revoke(node, by),
		httpapi.Retry: engine.Retry(node, by), httpapi.Skip: engine.Skip(node, by),
	}[op.Action]
	if !ok {
		return fmt.Errorf("%w: %s", httpapi.ErrNotOperable, op.Action)
	}
	_, err := o.engine.Record(ctx, do)
	return err
}

// operable is a service that ann may operate and bob may read.
func operable(t *testing.T) (*fixture, *operator) {
	f := serve(t, nil)
	f.recordExample()
	o := &operator{engine: f.engine}
	f.handler = handlerOn(f.engine, &httpapi.Options{
		Authenticator: byName{}, Operator: o,
		Authorize: func(_ context.Context, _ httpapi.Identity, business string) bool { return business == "2" },
		AuthorizeOperation: func(_ context.Context, who httpapi.Identity, op httpapi.Operation) bool {
			return who.User == "ann" && op.Business == "2"
		},
	})
	return f, o
}

const (
	operateTask = httpapi.DefaultPrefix + "/operate_task/"
	operateNode = httpapi.DefaultPrefix + "/operate_node/"
)

func TestAnOperationIsDoneAndRecordedWithItsUser(t *testing.T) {
	f, _ := operable(t)
	for _, step := range []struct{ path, body, op, state string }{
		{operateNode, `{"bk_biz_id":2,"task_id":10,"node_id":"` + exampleActivity + `","action":"retry"}`, "retry", "CREATED"},
		{operateNode, `{"bk_biz_id":2,"task_id":10,"node_id":"` + exampleActivity + `","action":"pause"}`, "suspend", "SUSPENDED"},
		{"/operate_node/10/2/", `{"node_id":"` + exampleActivity + `","action":"resume"}`, "resume", "CREATED"},
		{"/operate_node/2/10/", `{"node_id":"` + exampleActivity + `","action":"pause_subproc"}`, "suspend", "SUSPENDED"},
		{"/api/operate", `{"bk_biz_id":2,"task_id":10,"node_id":"` + exampleActivity + `","action":"resume"}`, "resume", "CREATED"},
		{operateTask, `{"bk_biz_id":2,"task_id":10,"action":"pause"}`, "suspend", "CREATED"},
		{"/operate_task/10/2/", `{"action":"resume"}`, "resume", "CREATED"},
		{"/api/operate", `{"bk_biz_id":2,"task_id":10,"action":"revoke"}`, "revoke", "CREATED"},
	} {
		w := f.do(postJSON(step.path+"?bk_username=ann", step.body))
		if w.Code != 200 || !strings.HasPrefix(w.Body.String(), `{"result":true,`) {
			t.Fatalf("%s %s: %d %s", step.path, step.body, w.Code, w.Body)
		}
		story := f.get("/api/task", "bk_username", "ann", "bk_biz_id", "2", "task_id", "10").Body.String()
		if !strings.Contains(story, `"op":"`+step.op+`"`) || !strings.Contains(story, `"actor":"ann"`) || !strings.Contains(story, `"state":"`+step.state+`"`) {
			t.Errorf("%s %s: %s", step.path, step.body, story)
		}
	}
}

func TestAnOperationNeedsASeparatePermission(t *testing.T) {
	f, o := operable(t)
	for _, tt := range []struct {
		user, business, task, node string
		status, code               int
	}{
		{"bob", "2", "10", exampleActivity, 403, 3540100},
		{"", "2", "10", exampleActivity, 403, 3540100},
		{"ann", "3", "10", exampleActivity, 403, 3540100},
		{"ann", "2", "11", exampleActivity, 200, 3540400},
		{"ann", "2", exampleRoot, exampleActivity, 200, 3540400}, // a task is named by its own ID
		{"ann", "2", "10", "elsewhere", 200, 3540400},
		{"ann", "2", "10", "nowhere", 200, 3540400},
	} {
		if tt.node == "elsewhere" {
			f.record(engine.Create("2", "12", engine.ID("elsewhere")))
		}
		body := fmt.Sprintf(`{"bk_biz_id":%q,"task_id":%q,"node_id":%q,"action":"skip"}`, tt.business, tt.task, tt.node)
		w := f.do(postJSON(operateNode+"?bk_username="+tt.user, body))
		if _, code := refused(t, w); w.Code != tt.status || code != tt.code {
			t.Errorf("%s by %q: %d %s", body, tt.user, w.Code, w.Body)
		}
	}
	if len(o.seen) > 0 {
		t.Errorf("the runner was asked for %+v", o.seen)
	}
	// Without an operator nobody may operate.
	f.handler = handlerOn(f.engine, &httpapi.Options{Authenticator: byName{}, Operator: o})
	w := f.do(postJSON(operateTask+"?bk_username=ann", `{"bk_biz_id":2,"task_id":10,"action":"revoke"}`))
	if refusal(t, w); w.Code != 403 {
		t.Errorf("without AuthorizeOperation: %d %s", w.Code, w.Body)
	}
}

func TestWithoutARunnerNothingCanBeOperated(t *testing.T) {
	f := serve(t, nil)
	f.recordExample()
	for _, path := range []string{operateTask, operateNode, "/operate_task/10/2/", "/operate_node/10/2/", "/api/operate"} {
		if w := f.do(postJSON(path, `{"bk_biz_id":2,"task_id":10,"action":"revoke"}`)); w.Code != 404 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if body := f.get("/api/task", "bk_biz_id", "2", "task_id", "10").Body.String(); strings.Contains(body, "operable") {
		t.Errorf("the page is told of operations: %s", body)
	}
}

func TestTheRunnersRefusalIsTheAnswer(t *testing.T) {
	f, o := operable(t)
	ask := func(action string) (status, code int, message string) {
		w := f.do(postJSON(operateNode+"?bk_username=ann", `{"bk_biz_id":2,"task_id":10,"node_id":"`+exampleStart+`","action":"`+action+`"}`))
		message, code = refused(t, w)
		return w.Code, code, message
	}
	if status, code, m := ask("retry"); status != 200 || code != 3545000 || !strings.Contains(m, "invalid transition") {
		t.Errorf("retry of what has finished: %d %d %s", status, code, m)
	}
	if status, code, m := ask("forced_fail"); status != 200 || code != 3545000 || !strings.Contains(m, "not operable") {
		t.Errorf("an action that the runner does not offer: %d %d %s", status, code, m)
	}
	for _, action := range []string{"callback", "start", "revoke", "RETRY"} {
		if status, code, m := ask(action); status != 200 || code != 3540000 || !strings.Contains(m, "action must be one of") {
			t.Errorf("%s: %d %d %s", action, status, code, m)
		}
	}
	o.err = errors.New("secret path /var/x")
	if status, code, m := ask("skip"); status != 500 || code != 3599999 || strings.Contains(m, "/var") {
		t.Errorf("trouble of the runner: %d %d %s", status, code, m)
	}
	o.err = fmt.Errorf("late: %w", state.ErrVersionMismatch)
	if status, code, _ := ask("skip"); status != 200 || code != 3545000 {
		t.Errorf("a wrapped refusal: %d %d", status, code)
	}
}

func TestErrorsOfTheRunnerAreAnsweredByTheirKind(t *testing.T) {
	f, o := operable(t)
	for _, tt := range []struct {
		err          error
		status, code int
		says         string
	}{
		{state.ErrNotFound, 200, 3540400, "not found"},
		{state.ErrInvalidArgument, 200, 3540000, "invalid argument"},
		{state.ErrLoopLimit, 200, 3545000, "loop limit"},
		{fmt.Errorf("the queue is full: %w", httpapi.ErrTryLater), 503, 3555000, "the queue is full"},
		{store.ErrConflict, 503, 3555000, "conflict"},
		{store.ErrFull, 503, 3555000, "full"},
		{store.ErrFenced, 503, 3555000, "fenced"},
		{fmt.Errorf("at /var/x: %w", store.ErrFailed), 503, 3555000, "store failed"},
		{store.ErrClosed, 503, 3555000, "closed"},
		{context.DeadlineExceeded, 503, 3555000, "deadline"},
	} {
		o.err = tt.err
		w := f.do(postJSON(operateNode+"?bk_username=ann", `{"bk_biz_id":2,"task_id":10,"node_id":"`+exampleStart+`","action":"skip"}`))
		message, code := refused(t, w)
		if w.Code != tt.status || code != tt.code || !strings.Contains(message, tt.says) || strings.Contains(message, "/var") {
			t.Errorf("%v: %d %d %s", tt.err, w.Code, code, message)
		}
	}
}

// An unset variable of a client must not turn the suspension of a node into
// that of the whole task.
func TestANodeThatIsNullIsNotTheTask(t *testing.T) {
	f, o := operable(t)
	for _, node := range []string{`null`, `""`, `[]`, `{}`} {
		w := f.do(postJSON("/api/operate?bk_username=ann", `{"bk_biz_id":2,"task_id":10,"node_id":`+node+`,"action":"pause"}`))
		if m, code := refused(t, w); code != 3540000 || !strings.Contains(m, "node_id") {
			t.Errorf("node_id %s: %d %s", node, w.Code, w.Body)
		}
	}
	if len(o.seen) > 0 {
		t.Errorf("the runner was asked for %+v", o.seen)
	}
}

func TestInputsReachTheRunner(t *testing.T) {
	f, o := operable(t)
	for body, want := range map[string]string{
		`"inputs":{"a":[1,{"b":null}]}`: `{"a":[1,{"b":null}]}`, `"inputs":{}`: "", `"inputs":null`: "", `"data":{"x":1}`: "",
	} {
		f.do(postJSON(operateNode+"?bk_username=ann", `{"bk_biz_id":2,"task_id":10,"node_id":"`+exampleActivity+`","action":"pause",`+body+`}`))
		if got := string(o.seen[len(o.seen)-1].Inputs); got != want {
			t.Errorf("%s: %s", body, got)
		}
	}
	w := f.do(postJSON(operateNode+"?bk_username=ann", `{"bk_biz_id":2,"task_id":10,"node_id":"`+exampleActivity+`","action":"pause","inputs":[1]}`))
	if m := refusal(t, w); m != "inputs must be an object" {
		t.Errorf("message %q", m)
	}
}

// Where every caller is admitted, a foreign page could send requests whose
// answers it cannot read.
func TestAForeignPageCannotOperate(t *testing.T) {
	f, o := operable(t)
	for header, refuse := range map[string]bool{
		"Origin: http://evil.example": true, "Origin: null": true, "Origin: http://localhost": false, "Origin: https://portal.example": false,
		"Sec-Fetch-Site: cross-site": true, "Sec-Fetch-Site: same-site": true, "Sec-Fetch-Site: same-origin": false, "Sec-Fetch-Site: none": false, "X: y": false,
	} {
		f.handler = handlerOn(f.engine, &httpapi.Options{
			Authenticator: httpapi.NoAuth{}, Operator: o, Origins: []string{"https://portal.example"},
			AuthorizeOperation: func(context.Context, httpapi.Identity, httpapi.Operation) bool { return true },
		})
		r := postJSON(operateTask, `{"bk_biz_id":2,"task_id":10,"action":"pause"}`)
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
		before := len(o.seen)
		w := f.do(r)
		if (w.Code == http.StatusForbidden) != refuse || (len(o.seen) > before) == refuse {
			t.Errorf("%s: %d %s", header, w.Code, w.Body)
		}
	}
}
