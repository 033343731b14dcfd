package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/store"
)

// recorded has an instance run and recorded, and returns the record.
func recorded(t *testing.T) store.Store {
	t.Helper()
	releases.Store(0)
	s := store.NewMemory()
	t.Cleanup(func() { _ = s.Close() })
	if err := run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheRecordHasEverythingThatTheWorkflowKnows(t *testing.T) {
	s := recorded(t)
	var out bytes.Buffer
	if err := show(t.Context(), &out, s); err != nil {
		t.Fatal(err)
	}
	const want = `deploy FINISHED, after ""
  FINISHED ["6a18e7f"] -> "https://shop.example/shop:6a18e7f" 
build FINISHED, after ""
  FINISHED ["6a18e7f"] -> {"name":"shop:6a18e7f","bytes":4096} 
test FINISHED, after "build"
  FINISHED [{"name":"shop:6a18e7f","bytes":4096}] -> 12 
scan FINISHED, after "build"
  FINISHED ["shop:6a18e7f"] -> ["CVE-1"] 
release FINISHED, after "test, scan"
  FAILED ["shop:6a18e7f",12,["CVE-1"]] ->  the cluster does not answer
  FINISHED ["shop:6a18e7f",12,["CVE-1"]] -> "https://shop.example/shop:6a18e7f" 
`
	if got := out.String(); got != want {
		t.Errorf("the record is\n%s\nwant\n%s", got, want)
	}
	page, err := s.List(t.Context(), store.ListQuery{})
	if err != nil || len(page.Tasks) != 1 {
		t.Fatal(page, err)
	}
	labels := make(map[string]string)
	for key, value := range page.Tasks[0].Labels.All() {
		labels[key] = value
	}
	if want := map[string]string{"workflow": "deploy", "queue": "default"}; !reflect.DeepEqual(labels, want) {
		t.Errorf("the labels are %q, want %q", labels, want)
	}
}

func TestStepsAreReadByTheirOwnNames(t *testing.T) {
	s := recorded(t)
	detail, err := query.New(s, nil).Node(t.Context(), "shop", "deploy-7", "scan")
	if err != nil {
		t.Fatal(err)
	}
	for a, err := range detail.Attempts {
		if err != nil || string(a.Output.Bytes()) != `["CVE-1"]` {
			t.Errorf("an attempt of scan is %+v, %v", a, err)
		}
	}
	h := httpapi.New(s, &httpapi.Options{Authenticator: httpapi.NoAuth{}})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet,
		"http://localhost"+httpapi.DefaultPrefix+"/get_task_node_detail?bk_biz_id=shop&task_id=deploy-7&node_id=release", nil))
	var got struct {
		Result bool
		Data   struct {
			Inputs, Outputs any
			State           string
			Histories       []struct {
				Inputs any
				ExData string `json:"ex_data"`
			}
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || !got.Result || len(got.Data.Histories) != 1 {
		t.Fatalf("%v: %s", err, w.Body)
	}
	inputs := map[string]any{"input": []any{"shop:6a18e7f", 12.0, []any{"CVE-1"}}}
	outputs := []any{map[string]any{"key": "output", "name": "output", "value": "https://shop.example/shop:6a18e7f"}}
	d := got.Data
	if d.State != "FINISHED" || !reflect.DeepEqual(d.Inputs, inputs) || !reflect.DeepEqual(d.Outputs, outputs) ||
		!reflect.DeepEqual(d.Histories[0].Inputs, inputs) || d.Histories[0].ExData != "the cluster does not answer" {
		t.Errorf("details of release are %s", w.Body)
	}
}
