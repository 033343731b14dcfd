package query_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/internal/stories"
	"github.com/pipestatus/pipestatus/store"
)

func TestAnswersIncludeKeysEdgesNotesAndLabels(t *testing.T) {
	const fields = query.FieldKey | query.FieldEdges | query.FieldNote | query.FieldLabels | query.FieldExData
	onEach(t, func(t *testing.T, e *engine.Engine) { stories.Flow(t, e) }, func(t *testing.T, r store.Reader) {
		o := options
		o.Fields = fields
		type node struct {
			ID, Key, From, Note string
			After               []string
		}
		for _, c := range []struct {
			keys   bool
			nodes  map[string]node
			failed map[string]string
		}{
			{false, map[string]node{
				"id-build": {"id-build", "build", "id-test", "", []string{}},
				"id-test":  {"id-test", "test", "id-build", "", []string{"id-build"}},
				"id-ship":  {"id-ship", "ship", "", "waits for <QA>", []string{"id-build", "id-test"}},
				"odd":      {"odd", "id-ship", "", "", []string{}},
				"plain":    {"plain", "", "", "", []string{}},
			}, map[string]string{"odd": "odd", "plain": "broke"}},
			{true, map[string]node{
				"build": {"build", "build", "test", "", []string{}},
				"test":  {"test", "test", "build", "", []string{"build"}},
				"ship":  {"ship", "ship", "", "waits for <QA>", []string{"build", "test"}},
				"odd":   {"odd", "id-ship", "", "", []string{}},
				"plain": {"plain", "", "", "", []string{}},
			}, map[string]string{"odd": "odd", "plain": "broke"}},
		} {
			o.Keys = c.keys
			q := query.New(r, &o)
			body, err := q.AppendJSON(t.Context(), nil, "2", "flow")
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				Data struct {
					Labels   map[string]string
					ExData   map[string]string `json:"ex_data"`
					Children map[string]node
				}
			}
			if err := json.Unmarshal(body, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.nodes, got.Data.Children); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.failed, got.Data.ExData); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(map[string]string{"env": "prod", "a": ""}, got.Data.Labels); diff != "" {
				t.Error(diff)
			}
			// Decoding into Go values and encoding again gives the same JSON.
			response, err := q.Response(t.Context(), "2", "flow")
			if err != nil {
				t.Fatal(err)
			}
			again, err := json.Marshal(response)
			if err != nil {
				t.Fatal(err)
			}
			var back query.Response
			if err := json.Unmarshal(again, &back); err != nil {
				t.Fatal(err)
			}
			twice, err := back.MarshalJSON()
			if err != nil || string(twice) != string(body) {
				t.Errorf("%v\n%s\nwant\n%s", err, twice, body)
			}
		}
	})
}
