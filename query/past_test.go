package query_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// An import whose times go backwards from node to node.
func backwards(t *testing.T, e *engine.Engine) {
	record(
		t, e,
		engine.Create("2", "10", engine.ID("root"), at(-300)), engine.Start("root", at(-300)),
		engine.Declare("root", state.ServiceActivity, engine.ID("a"), at(-200)), engine.Start("a", at(-150)),
		engine.Declare("root", state.ServiceActivity, engine.ID("b"), at(-250)), engine.Start("b", at(-240)),
		engine.Finish("a", at(-100)), engine.Fail("b", "broke", at(-230)), engine.Retry("b", at(-220)),
		engine.Start("b", at(-50)), engine.Finish("b", at(-120)),
	)
}

func TestAsOfIsTheStateBeforeTheFirstTransitionLaterThanTheTime(t *testing.T) {
	for name, c := range map[string]struct {
		task   string
		record func(*testing.T, *engine.Engine)
	}{"documented": {"10", documented}, "various": {"11", various}, "backwards": {"10", backwards}} {
		t.Run(name, func(t *testing.T) {
			onEach(t, c.record, func(t *testing.T, r store.Reader) {
				o := options
				o.Fields = query.AllFields
				q := query.New(r, &o)
				now, err := q.Snapshot(t.Context(), "2", c.task)
				if err != nil {
					t.Fatal(err)
				}
				// The model: every version of the tree, and its time.
				trees, times := []*state.Tree{state.NewTree(now.Tree.Key())}, []state.Instant{}
				for tr, err := range q.Transitions(t.Context(), now.Tree) {
					if err != nil {
						t.Fatal(err)
					}
					next, err := trees[len(trees)-1].Replay(tr)
					if err != nil {
						t.Fatal(err)
					}
					trees, times = append(trees, next), append(times, tr.At)
				}
				if len(times) == 0 || trees[len(trees)-1].Revision() != now.Tree.Revision() {
					t.Fatalf("%d transitions lead to revision %d", len(times), now.Tree.Revision())
				}
				for _, around := range times {
					for _, d := range []time.Duration{-1, 0, 1} {
						moment := around.Time().Add(d)
						n := slices.IndexFunc(times, func(i state.Instant) bool { return i.Time().After(moment) })
						if n < 0 {
							n = len(times)
						}
						asOf(t, q, moment, trees[n], now, c.task)
					}
				}
				asOf(t, q, time.Time{}, trees[0], now, c.task)
				asOf(t, q, time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC), trees[len(trees)-1], now, c.task)
			})
		})
	}
}

// asOf checks the state of every known node at a moment.
func asOf(t *testing.T, q *query.Query, moment time.Time, want *state.Tree, now store.Snapshot, task string) {
	t.Helper()
	for i := range now.Tree.Len() {
		name := now.Tree.ID(i)
		if i == 0 {
			name = task
		}
		got, err := q.AsOf(t.Context(), "2", name, moment)
		node, there := want.Find(now.Tree.ID(i))
		var notFound *query.NotFoundError
		switch {
		case !there && !errors.As(err, &notFound):
			t.Fatalf("%s at %s: %v, was not there yet", name, moment, err)
		case there && err != nil:
			t.Fatalf("%s at %s: %v", name, moment, err)
		case there:
			if diff := cmp.Diff(q.StatusOf(got.Tree, got.Index), q.StatusOf(want, node)); diff != "" || got.Position != now.Position {
				t.Fatalf("%s at %s, position %s:\n%s", name, moment, got.Position, diff)
			}
		}
	}
}

// short is a reader with pages of two transitions; before is called before each.
type short struct {
	store.Reader
	before func()
}

func (s short) Transitions(ctx context.Context, key state.Key, after uint64, _ int) ([]*state.Transition, error) {
	s.before()
	return s.Reader.Transitions(ctx, key, after, 2)
}

func TestATaskDeletedDuringAReadIsNeverShownInPart(t *testing.T) {
	again := []engine.Op{engine.Create("2", "10", engine.ID("other"), at(0)), engine.Start("other", at(0)), engine.Suspend("other", at(1))}
	for name, c := range map[string]struct {
		ops  []engine.Op
		want string // root's ID
	}{"deleted": {nil, ""}, "recreated": {again, "other"}, "recreated, shorter": {again[:1], "other"}} {
		for page := range 4 {
			for _, timeline := range []bool{false, true} {
				e := openEngine(t, store.NewMemory(), &engine.Options{Now: clock()})
				record(t, e, engine.Create("2", "10", engine.ID("root"), at(0)), engine.Start("root", at(0)),
					engine.Declare("root", state.StartEvent, engine.ID("a"), at(0)), engine.Start("a", at(0)), engine.Finish("a", at(1)),
					engine.Finish("root", at(1)))
				pages := 0
				q := query.New(short{e, func() {
					if pages++; pages-1 == page {
						if err := e.Delete(t.Context(), "2", "10"); err != nil {
							t.Fatal(err)
						}
						record(t, e, c.ops...)
					}
				}}, &options)
				want := c.want
				if page == 3 { // after the last page
					want = "root"
				}
				var root string
				var err error
				if timeline {
					var spans []query.Span
					if spans, err = q.Timeline(t.Context(), "2", "10"); err == nil {
						root = spans[0].Node
					}
				} else {
					var snap store.Snapshot
					if snap, err = q.AsOf(t.Context(), "2", "10", noon); err == nil {
						root = snap.Tree.ID(0)
					}
				}
				if root != want || (want == "") != errors.Is(err, state.ErrNotFound) {
					t.Errorf("%s before page %d, timeline %t: root %q, %v; want %q", name, page, timeline, root, err, want)
				}
			}
		}
	}
}

