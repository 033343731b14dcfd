package query_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// runOf records tasks of one pipeline step by step.
type runOf struct {
	testing.TB
	engine *engine.Engine
	task   string
}

// beginRun creates a task with a name and starts it.
func beginRun(t testing.TB, e *engine.Engine, task, name string) *runOf {
	r := &runOf{t, e, task}
	r.do(engine.Create("2", task, engine.ID(task), engine.Name(name), at(0)), engine.Start(task, at(0)))
	return r
}

func (r *runOf) do(ops ...engine.Op) {
	r.Helper()
	record(r, r.engine, ops...)
}

func (r *runOf) id(node string) string { return r.task + "-" + node }

// declare declares a node in the root, or in another node as in "sub/node".
func (r *runOf) declare(path string, kind state.Kind) {
	parent, node := r.task, path
	if above, name, inside := strings.Cut(path, "/"); inside {
		parent, node = r.id(above), name
	}
	r.do(engine.Declare(parent, kind, engine.ID(r.id(node)), engine.Name(node), at(0)))
}

// took declares, starts and finishes a leaf, by seconds from the start.
func (r *runOf) took(path string, from, to int) {
	r.Helper()
	r.declare(path, state.ServiceActivity)
	node := path[strings.Index(path, "/")+1:]
	r.do(engine.Start(r.id(node), at(from)), engine.Finish(r.id(node), at(to)))
}

func (r *runOf) end(sec int) { r.do(engine.Finish(r.task, at(sec))) }

// figures are statistics as lines of text.
func figures(s *query.Statistics) (lines []string) {
	for _, n := range s.Nodes {
		name := strings.Join(n.Path, "/")
		if n.Nth > 1 {
			name += fmt.Sprintf("#%d", n.Nth)
		}
		lines = append(lines, fmt.Sprintf("%s: %d runs, %d failed, %v %v, from %v to %v", name, n.Runs, n.Failures, n.Median, n.P95, n.Begins, n.Ends))
	}
	return lines
}

func TestStatisticsCountRunsAndDurations(t *testing.T) {
	onEach(t, func(t *testing.T, e *engine.Engine) {
		for i, sec := range []int{10, 40, 20} {
			r := beginRun(t, e, fmt.Sprint("run", i), "deploy")
			r.took("build", 0, sec)
			r.declare("checks", state.Subprocess)
			r.do(engine.Start(r.id("checks"), at(sec)))
			r.declare("checks/unit", state.ServiceActivity)
			unit := r.id("unit")
			r.do(engine.Start(unit, at(sec)), engine.Fail(unit, "flaky", at(sec+1)))
			if i == 1 {
				r.do(engine.Skip(unit, at(sec+100)))
			} else {
				r.do(engine.Retry(unit, at(sec+2)), engine.Start(unit, at(sec+3)), engine.Finish(unit, at(sec+8)))
			}
			r.do(engine.Finish(r.id("checks"), at(sec+100)))
			r.end(sec + 100)
		}
		beginRun(t, e, "running", "deploy").took("build", 0, 1000)
		beginRun(t, e, "other", "destroy").end(1000)
	}, func(t *testing.T, r store.Reader) {
		stats, err := query.New(r, &options).Statistics(t.Context(), query.Runs{Business: "2", Name: "deploy"})
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			": 3 runs, 0 failed, 2m0s 2m20s, from 0s to 2m0s",
			"build: 3 runs, 0 failed, 20s 40s, from 0s to 20s",
			"checks: 3 runs, 0 failed, 1m40s 1m40s, from 20s to 2m0s",
			"checks/unit: 5 runs, 3 failed, 5s 5s, from 20s to 28s",
		}
		if diff := cmp.Diff(want, figures(stats)); diff != "" || stats.Runs != 3 {
			t.Errorf("%d runs: %s", stats.Runs, diff)
		}
	})
}

func TestStatisticsAreOfTheNewestRunsOfOneBusiness(t *testing.T) {
	e := openEngine(t, store.NewMemory(), nil)
	for i := range 5 {
		r := beginRun(t, e, fmt.Sprint("run", i), "deploy")
		r.took(fmt.Sprint("step", i/4), 0, i)
		r.end(i)
	}
	record(t, e, engine.Create("3", "run9", engine.ID("foreign"), engine.Name("deploy")), engine.Start("foreign"), engine.Finish("foreign"))
	q := query.New(e, nil)
	stats, err := q.Statistics(t.Context(), query.Runs{Business: "2", Name: "deploy", Last: 2})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		": 2 runs, 0 failed, 3s 4s, from 0s to 3s", "step1: 1 runs, 0 failed, 4s 4s, from 0s to 4s", "step0: 1 runs, 0 failed, 3s 3s, from 0s to 3s",
	}
	if diff := cmp.Diff(want, figures(stats)); diff != "" {
		t.Error(diff)
	}
	if stats, err := q.Statistics(t.Context(), query.Runs{Business: "2", Name: "nothing"}); err != nil || stats.Runs != 0 || len(stats.Nodes) != 0 {
		t.Errorf("of nothing: %+v, %v", stats, err)
	}
	for _, runs := range []query.Runs{{Business: "2"}, {Business: "2", Name: "deploy", Last: query.MaxRuns + 1}} {
		if _, err := q.Statistics(t.Context(), runs); !errors.Is(err, state.ErrInvalidArgument) {
			t.Errorf("%+v: %v", runs, err)
		}
	}
}

