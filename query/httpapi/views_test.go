package httpapi_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/storetest"
)

func TestTheDataOfThePageHasItsShapes(t *testing.T) {
	f := serve(t, nil)
	f.recordExample()
	f.recordStory()
	f.recordFlow()
	for name, path := range map[string]string{
		"tasks":      "/api/tasks",
		"task":       "/api/task?bk_biz_id=2&task_id=11",
		"task_as_of": "/api/task?bk_biz_id=2&task_id=compile&as_of=1524730127",
		"status":     "/api/status?bk_biz_id=2&task_id=10",
		"history":    "/api/history?bk_biz_id=2&task_id=11&node_id=compile",
		"task_flow":  "/api/task?bk_biz_id=2&task_id=12",
		"timeline":   "/api/timeline?bk_biz_id=2&task_id=11",
		"counts":     "/api/counts?bk_biz_id=2",
		"zone":       "/api/zone",
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, f.get(path).Body.Bytes()) })
	}
}

// parted is a store with an unreachable part.
type parted struct{ store.Reader }

func (p *parted) List(ctx context.Context, q store.ListQuery) (store.ListPage, error) {
	page, err := p.Reader.List(ctx, q)
	page.Missing = []error{fmt.Errorf("%w: password of member b", store.ErrUnavailable)}
	return page, err
}

func TestTheListSaysThatAPartOfTheStoreIsMissing(t *testing.T) {
	f := serve(t, nil)
	f.recordExample()
	f.handler = handlerOn(&parted{f.engine}, nil)
	for path, want := range map[string]string{"/api/tasks": `"missing":1`, "/api/counts": `"more":true`} {
		answer := f.get(path).Body.String()
		if !strings.Contains(answer, want) || strings.Contains(answer, "password") {
			t.Errorf("%s: %s, want %s and no secret", path, answer, want)
		}
	}
	f.handler = handlerOn(&storetest.Wrapper{Store: store.NewMemory(), BeforeRead: func(context.Context, string) error {
		return fmt.Errorf("%w: password of member b", store.ErrUnavailable)
	}}, nil)
	for _, path := range []string{"/api/tasks", "/api/status?bk_biz_id=2&task_id=10"} {
		if w := f.get(path); w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "password") {
			t.Errorf("%s: %d %s, want %d and no secret", path, w.Code, w.Body, http.StatusServiceUnavailable)
		}
	}
}

// tasks asks for a list and returns its task IDs and cursor.
func (f *fixture) tasks(query string) (ids []string, cursor string) {
	f.Helper()
	var answer struct {
		Result bool
		Data   struct {
			Tasks []struct {
				Task string `json:"task_id"`
			}
			Cursor string
		}
	}
	w := f.get("/api/tasks?" + query)
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || !answer.Result {
		f.Fatalf("%s: %d %s", query, w.Code, w.Body)
	}
	for _, t := range answer.Data.Tasks {
		ids = append(ids, t.Task)
	}
	return ids, answer.Data.Cursor
}

