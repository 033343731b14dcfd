package httpapi_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// recordSortable records tasks whose order differs by recording, start and duration:
// t2 has not started, t3 runs, and t4 waits for a person after 20 s.
func (f *fixture) recordSortable() {
	for i, task := range []struct{ start, took int }{{-500, 30}, {-900, 10}, {}, {-100, 0}, {-700, 20}} {
		id := fmt.Sprint("t", i)
		at := func(sec int) engine.Option { return engine.At(clock().Add(time.Duration(sec) * time.Second)) }
		f.record(engine.Create("2", id, engine.ID(id), engine.Labels(map[string]string{"place": "No-" + id}), at(task.start)))
		if task.start == 0 {
			continue
		}
		f.record(engine.Start(id, at(task.start)))
		switch {
		case i == 4:
			f.record(engine.Declare(id, state.ServiceActivity, engine.ID("leaf"), at(task.start)), engine.Start("leaf", at(task.start)), engine.Fail("leaf", "boom", at(task.start+task.took)))
		case task.took > 0:
			f.record(engine.Finish(id, at(task.start+task.took)))
		}
	}
}

func TestTheServiceSortsAllTasksOfAList(t *testing.T) {
	f := serve(t, nil)
	f.recordSortable()
	for query, want := range map[string]string{
		"":                                "t4 t3 t2 t1 t0",
		"sort=":                           "t4 t3 t2 t1 t0",
		"sort=started":                    "t1 t4 t0 t3 t2",
		"sort=-started":                   "t2 t3 t0 t4 t1",
		"sort=duration":                   "t1 t4 t0 t3 t2",
		"sort=-duration":                  "t3 t0 t4 t1 t2",
		"sort=-duration&state=FINISHED":   "t0 t1",
		"sort=started&text=t4":            "t4",
		"sort=started&text=absent":        "",
		"sort=-duration&has_failures=1":   "t4",
		"sort=duration&bk_biz_id=3":       "",
		"text=place%3Dno-t3":              "t3",
		"text=no-&sort=started&limit=500": "t1 t4 t0 t3 t2",
	} {
		for _, limit := range []string{"", "&limit=1", "&limit=2"} {
			if strings.Contains(query, "limit=") && limit != "" {
				continue
			}
			var all []string
			for cursor := ""; ; {
				ids, next := f.tasks(query + limit + "&cursor=" + url.QueryEscape(cursor))
				all = append(all, ids...)
				if cursor = next; cursor == "" {
					break
				}
			}
			if got := strings.Join(all, " "); got != want {
				t.Errorf("%s%s: %q, want %q", query, limit, got, want)
			}
		}
	}
	_, sorted := f.tasks("limit=1&sort=started")
	_, recorded := f.tasks("limit=1")
	for query, about := range map[string]string{
		"sort=name": "sort", "sort=-": "sort", "sort=--started": "sort",
		"sort=started&cursor=" + recorded: "cursor", "cursor=" + sorted: "cursor",
	} {
		if m := refusal(t, f.get("/api/tasks?"+query)); !strings.Contains(m, about) {
			t.Errorf("%s: message %q", query, m)
		}
	}
}

func TestASortedListRevealsNothingAboutHiddenTasks(t *testing.T) {
	f := serve(t, &httpapi.Options{
		Authenticator: httpapi.NoAuth{},
		Authorize:     func(_ context.Context, _ httpapi.Identity, business string) bool { return business == "2" },
	})
	for i := range 20 {
		f.record(engine.Create([]string{"2", "hidden"}[i%2], fmt.Sprint(i)))
	}
	ids, cursor := f.tasks("sort=-started&limit=6")
	more, last := f.tasks("sort=-started&limit=6&cursor=" + url.QueryEscape(cursor))
	if len(ids) != 6 || len(more) != 4 || last != "" || slices.Contains(append(ids, more...), "1") {
		t.Errorf("pages %v, %v and cursor %q", ids, more, last)
	}
}

// endless is a store with an unreachable part and more tasks than are sorted.
type endless struct{ parted }

func (e *endless) List(ctx context.Context, q store.ListQuery) (store.ListPage, error) {
	page, err := e.parted.List(ctx, store.ListQuery{Limit: 1})
	page.Tasks, page.Cursor = slices.Repeat(page.Tasks, q.Limit), "more"
	return page, err
}

func TestASortedListSaysThatTasksAreLeftOutOrMissing(t *testing.T) {
	f := serve(t, nil)
	f.recordExample()
	f.handler = handlerOn(&endless{parted{f.engine}}, nil)
	answer := f.get("/api/tasks?sort=started&limit=1").Body.String()
	for _, want := range []string{`"more":true`, `"missing":1`} {
		if !strings.Contains(answer, want) {
			t.Errorf("%s: want %s", answer, want)
		}
	}
}
