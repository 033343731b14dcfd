package query_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Other programs cannot read the years 0 and 10000.
func TestTheYearsOfAnswersAre1To9999InEveryZone(t *testing.T) {
	for _, test := range []struct {
		at     time.Time
		offset int
		never  []string
	}{
		{time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), -11 * 3600, []string{"0000-12-31"}},
		{time.Date(9999, 12, 31, 23, 0, 0, 0, time.UTC), 13 * 3600, []string{"10000-01-01"}},
	} {
		e := openEngine(t, store.NewMemory(), &engine.Options{Now: func() time.Time { return test.at }})
		record(
			t, e, engine.Create("2", "10", engine.ID("root")), engine.Start("root"),
			engine.Declare("root", state.ServiceActivity, engine.ID("a")), engine.Start("a"),
			engine.Fail("a", "broke", engine.RetryAt(test.at)), engine.Retry("a"), engine.Start("a"), engine.Finish("a"), engine.Finish("root"),
		)
		q := query.New(e, &query.Options{
			Location: time.FixedZone("", test.offset), Fields: query.AllFields, Now: func() time.Time { return test.at },
		})
		snap, err := q.Snapshot(t.Context(), "2", "10")
		if err != nil {
			t.Fatal(err)
		}
		spans, err := q.Timeline(t.Context(), "2", "10")
		if err != nil {
			t.Fatal(err)
		}
		history, err := collect(q.History(t.Context(), store.ByNode("a")))
		if err != nil {
			t.Fatal(err)
		}
		tasks, err := q.List(t.Context(), store.ListQuery{})
		if err != nil {
			t.Fatal(err)
		}
		past, err := q.AsOf(t.Context(), "2", "10", test.at)
		if err != nil {
			t.Fatal(err)
		}
		_, unknown := q.AsOf(t.Context(), "2", "11", test.at)
		for name, answer := range map[string]string{
			"tree":     string(q.AppendTree(nil, snap.Tree, 0)),
			"status":   marshalled(t, q.StatusOf(snap.Tree, 0)),
			"history":  marshalled(t, history),
			"list":     marshalled(t, tasks.Tasks),
			"timeline": fmt.Sprint(spans),
			"picture":  string(picture.AppendTimeline(nil, spans, nil)),
			"text":     string(picture.AppendText(nil, snap.Tree, 0, nil)),
			"past":     string(q.AppendTree(nil, past.Tree, past.Index)),
			"no task":  fmt.Sprint(unknown),
		} {
			for _, never := range test.never {
				if strings.Contains(answer, never) {
					t.Errorf("%s at offset %d shows %q: %s", name, test.offset, never, answer)
				}
			}
		}
	}
}

func marshalled(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
