package httpapi_test

import (
	"context"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/httpapi"
)

// takes keeps the node of the last operation.
type takes struct{ node string }

func (o *takes) Operate(_ context.Context, op httpapi.Operation) error {
	o.node = op.Node
	return nil
}

func TestNodesAreNamedByTheirKeysToo(t *testing.T) {
	operator := new(takes)
	everybody := func(context.Context, httpapi.Identity, httpapi.Operation) bool { return true }
	f := serve(t, &httpapi.Options{
		Authenticator: httpapi.NoAuth{}, Operator: operator, AuthorizeOperation: everybody, Query: &query.Options{Keys: true},
	})
	f.recordExample()
	f.recordFlow()
	body := func(path string, params ...string) string {
		t.Helper()
		return f.get(path, append([]string{"bk_biz_id", "2", "task_id", "12"}, params...)...).Body.String()
	}
	detail := body(httpapi.DefaultPrefix+"/get_task_node_detail", "node_id", "test")
	if !strings.Contains(detail, `"id":"test"`) || !strings.Contains(detail, `"state":"FINISHED"`) {
		t.Errorf("detail by key: %s", detail)
	}
	// By ID, and an earlier loop: the answer has the key again.
	if detail = body(httpapi.DefaultPrefix+"/get_task_node_detail", "node_id", "n1", "loop", "1"); !strings.Contains(detail, `"id":"build"`) {
		t.Errorf("detail of a loop by ID: %s", detail)
	}
	if history := body("/api/history", "node_id", "build"); !strings.Contains(history, `"node_id":"n1"`) {
		t.Errorf("history by key: %s", history)
	}
	status := body(callPath)
	if !strings.Contains(status, `"build":{`) || strings.Contains(status, `"n1"`) {
		t.Errorf("status: %s", status)
	}
	if no := body(httpapi.DefaultPrefix+"/get_task_node_detail", "node_id", "nothing"); !strings.Contains(no, "no node") {
		t.Errorf("an unknown key: %s", no)
	}
	for _, id := range []string{"ship", "n3"} {
		operator.node = ""
		w := f.do(postJSON(operateNode, `{"bk_biz_id":2,"task_id":12,"node_id":"`+id+`","action":"resume"}`))
		if w.Code != 200 || operator.node != "n3" {
			t.Errorf("operation on %s: %s, on node %q", id, w.Body, operator.node)
		}
	}
	w := f.do(postJSON(operateNode, `{"bk_biz_id":2,"task_id":10,"node_id":"ship","action":"resume"}`))
	if !strings.Contains(w.Body.String(), "no node") {
		t.Errorf("a key of another task: %s", w.Body)
	}
}