// The reader notices lost transitions: they are not the end of the list.
func TestMissingTransitionsAreAnError(t *testing.T) {
	m := store.NewMemory()
	documented(t, openEngine(t, m, nil))
	q := query.New(lossy{m}, &options)
	if _, err := q.AsOf(t.Context(), "2", "10", noon); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("AsOf: %v", err)
	}
	if _, err := q.Timeline(t.Context(), "2", "10"); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("Timeline: %v", err)
	}
}

type lossy struct{ store.Reader }

func (l lossy) Transitions(ctx context.Context, key state.Key, after uint64, _ int) ([]*state.Transition, error) {
	if after > 2 {
		return nil, ctx.Err()
	}
	return l.Reader.Transitions(ctx, key, after, 2)
}

func TestHistoryListsSupersededAttemptsOldestFirst(t *testing.T) {
	onEach(t, various, func(t *testing.T, r store.Reader) {
		q := query.New(r, &options)
		for node, want := range map[string][]query.Attempt{
			"root": {}, "later": {},
			"flaky":   {{Loop: 1, State: state.Failed, Version: version(4), Started: begin.Add(3 * time.Second), Finished: begin.Add(8 * time.Second), Error: "timed out\nafter 5s"}},
			"skipped": {{Loop: 1, State: state.Failed, Version: version(6), Started: begin.Add(3 * time.Second), Finished: begin.Add(5 * time.Second), Error: "no space left"}},
			"looping": {{Loop: 1, State: state.Finished, Version: version(8), Started: begin.Add(3 * time.Second), Finished: begin.Add(4 * time.Second), Error: "ignored", ErrorIgnored: true}},
		} {
			got, err := collect(q.History(t.Context(), store.ByNode(node)))
			if diff := cmp.Diff(got, want); diff != "" || err != nil {
				t.Errorf("%s: %v\n%s", node, err, diff)
			}
		}
		if _, err := collect(q.History(t.Context(), store.ByNode("nowhere"))); !errors.Is(err, state.ErrNotFound) || err.Error() != `query: not found: node "nowhere"` {
			t.Errorf("unknown node: %v", err)
		}
		if _, err := collect(q.History(t.Context(), store.ByNode(""))); !errors.Is(err, state.ErrInvalidArgument) {
			t.Errorf("no node: %v", err)
		}
	})
}

func TestAHistoryIsReadByTheKeyOfANode(t *testing.T) {
	onEach(t, func(t *testing.T, e *engine.Engine) {
		record(t, e, engine.Create("2", "10", engine.ID("root")), engine.Start("root"),
			engine.Declare("root", state.ServiceActivity, engine.Key("build")), engine.Start("build", engine.In("2", "10")),
			engine.Fail("build", "no room", engine.In("2", "10")), engine.Retry("build", engine.In("2", "10")), engine.Skip("build", engine.In("2", "10")), engine.Finish("root"), engine.Reopen("2", "10"))
	}, func(t *testing.T, r store.Reader) {
		q := query.New(r, &options)
		if got, err := collect(q.History(t.Context(), store.ByNodeKey("2", "10", "build"))); err != nil || len(got) != 2 || got[0].Error != "no room" || got[1].State != state.Created {
			t.Errorf("of the node: %+v, %v", got, err)
		}
		if got, err := collect(q.History(t.Context(), store.ByKey("2", "10"))); err != nil || len(got) != 1 || got[0].State != state.Finished {
			t.Errorf("of the root: %+v, %v", got, err)
		}
		if _, err := collect(q.History(t.Context(), store.ByNodeKey("2", "10", "ship"))); !errors.Is(err, state.ErrNotFound) || err.Error() != `query: not found: node with key "ship" of task "2"/"10"` {
			t.Errorf("unknown key: %v", err)
		}
		if _, err := collect(q.History(t.Context(), store.ByNodeKey("2", "10", "a\nb"))); !errors.Is(err, state.ErrInvalidArgument) {
			t.Errorf("an invalid key: %v", err)
		}
	})
}

