package tracing_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/engine/enginetest"
	"github.com/pipestatus/pipestatus/engine/tracing"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/feed"
)

// follow exports everything there is.
func follow(t *testing.T, r store.Reader, at feed.Bookmark, to sdktrace.SpanExporter) {
	t.Helper()
	if err := tracing.Follow(t.Context(), r, at, to, &tracing.Options{Once: true}); err != nil {
		t.Fatal(err)
	}
}

// build records a pipeline with a subprocess whose only activity fails, is retried
// and finishes, and a second activity that is skipped.
func build(t *testing.T, e *engine.Engine) {
	t.Helper()
	for _, ops := range [][]engine.Op{
		{engine.Create("2", "10", engine.ID("root"), engine.Name("nightly build")), engine.Start("root")},
		{engine.Declare("root", state.Subprocess, engine.ID("sub"), engine.Name("tests")), engine.Start("sub")},
		{engine.Declare("sub", state.ServiceActivity, engine.ID("unit")), engine.Start("unit")},
		{engine.Fail("unit", "exit status 1"), engine.Retry("unit"), engine.Start("unit"), engine.Finish("unit")},
		{engine.Finish("sub")},
		{engine.Declare("root", state.ServiceActivity, engine.ID("deploy")), engine.Skip("deploy", engine.Actor("ann"))},
		{engine.Declare("root", state.ServiceActivity, engine.ID("never"))},
		{engine.Revoke("root")},
	} {
		if _, err := e.Record(t.Context(), ops...); err != nil {
			t.Fatal(err)
		}
	}
}

func TestATaskIsOneTraceAndAnAttemptOneSpanBelowItsContainers(t *testing.T) {
	e, spans := enginetest.Engine(t), tracetest.NewInMemoryExporter()
	build(t, e)
	follow(t, e, new(feed.Memory), spans)
	task := state.Key{Business: "2", Task: "10"}
	id := func(node string, number int) trace.SpanID { return tracing.SpanID(task, "root", node, number) }
	type span struct {
		name   string
		id     trace.SpanID
		parent trace.SpanID
		status codes.Code
		text   string
	}
	class := state.ServiceActivity.Class()
	want := []span{
		{class, id("unit", 1), id("sub", 1), codes.Error, "exit status 1"},
		{class, id("unit", 2), id("sub", 1), codes.Ok, ""},
		{"tests", id("sub", 1), id("root", 1), codes.Ok, ""},
		{class, id("deploy", 2), id("root", 1), codes.Ok, ""},
		{"nightly build", id("root", 1), trace.SpanID{}, codes.Unset, ""},
	}
	var got []span
	for _, s := range spans.GetSpans() {
		got = append(got, span{s.Name, s.SpanContext.SpanID(), s.Parent.SpanID(), s.Status.Code, s.Status.Description})
		if s.SpanContext.TraceID() != tracing.TraceID(task, "root") || !s.SpanContext.IsSampled() {
			t.Errorf("%s is in trace %s", s.Name, s.SpanContext.TraceID())
		}
		if s.StartTime.IsZero() || s.EndTime.Before(s.StartTime) {
			t.Errorf("%s lasts from %s to %s", s.Name, s.StartTime, s.EndTime)
		}
		if s.InstrumentationScope.Name != tracing.ScopeName {
			t.Errorf("%s has scope %q", s.Name, s.InstrumentationScope.Name)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	skip := spans.GetSpans()[3].Attributes
	for _, wanted := range []string{"pipestatus.attempt.skipped=true", "enduser.id=ann", "pipestatus.task.id=10", "pipestatus.attempt.retry=1"} {
		found := false
		for _, a := range skip {
			found = found || string(a.Key)+"="+a.Value.String() == wanted
		}
		if !found {
			t.Errorf("the skip lacks %s", wanted)
		}
	}
}

func TestSpansAreDeterministic(t *testing.T) {
	e, first, second := enginetest.Engine(t), tracetest.NewInMemoryExporter(), tracetest.NewInMemoryExporter()
	build(t, e)
	follow(t, e, new(feed.Memory), first)
	// The second begins in the middle of the task, and has to read what was before.
	for start := range e.Position().Sequence {
		second.Reset()
		b := new(feed.Memory)
		b.Save(t.Context(), e.Position().At(start+1))
		follow(t, e, b, second)
		again := second.GetSpans()
		all := first.GetSpans()
		for i, s := range again {
			if want := all[len(all)-len(again)+i]; fmt.Sprint(s) != fmt.Sprint(want) {
				t.Errorf("after %d span %d is\n%v, want\n%v", start+1, i, s, want)
			}
		}
	}
}

// flaky is an exporter that fails now and then, sometimes after it has taken the
// spans, and ends the consumer at times.
type flaky struct {
	*tracetest.InMemoryExporter
	stop context.CancelFunc
}

func (f *flaky) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	chance := rand.IntN(6)
	if chance > 0 {
		if err := f.InMemoryExporter.ExportSpans(ctx, spans); err != nil {
			return err
		}
	}
	switch chance {
	case 0, 1:
		return errors.New("unavailable")
	case 2:
		f.stop()
	}
	return nil
}

func TestNoSpanIsLostOrDoubledAfterFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := enginetest.Engine(t)
		at := feed.File(filepath.Join(t.TempDir(), "position"))
		spans := tracetest.NewInMemoryExporter()
		for range 60 {
			operate(t, e)
			ctx, stop := context.WithCancel(t.Context())
			o := &tracing.Options{Once: true, Feed: feed.Options{Limit: 1 + rand.IntN(40)}}
			err := tracing.Follow(ctx, e, at, &flaky{spans, stop}, o)
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			stop()
		}
		follow(t, e, at, spans)
		want, content := attempts(t, e), make(map[trace.SpanID]string)
		for _, s := range spans.GetSpans() {
			id := s.SpanContext.SpanID()
			if before, again := content[id]; again && before != fmt.Sprint(s) {
				t.Errorf("span %s came as\n%s and as\n%v", id, before, s)
			}
			content[id] = fmt.Sprint(s)
			if !want[id] {
				t.Errorf("span %s is of no attempt that ended: %s", id, s.Name)
			}
		}
		if len(content) != len(want) {
			t.Errorf("%d spans of %d attempts", len(content), len(want))
		}
		t.Logf("%d spans, %d exported", len(content), len(spans.GetSpans()))
	})
}

