package query_test

import (
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

// compared is a comparison as lines of text, at a number of seconds from the
// beginning.
func compared(t *testing.T, e *engine.Engine, a, b string, now int, o query.Options) (lines []string) {
	t.Helper()
	o.Now = func() time.Time { return begin.Add(time.Duration(now) * time.Second) }
	q := query.New(e, &o)
	var trees [2]*state.Tree
	for i, task := range []string{a, b} {
		snap, err := q.Snapshot(t.Context(), "2", task)
		if err != nil {
			t.Fatal(err)
		}
		trees[i] = snap.Tree
	}
	side := func(s *query.Side) string {
		if s == nil {
			return "-"
		}
		return fmt.Sprintf("%s %s %v", s.ID, s.Shown, s.Took)
	}
	for _, d := range q.Compare(trees[0], trees[1]) {
		mark := ""
		if d.Differs() {
			mark = " *"
		}
		lines = append(lines, fmt.Sprintf("%s: %s, %s%s", strings.Join(d.Path, "/"), side(d.A), side(d.B), mark))
	}
	return lines
}

func TestRunsAreComparedByNodeKeyOrPath(t *testing.T) {
	e := openEngine(t, store.NewMemory(), nil)
	run := func(task string, names ...string) {
		r := beginRun(t, e, task, "")
		r.declare("sub", state.Subprocess)
		for i, name := range names {
			parent := task
			if i%2 == 1 {
				parent = r.id("sub")
			}
			r.do(engine.Declare(parent, state.ServiceActivity, engine.ID(fmt.Sprint(task, i)), engine.Name(name), at(0)))
		}
	}
	run("a", "fetch", "compile", "fetch", "old")
	run("b", "fetch", "test", "new", "compile", "fetch")
	want := []string{
		": a RUNNING 5s, b RUNNING 5s",
		"sub: a-sub CREATED 0s, b-sub CREATED 0s",
		"sub/test: -, b1 CREATED 0s *",
		"sub/compile: a1 CREATED 0s, b3 CREATED 0s",
		"fetch: a0 CREATED 0s, b0 CREATED 0s",
		"new: -, b2 CREATED 0s *",
		"fetch: a2 CREATED 0s, b4 CREATED 0s",
		"sub/old: a3 CREATED 0s, - *",
	}
	if diff := cmp.Diff(want, compared(t, e, "a", "b", 5, query.Options{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestANodeIsComparedByItsKeyWhateverItsName(t *testing.T) {
	e := openEngine(t, store.NewMemory(), nil)
	for _, task := range []string{"a", "b"} {
		beginRun(t, e, task, "").do(engine.Declare(task, state.ServiceActivity, engine.ID(task+"1"), engine.Key("k"), engine.Name("step of "+task), at(0)))
	}
	want := []string{": a RUNNING 0s, b RUNNING 0s", "step of b: a1 CREATED 0s, b1 CREATED 0s"}
	if diff := cmp.Diff(want, compared(t, e, "a", "b", 0, query.Options{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAComparisonMarksUnusualNodes(t *testing.T) {
	e := openEngine(t, store.NewMemory(), nil)
	a, b := beginRun(t, e, "a", ""), beginRun(t, e, "b", "")
	for _, node := range []string{"same", "close", "slower", "retried", "error", "ignored", "waits"} {
		a.took(node, 0, 20)
		if node != "retried" && node != "error" && node != "ignored" && node != "waits" {
			continue
		}
		b.declare(node, state.ServiceActivity)
		b.do(engine.Start(b.id(node), at(0)))
	}
	b.took("same", 0, 20)
	b.took("close", 0, 22) // a tenth
	b.took("slower", 0, 23)
	b.do(engine.Fail(b.id("retried"), "x", at(5)), engine.Retry(b.id("retried"), at(5)), engine.Start(b.id("retried"), at(5)), engine.Finish(b.id("retried"), at(25)))
	b.do(engine.Fail(b.id("error"), "x", at(20)))
	b.do(engine.Fail(b.id("ignored"), "x", engine.Ignore(), at(20)))
	b.do(engine.Suspend(b.id("waits"), at(20)))
	want := []string{
		": a RUNNING 1m0s, b FAILED 25s *", // it came to a stand
		"retried: a-retried FINISHED 20s, b-retried FINISHED 20s *",
		"error: a-error FINISHED 20s, b-error FAILED 20s *",
		"ignored: a-ignored FINISHED 20s, b-ignored FINISHED 20s *",
		"waits: a-waits FINISHED 20s, b-waits SUSPENDED 20s *",
		"same: a-same FINISHED 20s, b-same FINISHED 20s",
		"close: a-close FINISHED 20s, b-close FINISHED 22s",
		"slower: a-slower FINISHED 20s, b-slower FINISHED 23s *",
	}
	if diff := cmp.Diff(want, compared(t, e, "a", "b", 60, query.Options{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAComparisonHasTheConventionOfItsQuery(t *testing.T) {
	e := openEngine(t, store.NewMemory(), nil)
	r := beginRun(t, e, "a", "")
	r.took("done", 0, 1)
	for _, node := range []string{"bad", "runs"} {
		r.declare(node, state.ServiceActivity)
		r.do(engine.Start(r.id(node), at(0)))
	}
	r.do(engine.Fail(r.id("bad"), "x", at(1)))
	for failedFirst, want := range map[bool]string{false: ": a RUNNING 9s, a RUNNING 9s", true: ": a FAILED 9s, a FAILED 9s"} {
		if got := compared(t, e, "a", "a", 9, query.Options{FailedFirst: failedFirst}); got[0] != want {
			t.Errorf("failed first %t: %s, want %s", failedFirst, got[0], want)
		}
	}
}
