package query_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

func TestAnEstimateContainsTheUsualPauses(t *testing.T) {
	e := openEngine(t, store.NewMemory(), nil)
	for i := range 3 { // with a pause after each step
		r := beginRun(t, e, fmt.Sprint("past", i), "deploy")
		r.took("build", 5, 10)
		r.took("approved", 100, 110)
		r.end(150)
	}
	r := beginRun(t, e, "now", "deploy")
	for now, want := range map[int]int{0: 150, 4: 150, 20: 165} {
		if end, _ := estimate(t, e, "now", now); end != want {
			t.Errorf("after %d s without a step it is expected after %d s, want %d", now, end, want)
		}
	}
	r.took("build", 15, 20)
	for now, want := range map[int]int{20: 160, 100: 160, 130: 180} {
		if end, _ := estimate(t, e, "now", now); end != want {
			t.Errorf("after %d s it is expected after %d s, want %d", now, end, want)
		}
	}
	r.took("approved", 120, 121)
	for now, want := range map[int]int{122: 161, 170: 170} {
		if end, _ := estimate(t, e, "now", now); end != want {
			t.Errorf("after %d s with the last step done it is expected after %d s, want %d", now, end, want)
		}
	}
}

func TestAnEstimateContainsTheUsualRetriesAndLoops(t *testing.T) {
	e := openEngine(t, store.NewMemory(), nil)
	for i := range 3 {
		r := beginRun(t, e, fmt.Sprint("past", i), "deploy")
		r.declare("test", state.ServiceActivity)
		id := r.id("test")
		r.do(engine.Start(id, at(0)), engine.Fail(id, "flaky", at(10)), engine.Retry(id, at(40)),
			engine.Start(id, at(40)), engine.Finish(id, at(50)), engine.Loop(id, at(60)), engine.Finish(id, at(70)))
		r.took("ship", 70, 80)
		r.end(80)
	}
	r := beginRun(t, e, "now", "deploy")
	r.declare("test", state.ServiceActivity)
	r.do(engine.Start(r.id("test"), at(0)))
	if end, _ := estimate(t, e, "now", 5); end != 80 {
		t.Errorf("in the first attempt it is expected after %d s", end)
	}
	r.do(engine.Fail(r.id("test"), "flaky", engine.RetryAt(begin.Add(35*time.Second)), at(12)))
	if end, _ := estimate(t, e, "now", 20); end != 35+70+10 {
		t.Errorf("before the retry it is expected after %d s", end)
	}
	r.do(engine.Retry(r.id("test"), at(35)), engine.Start(r.id("test"), at(35)))
	if end, _ := estimate(t, e, "now", 40); end != 35+10+10 {
		t.Errorf("in the second attempt it is expected after %d s", end)
	}
}

func TestAnEstimateCountsTheStepsThatAreNotDeclaredYet(t *testing.T) {
	e := openEngine(t, store.NewMemory(), nil)
	for i := range 3 {
		r := beginRun(t, e, fmt.Sprint("past", i), "deploy")
		r.took("decide", 0, 1)
		if i == 0 {
			r.took("rare", 1, 2)
		}
		r.took("long way", 2, 100)
		r.took("ship", 100, 110)
		r.took("tell", 110, 111)
		r.end(111)
	}
	steps := func(want int) {
		t.Helper()
		q := query.New(e, &query.Options{Now: func() time.Time { return begin.Add(7 * time.Second) }})
		if got, err := q.Estimate(t.Context(), "2", "now", 0); err != nil || got.Steps != want {
			t.Errorf("%d steps are expected, want %d; %v", got.Steps, want, err)
		}
	}
	r := beginRun(t, e, "now", "deploy")
	steps(4)
	r.took("decide", 0, 1)
	r.took("short way", 1, 5)
	steps(5)
	r.declare("tell", state.ServiceActivity)
	steps(5)
	r.took("ship", 5, 6)
	steps(4) // and no longer the long way
	r.do(engine.Suspend("now", at(7)))
	steps(4)
	beginRun(t, e, "now2", "unknown").took("only", 0, 1)
	q := query.New(e, &query.Options{Now: func() time.Time { return begin.Add(7 * time.Second) }})
	if got, err := q.Estimate(t.Context(), "2", "now2", 0); err != nil || got.Steps != 1 {
		t.Errorf("without earlier runs %d steps are expected; %v", got.Steps, err)
	}
}

