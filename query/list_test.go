package query_test

import (
	"context"
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

// tasks records seven tasks in two businesses: 0 finished, 1 failed, 2 running,
// the rest created. Each operation takes a second.
func tasks(t *testing.T, e *engine.Engine) {
	for i := range 7 {
		root := fmt.Sprint("root", i)
		labels := engine.Labels(map[string]string{"n": fmt.Sprint(i)})
		record(t, e, engine.Create(fmt.Sprint("b", i%2), fmt.Sprint(i), engine.ID(root), engine.Name(fmt.Sprint("task ", i)), labels, at(0)))
	}
	record(
		t, e,
		engine.Start("root0", at(0)), engine.Finish("root0", at(60)),
		engine.Start("root1", at(0)),
		engine.Declare("root1", state.ServiceActivity, engine.ID("a"), at(1)), engine.Start("a", at(1)), engine.Fail("a", "broke", at(70)),
		engine.Declare("root1", state.ServiceActivity, engine.ID("b"), at(1)),
		engine.Start("root2", at(0)),
	)
}

func TestListShowsEveryFieldOfATask(t *testing.T) {
	onEach(t, tasks, func(t *testing.T, r store.Reader) {
		got, err := query.New(r, &options).List(t.Context(), store.ListQuery{Business: "b1", Shown: []state.State{state.Failed}})
		want := []query.Task{{
			Business: "b1", Task: "1", ID: "root1", Name: "task 1", State: state.Failed, Started: begin,
			Recorded: begin.Add(2 * time.Second), Updated: begin.Add(70 * time.Second), Nodes: 3,
			Counts: state.Counts{state.Failed: 1, state.Created: 1}, Revision: 14, Labels: map[string]string{"n": "1"},
		}}
		if diff := cmp.Diff(got.Tasks, want); diff != "" || err != nil {
			t.Errorf("%v\n%s", err, diff)
		}
	})
}

func TestListFiltersAndPagesNewestFirst(t *testing.T) {
	recorded := func(sec int64) state.Instant { return state.UnixInstant(begin.Unix()+sec, 0) }
	onEach(t, tasks, func(t *testing.T, r store.Reader) {
		q := query.New(r, &options)
		for name, c := range map[string]struct {
			filter store.ListQuery
			want   string
		}{
			"all":        {store.ListQuery{}, "6543210"},
			"business":   {store.ListQuery{Business: "b1"}, "531"},
			"shown":      {store.ListQuery{Shown: []state.State{state.Failed, state.Finished}}, "10"},
			"unfinished": {store.ListQuery{Unfinished: true, Business: "b0"}, "642"},
			"since":      {store.ListQuery{Recorded: store.Span{Since: recorded(5)}}, "654"},
			"until":      {store.ListQuery{Recorded: store.Span{Until: recorded(5)}}, "3210"},
			"none":       {store.ListQuery{Business: "b2"}, ""},
		} {
			for _, limit := range []int{0, 1, 2} {
				got, pages := "", 0
				for c.filter.Limit, c.filter.Cursor = limit, ""; ; pages++ {
					page, err := q.List(t.Context(), c.filter)
					if err != nil || page.Tasks == nil || limit > 0 && len(page.Tasks) > limit || pages > 20 {
						t.Fatalf("%s: %v, %v", name, page, err)
					}
					for _, task := range page.Tasks {
						got += task.Task
					}
					if c.filter.Cursor = page.Cursor; page.Cursor == "" {
						break
					}
				}
				if got != c.want {
					t.Errorf("%s, %d a page: %s, want %s", name, limit, got, c.want)
				}
			}
		}
		if _, err := q.List(t.Context(), store.ListQuery{Cursor: "no cursor"}); !errors.Is(err, state.ErrInvalidArgument) {
			t.Errorf("a cursor of its own: %v", err)
		}
	})
}

func TestATaskWaitsForAPersonByOneRule(t *testing.T) {
	retry := engine.RetryAt(begin.Add(time.Hour))
	for name, c := range map[string]struct {
		ops   []engine.Op
		waits bool
	}{
		"failed":                  {[]engine.Op{engine.Fail("a", "no", at(5))}, true},
		"retried by itself":       {[]engine.Op{engine.Fail("a", "no", retry, at(5))}, false},
		"suspended, with a retry": {[]engine.Op{engine.Fail("a", "no", retry, at(4)), engine.Suspend("root", at(5))}, false},
		"suspended":               {[]engine.Op{engine.Finish("a", at(4)), engine.Suspend("root", at(5))}, true},
		"suspended, with a step":  {[]engine.Op{engine.Suspend("root", at(5))}, false},
		"between two steps":       {[]engine.Op{engine.Finish("a", at(5))}, false},
		"ended":                   {[]engine.Op{engine.Finish("a", at(4)), engine.Finish("root", at(5))}, false},
	} {
		e := openEngine(t, store.NewMemory(), nil)
		record(t, e, engine.Create("2", "10", engine.ID("root"), at(0)), engine.Start("root", at(0)),
			engine.Declare("root", state.ServiceActivity, engine.ID("a"), at(1)), engine.Start("a", at(1)))
		record(t, e, c.ops...)
		q := query.New(e, &options)
		list, err := q.List(t.Context(), store.ListQuery{})
		if err != nil {
			t.Fatal(err)
		}
		detail, err := q.Node(t.Context(), "2", "10", "")
		if err != nil {
			t.Fatal(err)
		}
		snap, err := q.Snapshot(t.Context(), "2", "10")
		if err != nil {
			t.Fatal(err)
		}
		want := time.Time{}
		if c.waits {
			want = begin.Add(5 * time.Second)
		}
		if got := list.Tasks[0].Stands(); !got.Equal(want) || !detail.Stands.Equal(want) || !query.Stands(snap.Tree, 0).Time().Equal(want) {
			t.Errorf("%s: since %v in a list, %v as a node and %v in the tree; want %v", name, got, detail.Stands, query.Stands(snap.Tree, 0), want)
		}
		now := state.InstantOf(begin.Add(time.Hour))
		if _, runs := query.Took(snap.Tree, 0, now); runs == (c.waits || name == "ended") {
			t.Errorf("%s: its clock runs: %t", name, runs)
		}
	}
}

// shortPages gives half of the tasks that it is asked for at a time, as a store may
// that looks for rare tasks or merges the pages of several logs.
type shortPages struct{ store.Reader }

func (s *shortPages) List(ctx context.Context, q store.ListQuery) (store.ListPage, error) {
	q.Limit = max(1, q.Limit/2)
	return s.Reader.List(ctx, q)
}

func TestASearchAcrossShortPagesYieldsEachTaskOnce(t *testing.T) {
	onEach(t, tasks, func(t *testing.T, r store.Reader) {
		q := query.New(&shortPages{r}, &options)
		for _, limit := range []int{1, 2, 3, 4, 5, 6, 7} {
			filter, got := store.ListQuery{Limit: limit}, ""
			for {
				page, err := q.Search(t.Context(), filter, "task")
				if err != nil || page.Cursor != "" && len(page.Tasks) != limit {
					t.Fatalf("%d a page: %+v, %v", limit, page, err)
				}
				for _, task := range page.Tasks {
					got += task.Task
				}
				if filter.Cursor = page.Cursor; page.Cursor == "" {
					break
				}
			}
			if want := "6543210"; got != want {
				t.Errorf("%d a page: %s, want %s", limit, got, want)
			}
		}
	})
}

func TestASearchFindsAPartOfANameOrIDAndAPattern(t *testing.T) {
	onEach(t, func(t *testing.T, e *engine.Engine) {
		for i, name := range []string{"Nightly build", "nightly TEST", "release", "", "Release nightly"} {
			record(t, e, engine.Create("b", fmt.Sprint("run-", i), engine.ID(fmt.Sprintf("ROOT%d", i)), engine.Name(name), at(0)))
		}
	}, func(t *testing.T, r store.Reader) {
		q := query.New(r, &options)
		for text, want := range map[string]string{
			"": "43210", "NIGHTLY": "410", "run-2": "2", "root": "43210", "oot3": "3", "release n": "4", "core.pipeline.Pipeline": "3", "nothing": "",
		} {
			for _, limit := range []int{0, 1, 2, 3, 5} {
				filter, got := store.ListQuery{Limit: limit}, ""
				for pages := 0; ; pages++ {
					page, err := q.Search(t.Context(), filter, text)
					if err != nil || page.Tasks == nil || pages > 5 || limit > 0 && page.Cursor != "" && len(page.Tasks) != limit {
						t.Fatalf("%q, %d a page: %+v, %v", text, limit, page, err)
					}
					for _, task := range page.Tasks {
						got += strings.TrimPrefix(task.Task, "run-")
					}
					if filter.Cursor = page.Cursor; page.Cursor == "" {
						break
					}
				}
				if got != want {
					t.Errorf("%q, %d a page: %s, want %s", text, limit, got, want)
				}
			}
		}
		if got, err := q.Search(t.Context(), store.ListQuery{Name: "release"}, "run"); err != nil || len(got.Tasks) != 1 {
			t.Errorf("of a name: %+v, %v", got, err)
		}
		for pattern, want := range map[string]string{
			"*": "43210", "nightly*": "1", "*nightly*": "41", "Night*ly*d": "0", "N*ghtl*l*d": "0", "Nightly build": "0",
			"nightly": "", "*build*build": "", "N*y build build": "", "Release*Release nightly": "", "**T": "1", "<class*": "3",
		} {
			page, err := q.Search(t.Context(), store.ListQuery{Name: pattern}, "")
			got := ""
			for _, task := range page.Tasks {
				got += strings.TrimPrefix(task.Task, "run-")
			}
			if err != nil || got != want {
				t.Errorf("name %q: %s, %v, want %s", pattern, got, err, want)
			}
		}
	})
}