// operate records some operations, most of which the rules allow.
func operate(t *testing.T, e *engine.Engine) {
	t.Helper()
	for range 30 {
		task := strconv.Itoa(rand.IntN(8))
		root, sub := "root"+task, "sub"+task
		node := root + strconv.Itoa(rand.IntN(4))
		id := []string{node, node, node, sub, root}[rand.IntN(5)]
		under := []string{root, sub}[len(node)%2]
		ops := []engine.Op{
			engine.Create("2", task, engine.ID(root)), engine.Start(root), engine.Resume(root),
			engine.Begin(root, state.Subprocess, engine.ID(sub)),
			engine.Begin(under, state.ServiceActivity, engine.ID(node)), engine.Begin(under, state.ServiceActivity, engine.ID(node)),
			engine.Declare(under, state.ServiceActivity, engine.ID(node)),
			engine.Start(id), engine.Finish(id), engine.Finish(node), engine.Fail(id, "broken"), engine.Fail(node, "broken"), engine.Retry(id), engine.Skip(id), engine.Loop(id),
			engine.Suspend(id), engine.Resume(id), engine.Reset(id), engine.Reopen("2", task), engine.Reopen("2", task),
		}
		if rand.IntN(20) == 0 {
			ops = []engine.Op{engine.Revoke(id)}
		}
		_, err := e.Record(t.Context(), ops[rand.IntN(len(ops))])
		if errors.Is(err, store.ErrClosed) {
			t.Fatal(err)
		}
	}
}

// attempts are the span IDs of all attempts that started and ended.
func attempts(t *testing.T, e *engine.Engine) map[trace.SpanID]bool {
	t.Helper()
	want := make(map[trace.SpanID]bool)
	page, err := e.List(t.Context(), store.ListQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range page.Tasks {
		task := &page.Tasks[i]
		snap, err := e.Load(t.Context(), store.Ref{Key: task.Key})
		if err != nil {
			t.Fatal(err)
		}
		for j := range snap.Tree.Len() {
			n := snap.Tree.Node(j)
			all, err := store.Superseded(t.Context(), e, store.ByNode(n.ID), 0, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range append(all, n.Attempt) {
				if a.State.Ended() && a.Started.IsSet() {
					want[tracing.SpanID(task.Key, task.Root, n.ID, a.Number())] = true
				}
			}
		}
	}
	if len(want) < 100 {
		t.Fatalf("only %d attempts", len(want))
	}
	return want
}

func TestDeletedTasksHaveNoSpansAndStopNothing(t *testing.T) {
	e, spans := enginetest.Engine(t), tracetest.NewInMemoryExporter()
	build(t, e)
	if err := e.Delete(t.Context(), "2", "10"); err != nil {
		t.Fatal(err)
	}
	build(t, e) // another task with the same name and nodes
	b := new(feed.Memory)
	b.Save(t.Context(), e.Position().At(5))
	follow(t, e, b, spans)
	if got := len(spans.GetSpans()); got != 5 {
		t.Errorf("%d spans", got)
	}
}