func TestALongHistoryIsComplete(t *testing.T) {
	onEach(t, func(t *testing.T, e *engine.Engine) {
		record(t, e, engine.Create("2", "10", engine.ID("root")), engine.Start("root"), engine.Declare("root", state.ServiceActivity, engine.ID("a")))
		ops := []engine.Op{engine.Start("a")}
		for range 1200 {
			ops = append(ops, engine.Finish("a"), engine.Loop("a"))
		}
		if _, err := e.Record(t.Context(), ops...); err != nil {
			t.Fatal(err)
		}
	}, func(t *testing.T, r store.Reader) {
		q := query.New(r, &options)
		list, err := collect(q.History(t.Context(), store.ByNode("a")))
		if err != nil || len(list) != 1200 {
			t.Fatalf("%d attempts, %v", len(list), err)
		}
		for i := range list {
			if list[i].Loop != i+1 {
				t.Fatalf("attempt %d is loop %d", i, list[i].Loop)
			}
		}
		spans, err := q.Timeline(t.Context(), "2", "a")
		if err != nil || len(spans) != 1201 || spans[1200].Attempt != 1201 || !spans[1200].Current {
			t.Errorf("timeline of %d, %v", len(spans), err)
		}
	})
}

func TestTimelineHasEveryAttemptOfEveryNodeBelow(t *testing.T) {
	sec := func(n int) time.Time { return begin.Add(time.Duration(n) * time.Second) }
	act := query.Span{Parent: 2, Level: 3, Kind: state.ServiceActivity, Name: state.ServiceActivity.Class(), Loop: 1, Attempt: 1, Start: sec(3)}
	span := func(index int, node string, change func(*query.Span)) query.Span {
		s := act
		s.Index, s.Node = index, node
		change(&s)
		return s
	}
	want := []query.Span{
		{Node: "sub", Index: 2, Parent: 0, Level: 2, Kind: state.Subprocess, Name: "构建", Attempt: 1, Current: true, State: state.Running, Loop: 1, Start: sec(2)},
		span(4, "flaky", func(s *query.Span) { s.State, s.End, s.Error = state.Failed, sec(8), "timed out\nafter 5s" }),
		span(4, "flaky", func(s *query.Span) {
			s.Attempt, s.Current, s.State, s.Retry, s.Start, s.End, s.Error = 2, true, state.Failed, 1, sec(20), sec(21), "refused: <nil>"
		}),
		span(5, "skipped", func(s *query.Span) { s.State, s.End, s.Error = state.Failed, sec(5), "no space left" }),
		span(5, "skipped", func(s *query.Span) {
			s.Attempt, s.Current, s.State, s.Retry, s.Skip, s.Start, s.End = 2, true, state.Finished, 1, true, sec(30), sec(30)
		}),
		span(6, "looping", func(s *query.Span) { s.State, s.End, s.Error = state.Finished, sec(4), "ignored" }),
		span(6, "looping", func(s *query.Span) {
			s.Attempt, s.Current, s.State, s.Loop, s.Start = 2, true, state.Running, 2, sec(40)
		}),
		span(7, "ignored", func(s *query.Span) { s.Current, s.State, s.End, s.Error = true, state.Finished, sec(4), "may fail" }),
	}
	onEach(t, various, func(t *testing.T, r store.Reader) {
		o := options
		got, err := query.New(r, &o).Timeline(t.Context(), "2", "sub")
		if diff := cmp.Diff(got, want); diff != "" || err != nil {
			t.Errorf("%v\n%s", err, diff)
		}
		whole, err := query.New(r, &o).Timeline(t.Context(), "2", "11")
		if err != nil || len(whole) != len(want)+6 || whole[0].State != state.Running || whole[0].Node != "root" {
			t.Errorf("the whole task: %d, %v", len(whole), err)
		}
		o.FailedFirst = true
		whole, err = query.New(r, &o).Timeline(t.Context(), "2", "11")
		if err != nil || whole[0].State != state.Failed {
			t.Errorf("failed first: %v %v", whole[0], err)
		}
	})
}

func TestATimelineHasTheContentOfAContainerBelowIt(t *testing.T) {
	e := openEngine(t, store.NewMemory(), nil)
	r := beginRun(t, e, "run", "deploy")
	for _, path := range []string{"build", "checks", "ship", "checks/lint", "checks/inner", "tell", "inner/unit"} {
		kind := state.ServiceActivity
		if path == "checks" || path == "checks/inner" {
			kind = state.Subprocess
		}
		r.declare(path, kind)
	}
	for of, want := range map[string]string{
		"run": "deploy build checks lint inner unit ship tell", r.id("checks"): "checks lint inner unit", r.id("unit"): "unit",
	} {
		spans, err := query.New(e, nil).Timeline(t.Context(), "2", of)
		names := make([]string, 0, len(spans))
		for _, s := range spans {
			names = append(names, s.Name)
		}
		if got := strings.Join(names, " "); got != want || err != nil {
			t.Errorf("%s: %s, %v; want %s", of, got, err, want)
		}
	}
}
