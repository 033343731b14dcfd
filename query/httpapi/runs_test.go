package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/state"
)

// recordRuns records runs of a pipeline in business 2: three that took 60, 62 and
// 64 seconds, and one that has been running for 20 seconds by the fixture's clock.
func (f *fixture) recordRuns() {
	f.Helper()
	for i := range 4 {
		task := fmt.Sprint("run-", i)
		begin := clock().Add(-20 * time.Second)
		if i < 3 {
			begin = begin.AddDate(0, 0, i-3)
		}
		at := func(sec int) engine.Option { return engine.At(begin.Add(time.Duration(sec) * time.Second)) }
		f.record(engine.Create("2", task, engine.ID(task), engine.Name("Deploy"), engine.Labels(map[string]string{"env": "prod"}), at(0)), engine.Start(task, at(0)))
		for _, step := range []string{"build", "check"} {
			f.record(engine.Declare(task, state.ServiceActivity, engine.ID(task+step), engine.Name(step), at(0)), engine.Start(task+step, at(0)))
		}
		if i < 3 {
			f.record(engine.Finish(task+"check", at(10)), engine.Finish(task+"build", at(60+2*i)), engine.Finish(task, at(60+2*i)))
		}
	}
}

// data decodes the data of an answer into a value.
func (f *fixture) data(path string, into any) {
	f.Helper()
	var answer struct {
		Result  bool
		Message string
		Data    json.RawMessage
	}
	w := f.get(path)
	err := json.Unmarshal(w.Body.Bytes(), &answer)
	if err == nil && answer.Result {
		err = json.Unmarshal(answer.Data, into)
	}
	if err != nil || !answer.Result {
		f.Fatalf("%s: %d %v %s", path, w.Code, err, w.Body)
	}
}

type usualTimes struct {
	Runs  int
	End   string `json:"expected_end"`
	Steps int    `json:"expected_steps"`

	Overdue    float64
	Waits      string
	NotCounted int `json:"not_counted"`

	Nodes []struct {
		Index, Runs, Failures, Finished int
		Median, P95                     float64
	}
}

func TestTheUsualTimesOfARunAreThoseOfTheRunsLikeIt(t *testing.T) {
	f := serve(t, nil)
	f.recordRuns()
	for query, runs := range map[string]int{
		"": 3, "&name=Deploy": 3, `&labels={"env":"prod"}`: 3, "&name=Other": 0, `&name=Deploy&labels={"env":"test"}`: 0,
	} {
		var got usualTimes
		f.data("/api/usual?bk_biz_id=2&task_id=run-3"+query, &got)
		if got.Runs != runs || len(got.Nodes) != min(runs, 3) {
			t.Errorf("%s: %+v", query, got)
		}
		if runs == 0 {
			if got.End != "" {
				t.Errorf("%s: it is expected to end at %s", query, got.End)
			}
			continue
		}
		if want := clock().Add(42 * time.Second).Format(time.RFC3339); got.End != want {
			t.Errorf("%s: it is expected to end at %s, want %s", query, got.End, want)
		}
		if n := got.Nodes[2]; n.Index != 2 || n.Runs != 3 || n.Failures != 0 || n.Finished != 3 || n.Median != 10 || n.P95 != 10 {
			t.Errorf("%s: the check took %+v", query, n)
		}
	}
	// A task without a name and labels has no similar runs.
	f.record(engine.Create("2", "alone", engine.ID("alone")), engine.Start("alone"))
	var got usualTimes
	f.data("/api/usual?bk_biz_id=2&task_id=alone", &got)
	if got.Runs != 0 || got.End != "" || len(got.Nodes) != 0 {
		t.Errorf("%+v", got)
	}
	if m := refusal(t, f.get("/api/usual?bk_biz_id=2&task_id=run-3&labels=x")); !strings.Contains(m, "labels") {
		t.Error(m)
	}
}

func TestATaskThatIsLateOrWaitsSaysSo(t *testing.T) {
	f := serve(t, nil)
	f.recordRuns()
	usual := func(task string) (got usualTimes) {
		f.data("/api/usual?bk_biz_id=2&task_id="+task, &got)
		return got
	}
	if got := usual("run-3"); got.Overdue != 0 || got.Waits != "" || got.NotCounted != 0 || got.End == "" {
		t.Errorf("in time: %+v", got)
	}
	begin, later := engine.At(clock().Add(-92*time.Second)), engine.At(clock().Add(-82*time.Second))
	f.record(engine.Create("2", "late", engine.ID("late"), engine.Name("Deploy"), begin), engine.Start("late", begin),
		engine.Declare("late", state.ServiceActivity, engine.ID("latebuild"), engine.Name("build"), begin), engine.Start("latebuild", begin),
		engine.Declare("late", state.ServiceActivity, engine.ID("latecheck"), engine.Name("check"), begin), engine.Start("latecheck", begin), engine.Finish("latecheck", later))
	if got := usual("late"); got.Overdue != 30 || got.Waits != "" || got.End != clock().Format(time.RFC3339) {
		t.Errorf("late: %+v", got)
	}
	f.record(engine.Fail("run-3build", "disk full"))
	if got := usual("run-3"); got.Overdue != 0 || got.Waits != "FAILED" || got.End != "" {
		t.Errorf("failed: %+v", got)
	}
	f.record(engine.Fail("run-3check", "disk full"))
	if got := usual("late"); got.NotCounted != 1 || got.Runs != 3 {
		t.Errorf("beside a run that failed: %+v", got)
	}
}