func TestAnEstimateExpectsTheStepsOfRunsThatCameToAnEnd(t *testing.T) {
	e := openEngine(t, store.NewMemory(), nil)
	for i := range 3 {
		r := beginRun(t, e, fmt.Sprint("past", i), "deploy")
		r.took("build", 0, 10)
		if i == 0 { // a rare step, which loops
			r.took("repair", 10, 11)
			for range 5 {
				r.do(engine.Loop(r.id("repair"), at(11)), engine.Finish(r.id("repair"), at(12)))
			}
		}
		r.declare("lint", state.ServiceActivity) // fails always, which is ignored
		r.do(engine.Start(r.id("lint"), at(20)), engine.Fail(r.id("lint"), "warnings", engine.Ignore(), at(30)))
		r.end(30)
	}
	for i := range 8 {
		r := beginRun(t, e, fmt.Sprint("given up", i), "deploy")
		r.do(engine.Revoke(r.task, at(1)))
	}
	beginRun(t, e, "now", "deploy")
	q := query.New(e, &query.Options{Now: func() time.Time { return begin }})
	if got, err := q.Estimate(t.Context(), "2", "now", 0); err != nil || got.Steps != 2 || !got.End.Equal(begin.Add(30*time.Second)) {
		t.Errorf("%+v, %v; want the steps build and lint, and the end after 30 s", got, err)
	}
}

func TestATaskThatWaitsForAPersonHasNoExpectedEnd(t *testing.T) {
	e := openEngine(t, store.NewMemory(), nil)
	for i := range 3 {
		r := beginRun(t, e, fmt.Sprint("past", i), "deploy")
		r.took("build", 0, 10)
		r.took("ship", 10, 20)
		r.end(20)
	}
	r := beginRun(t, e, "now", "deploy")
	waits := func(want state.State) {
		t.Helper()
		q := query.New(e, &query.Options{Now: func() time.Time { return begin.Add(8 * time.Second) }})
		got, err := q.Estimate(t.Context(), "2", "now", 0)
		if err != nil || got.Waits != want || got.End.IsZero() != (want != 0) {
			t.Errorf("it is expected to end %v and waits for %v, want %v; %v", got.End, got.Waits, want, err)
		}
	}
	r.declare("ship", state.ServiceActivity) // runs all the time
	r.do(engine.Start(r.id("ship"), at(0)))
	r.declare("build", state.ServiceActivity)
	r.do(engine.Start(r.id("build"), at(0)), engine.Fail(r.id("build"), "full", engine.RetryAt(begin.Add(9*time.Second)), at(1)))
	waits(0) // for the retry
	r.do(engine.Retry(r.id("build"), at(2)), engine.Start(r.id("build"), at(2)), engine.Fail(r.id("build"), "full", at(3)))
	waits(state.Failed)
	r.do(engine.Retry(r.id("build"), at(4)), engine.Suspend(r.id("build"), at(4)))
	waits(state.Suspended)
	r.do(engine.Resume(r.id("build"), at(5)))
	waits(0)
	r.declare("checks", state.Subprocess)
	r.declare("checks/lint", state.ServiceActivity)
	r.do(engine.Start(r.id("checks"), at(5)), engine.Start(r.id("lint"), at(5)), engine.Fail(r.id("lint"), "3 warnings", at(6)))
	waits(state.Failed)
	r.do(engine.Finish(r.id("checks"), engine.Tolerate(), at(7)))
	waits(0)
}

func TestAnEstimateTellsForHowLongItHasBeenMoving(t *testing.T) {
	e := openEngine(t, store.NewMemory(), nil)
	for i := range 3 {
		r := beginRun(t, e, fmt.Sprint("past", i), "deploy")
		r.took("build", 5, 15)
		r.took("ship", 20, 30)
		r.end(30)
	}
	overdue := func(now, want int) {
		t.Helper()
		q := query.New(e, &query.Options{Now: func() time.Time { return begin.Add(time.Duration(now) * time.Second) }})
		got, err := q.Estimate(t.Context(), "2", "now", 0)
		if err != nil || got.Overdue != time.Duration(want)*time.Second {
			t.Errorf("after %d s it is overdue by %v, want %d s; %v", now, got.Overdue, want, err)
		}
	}
	r := beginRun(t, e, "now", "deploy")
	overdue(5, 0)
	overdue(7, 2) // the step does not begin
	r.declare("build", state.ServiceActivity)
	r.do(engine.Start(r.id("build"), at(7)))
	overdue(7, 0)
	overdue(17, 0)
	overdue(100, 83)
	r.do(engine.Fail(r.id("build"), "full", engine.RetryAt(begin.Add(200*time.Second)), at(100)))
	overdue(150, 0)
	overdue(210, 10)
	r.do(engine.Retry(r.id("build"), at(210)), engine.Start(r.id("build"), at(210)), engine.Finish(r.id("build"), at(212)))
	overdue(217, 0)
	overdue(220, 3)
	r.took("ship", 221, 222)
	overdue(222, 0)
	overdue(230, 8) // the task does not end
}