func TestStatisticsTellHowManyFailedRunsHaveNotEnded(t *testing.T) {
	e := openEngine(t, store.NewMemory(), nil)
	for i := range 6 {
		r := beginRun(t, e, fmt.Sprint("run", i), "deploy")
		r.declare("build", state.ServiceActivity)
		r.do(engine.Start(r.id("build"), at(0)))
		switch i {
		case 0, 2, 3: // failed, and left
			r.do(engine.Fail(r.id("build"), "full", at(1)))
		case 1, 4:
			r.do(engine.Finish(r.id("build"), at(1)))
			r.end(1)
		}
	}
	for last, want := range map[int]int{1: 0, 2: 2, 3: 3} {
		stats, err := query.New(e, nil).Statistics(t.Context(), query.Runs{Business: "2", Name: "deploy", Last: last})
		if err != nil || stats.Waiting != want || stats.Runs != min(last, 2) || stats.Nodes[1].Failures != 0 {
			t.Errorf("of the last %d: %+v, %v; want %d that wait", last, stats, err, want)
		}
	}
}

func TestStatisticsFollowANodeByItsKey(t *testing.T) {
	e := openEngine(t, store.NewMemory(), nil)
	for i, label := range []string{"test", "prod", "prod"} {
		r := beginRun(t, e, fmt.Sprint("run", i), fmt.Sprint("release ", i))
		r.do(
			engine.Label("2", r.task, engine.Labels(map[string]string{"env": label, "x": fmt.Sprint(i)})),
			engine.Declare(r.task, state.ServiceActivity, engine.ID(r.id("a")), engine.Key("build"), engine.Name(fmt.Sprint("build ", i)), at(0)),
			engine.Start(r.id("a"), at(0)), engine.Finish(r.id("a"), at(10*i)),
		)
		r.end(10 * i)
	}
	stats, err := query.New(e, nil).Statistics(t.Context(), query.Runs{Business: "2", Labels: map[string]string{"env": "prod"}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{": 2 runs, 0 failed, 10s 20s, from 0s to 10s", "build 2: 2 runs, 0 failed, 10s 20s, from 0s to 10s"}
	if diff := cmp.Diff(want, figures(stats)); diff != "" || stats.Nodes[1].Key != "build" {
		t.Error(diff)
	}
	if stats, err := query.New(e, nil).Statistics(t.Context(), query.Runs{Name: "release 1", Labels: map[string]string{"env": "prod"}}); err != nil || stats.Runs != 1 {
		t.Errorf("of a name and a label in any business: %+v, %v", stats, err)
	}
}

func TestStatisticsDistinguishSiblingsWithTheSameName(t *testing.T) {
	e := openEngine(t, store.NewMemory(), nil)
	r := beginRun(t, e, "run", "deploy")
	for i := range 2 {
		r.do(engine.Declare("run", state.ServiceActivity, engine.ID(fmt.Sprint(i)), engine.Name("copy"), at(0)),
			engine.Start(fmt.Sprint(i), at(i)), engine.Finish(fmt.Sprint(i), at(10*i+2)))
	}
	r.end(12)
	stats, err := query.New(e, nil).Statistics(t.Context(), query.Runs{Business: "2", Name: "deploy"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		": 1 runs, 0 failed, 12s 12s, from 0s to 12s", "copy: 1 runs, 0 failed, 2s 2s, from 0s to 2s", "copy#2: 1 runs, 0 failed, 11s 11s, from 1s to 12s",
	}
	if diff := cmp.Diff(want, figures(stats)); diff != "" {
		t.Error(diff)
	}
}

// estimate is the expected end of a task at a given time, -1 for none, and the
// late nodes.
func estimate(t *testing.T, e *engine.Engine, task string, now int) (end int, late []string) {
	t.Helper()
	q := query.New(e, &query.Options{Now: func() time.Time { return begin.Add(time.Duration(now) * time.Second) }})
	got, err := q.Estimate(t.Context(), "2", task, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range got.Late {
		late = append(late, fmt.Sprintf("%s %v/%v", strings.Join(l.Path, "/"), l.Took, l.Usual))
	}
	if got.End.IsZero() {
		return -1, late
	}
	return int(got.End.Sub(begin).Seconds()), late
}

func TestAnEstimateFollowsTheRemainingSteps(t *testing.T) {
	e := openEngine(t, store.NewMemory(), nil)
	beginRun(t, e, "first", "deploy")
	if end, late := estimate(t, e, "first", 10); end != -1 || late != nil {
		t.Errorf("without earlier runs: %d, %v", end, late)
	}
	for i := range 3 { // fetch, then compile and docs at once, then ship
		r := beginRun(t, e, fmt.Sprint("past", i), "deploy")
		r.took("fetch", 0, 10)
		r.took("compile", 10, 40)
		r.took("docs", 10, 15)
		r.took("ship", 40, 60)
		r.end(60)
	}
	r := beginRun(t, e, "now", "deploy")
	expect := func(now, want int, wantLate ...string) {
		t.Helper()
		if end, late := estimate(t, e, "now", now); end != want || !cmp.Equal(late, wantLate) {
			t.Errorf("after %d s: %d, late %v; want %d, %v", now, end, late, want, wantLate)
		}
	}
	expect(0, 60)
	r.declare("fetch", state.ServiceActivity)
	r.do(engine.Start(r.id("fetch"), at(0)))
	expect(5, 60)
	expect(14, 64, "fetch 14s/10s")
	r.do(engine.Finish(r.id("fetch"), at(20)))
	expect(20, 70)
	r.took("docs", 20, 21)
	r.declare("compile", state.ServiceActivity)
	r.do(engine.Start(r.id("compile"), at(20)))
	expect(25, 70)
	expect(65, 85, " 1m5s/1m0s", "compile 45s/30s")
	r.do(engine.Finish(r.id("compile"), at(66)))
	// Another step, unknown in earlier runs, replaces ship.
	r.declare("sign", state.ServiceActivity)
	r.do(engine.Start(r.id("sign"), at(66)))
	r.do(engine.Suspend("now", at(67)))
	expect(68, -1)
}

func TestAnEstimateIgnoresABranchThatWasNotTaken(t *testing.T) {
	e := openEngine(t, store.NewMemory(), nil)
	for i := range 3 {
		r := beginRun(t, e, fmt.Sprint("past", i), "deploy")
		r.took("decide", 0, 1)
		r.took("long way", 1, 100)
		r.took("ship", 100, 110)
		r.end(110)
	}
	r := beginRun(t, e, "now", "deploy")
	r.took("decide", 0, 1)
	r.took("short way", 1, 5)
	r.declare("ship", state.ServiceActivity)
	r.do(engine.Start(r.id("ship"), at(5)))
	if end, _ := estimate(t, e, "now", 6); end != 15 {
		t.Errorf("expected after %d s", end)
	}
}

func TestAContainerThatWaitsForAPersonIsNotLate(t *testing.T) {
	e := openEngine(t, store.NewMemory(), nil)
	for i := range 2 {
		r := beginRun(t, e, fmt.Sprint("past", i), "deploy")
		r.declare("checks", state.Subprocess)
		r.do(engine.Start(r.id("checks"), at(0)))
		r.took("checks/lint", 0, 5)
		r.do(engine.Finish(r.id("checks"), at(5)))
		r.took("ship", 5, 100)
		r.end(100)
	}
	r := beginRun(t, e, "now", "deploy")
	r.declare("checks", state.Subprocess)
	r.declare("checks/lint", state.ServiceActivity)
	r.do(engine.Start(r.id("checks"), at(0)), engine.Start(r.id("lint"), at(0)))
	r.declare("ship", state.ServiceActivity)
	r.do(engine.Start(r.id("ship"), at(5)))
	if _, late := estimate(t, e, "now", 20); !cmp.Equal(late, []string{"checks 20s/5s", "checks/lint 20s/5s"}) {
		t.Errorf("while it runs: %v", late)
	}
	r.do(engine.Fail(r.id("lint"), "3 warnings", at(20)))
	if _, late := estimate(t, e, "now", 30); late != nil {
		t.Errorf("while it waits: %v", late)
	}
}

func TestATaskWithoutANameIsLikeThoseWithItsLabels(t *testing.T) {
	e := openEngine(t, store.NewMemory(), nil)
	labels := engine.Labels(map[string]string{"pipeline": "deploy"})
	for i := range 2 {
		r := beginRun(t, e, fmt.Sprint("past", i), fmt.Sprint("deploy ", i))
		r.do(engine.Label("2", r.task, labels))
		r.took("build", 0, 30)
		r.end(30)
	}
	r := beginRun(t, e, "now", "")
	if end, _ := estimate(t, e, "now", 10); end != -1 {
		t.Errorf("without name and labels: expected after %d s", end)
	}
	r.do(engine.Label("2", "now", labels))
	r.declare("build", state.ServiceActivity)
	r.do(engine.Start(r.id("build"), at(0)))
	if end, _ := estimate(t, e, "now", 10); end != 30 {
		t.Errorf("expected after %d s", end)
	}
}