func TestTasksAreFilteredAndPaged(t *testing.T) {
	f := serve(t, nil)
	for i := range 25 {
		business, id := "2", fmt.Sprintf("t%02d", i)
		if i%5 == 0 {
			business = "3"
		}
		labels := map[string]string{"env": "test", "host": "h" + id[1:2]}
		f.record(engine.Create(business, id, engine.ID("root-"+id), engine.Name("Backup of disk "+id), engine.Labels(labels)))
		if i == 7 || i == 17 {
			f.record(engine.Start("root-"+id), engine.Declare("root-"+id, state.ServiceActivity, engine.ID("leaf-"+id)),
				engine.Start("leaf-"+id), engine.Fail("leaf-"+id, "full"))
		}
		if i%2 == 0 {
			f.record(engine.Start("root-"+id), engine.Finish("root-"+id))
		}
	}
	for query, want := range map[string]string{
		"limit=3":                                    "t24 t23 t22",
		"bk_biz_id=3":                                "t20 t15 t10 t05 t00",
		"bk_biz_id=3&state=finished":                 "t20 t10 t00",
		"bk_biz_id=3&state=CREATED&state=":           "t15 t05",
		"bk_biz_id=3&unfinished=true":                "t15 t05",
		"text=DISK+T0&state=FINISHED":                "t08 t06 t04 t02 t00",
		"has_failures=true":                          "t17 t07",
		"has_failures=true&oldest_first=true":        "t07 t17",
		"limit=3&oldest_first=true":                  "t00 t01 t02",
		"name=Backup+of+disk+t03":                    "t03",
		"name=Backup+of+disk":                        "",
		"name=B*disk+t0*&bk_biz_id=3":                "t05 t00",
		"name=*t1*&state=FINISHED&limit=2":           "t18 t16",
		`bk_biz_id=3&labels={"host":"h1"}`:           "t15 t10",
		`labels={"host":"h2","env":"test"}&limit=2`:  "t24 t23",
		`labels={"host":"h2","env":"live"}`:          "",
		"started_since=1524730100&bk_biz_id=3":       "t20 t10 t00",
		"started_until=1524730100":                   "",
		"finished_since=1524730100&bk_biz_id=3":      "t20 t10 t00",
		"text=root-t07":                              "t07",
		"text=t07&bk_biz_id=3":                       "",
		"bk_biz_id=4":                                "",
		"since=2018-04-26T16:09:00%2B08:00&text=t24": "t24",
		"since=1524730141":                           "",
		"until=1524730140":                           "",
		"until=2018-04-26T08:09:01Z&text=t24":        "t24",
	} {
		ids, _ := f.tasks(query)
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	for _, query := range []string{"state=DONE", "limit=0", "limit=501", "limit=x", "since=yesterday", "cursor=x", "unfinished=perhaps", "has_failures=2", "labels=env", `labels={"env":1}`, "finished_until=soon"} {
		if m := refusal(t, f.get("/api/tasks?"+query)); !strings.Contains(m, strings.SplitN(query, "=", 2)[0]) {
			t.Errorf("%s: message %q", query, m)
		}
	}
}

func TestThePagesOfAListAreComplete(t *testing.T) {
	f := serve(t, nil)
	var want []string
	for i := range 40 {
		id := fmt.Sprintf("t%02d", i)
		f.record(engine.Create("2", id, engine.ID("root-"+id), engine.Name([]string{"odd", "even"}[i%2])))
		if i%2 == 1 {
			want = append(want, id)
		}
	}
	slices.Reverse(want)
	var got []string
	for cursor := ""; ; {
		ids, next := f.tasks("text=even&limit=3&cursor=" + url.QueryEscape(cursor))
		got = append(got, ids...)
		if cursor = next; cursor == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAListRevealsNothingAboutHiddenTasks(t *testing.T) {
	f := serve(t, &httpapi.Options{
		Authenticator: httpapi.NoAuth{},
		Authorize: func(_ context.Context, _ httpapi.Identity, business string) bool {
			return business == "2"
		},
	})
	create := func(business string, n int) {
		for range n {
			f.record(engine.Create(business, fmt.Sprintf("%s-%d", business, f.engine.Position().Sequence)))
		}
	}
	// Six visible tasks, with many others before, between and after them.
	create("hidden", 30)
	for range 6 {
		create("2", 1)
		create("hidden", 30)
	}
	for limit := 1; limit <= 7; limit++ {
		var pages []int
		for cursor := ""; ; {
			ids, next := f.tasks(fmt.Sprintf("limit=%d&cursor=%s", limit, url.QueryEscape(cursor)))
			pages = append(pages, len(ids))
			if cursor = next; cursor == "" {
				break
			}
		}
		var want []int
		for left := 6; left > 0; left -= limit {
			want = append(want, min(left, limit))
		}
		if !slices.Equal(pages, want) {
			t.Errorf("limit %d: pages of %v tasks, want %v", limit, pages, want)
		}
	}
}

func TestTheTreeAsOfAMomentIsThePastTree(t *testing.T) {
	f := serve(t, nil)
	f.recordStory()
	for _, tt := range []struct {
		asOf  string
		state string
	}{
		{"1524730123", "RUNNING"},                     // it starts
		{"2018-04-26T16:08:44.999+08:00", "RUNNING"},  // just before it fails
		{"2018-04-26T16:08:45+08:00", "FAILED"},       // it fails
		{"2018-04-26T08:08:50Z", "FINISHED"},          // it is skipped
		{"2018-04-26T08:08:52.000000001Z", "RUNNING"}, // it loops
		{"9999-12-31T23:59:59Z", "RUNNING"},
	} {
		w := f.get("/api/status", "bk_biz_id", "2", "task_id", "compile", "as_of", tt.asOf)
		var answer documentedResponse
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Data.State != tt.state {
			t.Errorf("as of %s: %s, %v", tt.asOf, w.Body, err)
		}
	}
	for _, asOf := range []string{"1524730119", "then", "10000-01-01T00:00:00Z", "999999999999999999999"} {
		if m := refusal(t, f.get("/api/task", "bk_biz_id", "2", "task_id", "11", "as_of", asOf)); m == "" {
			t.Errorf("as of %s: no message", asOf)
		}
	}
}

func TestTheOtherConventionShowsFailuresFirstEverywhere(t *testing.T) {
	f := serve(t, &httpapi.Options{Authenticator: httpapi.NoAuth{}, Query: &query.Options{Location: zone, Now: clock, FailedFirst: true}})
	f.recordExample()
	f.record(engine.Declare(exampleRoot, state.ServiceActivity, engine.ID("busy")), engine.Start("busy"))
	for _, path := range []string{callPath, "/api/task", "/api/status"} {
		if body := f.get(path, "bk_biz_id", "2", "task_id", "10").Body.String(); !strings.Contains(body, `"state":"FAILED"`) ||
			strings.Count(body, `"state":"RUNNING"`) != 1 {
			t.Errorf("%s: %s", path, body)
		}
	}
	s := subscribe(t, listen(t, f.handler).URL, "2", "10", "")
	if e := s.must(t, "snapshot"); e.data["state"] != "FAILED" {
		t.Errorf("snapshot: %v", e.data["state"])
	}
	f.record(engine.Finish("busy", engine.At(time.Now())))
	if e := s.must(t, "transition"); e.data["state"] != "FAILED" {
		t.Errorf("transition: %v", e.data["state"])
	}
}

// The library in the page is the file with that checksum, together with its
// license.
func TestTheLibraryInThePageIsTheOneBuilt(t *testing.T) {
	library, err := os.ReadFile("page/dagre/dagre.js")
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile("page/dagre/SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%x  dagre.js\n", sha256.Sum256(library)); string(sums) != want {
		t.Errorf("the checksum is %q, that of the file is %q", sums, want)
	}
	license, err := os.ReadFile("page/dagre/LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	body := serve(t, nil).get("/").Body.String()
	if !strings.Contains(body, string(library)) || !strings.Contains(body, string(license)) {
		t.Error("the page has no library, or no license of it")
	}
}

func TestThePageIsOneResponse(t *testing.T) {
	f := serve(t, nil)
	w := f.get("/")
	body := w.Body.String()
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("status %d, %v", w.Code, w.Header())
	}
	body = strings.ReplaceAll(body, "http://www.w3.org/2000/svg", "") // the name of SVG, from which nothing is loaded
	for _, outside := range []string{"http://", "https://", "src=", "<link rel=\"stylesheet", "@import", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("} {
		if strings.Contains(body, outside) {
			t.Errorf("the page has %q", outside)
		}
	}
	for _, inside := range []string{"<style>:root", `<script>"use strict";`} {
		if !strings.Contains(body, inside) {
			t.Errorf("the page has no %q", inside)
		}
	}
	r := request("GET", "/", nil)
	r.Header.Set("If-None-Match", w.Header().Get("ETag"))
	if again := f.do(r); again.Code != 304 || again.Body.Len() > 0 {
		t.Errorf("again: %d", again.Code)
	}
}