func TestTwoRunsAreComparedNodeByNode(t *testing.T) {
	f := serve(t, nil)
	f.recordRuns()
	f.record(engine.Fail("run-3build", "disk full"))
	var got struct {
		A, B  string
		Nodes []struct {
			Path    []string
			Kind    string
			Name    string
			Differs bool
			A, B    struct {
				Node    string `json:"node_id"`
				State   string
				Seconds float64
				Error   string
			}
		}
	}
	f.data("/api/compare?bk_biz_id=2&task_id=run-3&with=run-1", &got)
	if got.A != "run-1" || got.B != "run-3" || len(got.Nodes) != 3 {
		t.Fatalf("%+v", got)
	}
	n := got.Nodes[1]
	if !slices.Equal(n.Path, []string{"build"}) || n.Kind != "service_activity" || !n.Differs ||
		n.A.Node != "run-1build" || n.A.State != "FINISHED" || n.A.Seconds != 62 || n.B.State != "FAILED" || n.B.Seconds != 20 || n.B.Error != "disk full" {
		t.Errorf("%+v", n)
	}
	for query, message := range map[string]string{"": "with is required", "&with=absent": `"absent"`} {
		if m := refusal(t, f.get("/api/compare?bk_biz_id=2&task_id=run-3"+query)); !strings.Contains(m, message) {
			t.Errorf("%s: %s", query, m)
		}
	}
}

// Callers learn nothing about the runs of another business.
func TestRunsAreComparedWithinABusiness(t *testing.T) {
	f := serve(t, &httpapi.Options{
		Authenticator: httpapi.NoAuth{},
		Authorize:     func(_ context.Context, _ httpapi.Identity, business string) bool { return business == "2" },
	})
	f.recordRuns()
	f.record(engine.Create("3", "secret", engine.ID("secret"), engine.Name("Deploy"), engine.At(clock().Add(-time.Hour))), engine.Start("secret", engine.At(clock().Add(-time.Hour))), engine.Finish("secret"))
	if m := refusal(t, f.get("/api/compare?bk_biz_id=2&task_id=run-3&with=secret")); !strings.Contains(m, `business "2" has no task or node "secret"`) {
		t.Error(m)
	}
	var got usualTimes
	if f.data("/api/usual?bk_biz_id=2&task_id=run-3", &got); got.Runs != 3 {
		t.Errorf("computed from %d runs", got.Runs)
	}
	for _, path := range []string{"/api/compare?bk_biz_id=3&task_id=secret&with=secret", "/api/usual?bk_biz_id=3&task_id=secret"} {
		refusal(t, f.get(path))
	}
}

// The counts of a list match its tasks, for every filter.
func TestTheCountsAgreeWithTheList(t *testing.T) {
	f := serve(t, nil)
	f.recordRuns()
	f.recordExample()
	f.recordStory()
	f.recordFlow()
	values := map[string]string{
		"bk_biz_id": "2", "state": "RUNNING", "unfinished": "true", "has_failures": "true", "name": "Deploy", "labels": `{"env":"prod"}`, "text": "run",
		"since": "1524730141", "until": "1524730122", "started_since": "1524730122", "started_until": "1524730122",
		"finished_since": "1524730122", "finished_until": "1524730122",
	}
	d := describe(t, f)
	named := func(path string) (names []string) {
		var op operation
		if err := json.Unmarshal(d.item(path)["get"], &op); err != nil {
			t.Fatal(err)
		}
		for _, p := range op.Parameters {
			names = append(names, p.Name)
		}
		slices.Sort(names)
		return names
	}
	ofList := slices.DeleteFunc(named("/api/tasks"), func(name string) bool {
		return name == "cursor" || name == "limit" || name == "oldest_first" || name == "sort"
	})
	if diff := cmp.Diff(ofList, named("/api/counts")); diff != "" {
		t.Errorf("the filters of the list and of its counts (-list +counts):\n%s", diff)
	}
	all, _ := f.tasks("")
	for _, name := range ofList {
		if values[name] == "" {
			t.Errorf("nothing is asked for by %s", name)
		}
		asked := name + "=" + values[name]
		listed, _ := f.tasks(asked)
		var counts struct {
			States      map[string]int
			Unfinished  int
			HasFailures int `json:"has_failures"`
		}
		f.data("/api/counts?"+asked, &counts)
		sum := 0
		for _, n := range counts.States {
			sum += n
		}
		unfinished, _ := f.tasks(asked + "&unfinished=true")
		failures, _ := f.tasks(asked + "&has_failures=true")
		if name == "unfinished" {
			unfinished = listed
		}
		if name == "has_failures" {
			failures = listed
		}
		if sum != len(listed) || counts.Unfinished != len(unfinished) || counts.HasFailures != len(failures) {
			t.Errorf("%s: %+v, listed are %v, unfinished %v, with failures %v", asked, counts, listed, unfinished, failures)
		}
		if name != "bk_biz_id" && len(listed) == len(all) {
			t.Errorf("%s filters nothing", asked)
		}
	}
}
