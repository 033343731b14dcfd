package query_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

func TestTheSpecificationsExampleIsReproducedByteForByte(t *testing.T) {
	onEach(t, documented, func(t *testing.T, r store.Reader) {
		q := query.New(r, &options)
		for _, task := range []string{"10", "5a1622f9f43e3429acb604e18dbd100a"} {
			compact, err := q.AppendJSON(t.Context(), nil, "2", task)
			if err != nil {
				t.Fatal(err)
			}
			var indented bytes.Buffer
			if err := json.Indent(&indented, compact, "", "\t"); err != nil {
				t.Fatal(err)
			}
			golden(t, "example.json", append(indented.Bytes(), '\n'))
			response, err := q.Response(t.Context(), "2", task)
			if err != nil {
				t.Fatal(err)
			}
			if marshalled, err := response.MarshalJSON(); err != nil || !bytes.Equal(marshalled, compact) {
				t.Errorf("Response marshals as %s (%v), AppendJSON appends %s", marshalled, err, compact)
			}
		}
	})
}

func TestAnswersAreAsDocumentedForEveryOption(t *testing.T) {
	with := func(fields query.Fields, failedFirst bool) *query.Options {
		o := options
		o.Fields, o.FailedFirst = fields, failedFirst
		return &o
	}
	onEach(t, various, func(t *testing.T, r store.Reader) {
		for name, c := range map[string]struct {
			business, task string
			o              *query.Options
		}{
			"defaults.json":          {"2", "11", with(0, false)},
			"failed_first.json":      {"2", "11", with(0, true)},
			"all_fields.json":        {"2", "11", with(query.AllFields, false)},
			"elapsed_time.json":      {"2", "looping", with(query.FieldElapsedTime, false)},
			"error_ignored.json":     {"2", "ignored", with(query.FieldErrorIgnored, false)},
			"state_refresh_at.json":  {"2", "paused", with(query.FieldStateRefreshAt, false)},
			"ex_data.json":           {"2", "sub", with(query.FieldExData, false)},
			"ex_data_none.json":      {"2", "stopped", with(query.FieldExData, false)},
			"kind.json":              {"2", "later", with(query.FieldKind, false)},
			"revision.json":          {"2", "sub", with(query.FieldRevision, false)},
			"retry_at.json":          {"2", "flaky", with(query.FieldRetryAt, false)},
			"counts.json":            {"2", "sub", with(query.FieldCounts, true)},
			"node.json":              {"2", "skipped", with(0, false)},
			"unknown.json":           {"2", "12", with(0, false)},
			"unknown_business.json":  {"no <such>", "11", with(0, false)},
			"no_business.json":       {"", "11", with(0, false)},
			"long_task.json":         {"2", strings.Repeat("a", 129), with(0, false)},
			"control_character.json": {"2", "1\n0", with(0, false)},
		} {
			q := query.New(r, c.o)
			compact, err := q.AppendJSON(t.Context(), nil, c.business, c.task)
			if err != nil {
				t.Fatal(err)
			}
			var indented bytes.Buffer
			if err := json.Indent(&indented, compact, "", "  "); err != nil {
				t.Fatalf("%s: %v", compact, err)
			}
			golden(t, name, append(indented.Bytes(), '\n'))
			response, err := q.Response(t.Context(), c.business, c.task)
			if err != nil {
				t.Fatal(err)
			}
			if marshalled, err := response.MarshalJSON(); err != nil || !bytes.Equal(marshalled, compact) {
				t.Errorf("Response marshals as %s (%v), AppendJSON appends %s", marshalled, err, compact)
			}
			if status, err := q.Status(t.Context(), c.business, c.task); (err == nil) != response.Result || !cmp.Equal(status, response.Data) {
				t.Errorf("%s: Status says %v %v, Response %v", name, status, err, response)
			}
		}
	})
}

func TestATaskIDTakesPrecedenceOverANodeID(t *testing.T) {
	onEach(t, func(t *testing.T, e *engine.Engine) {
		record(
			t, e,
			engine.Create("2", "same", engine.ID("root"), at(0)),
			engine.Create("2", "other", engine.ID("same"), at(0)),
			engine.Create("3", "other", engine.ID("there"), at(0)),
		)
	}, func(t *testing.T, r store.Reader) {
		q := query.New(r, &options)
		for _, c := range []struct{ business, task, want string }{{"2", "same", "root"}, {"2", "other", "same"}, {"2", "root", "root"}, {"3", "other", "there"}} {
			s, err := q.Status(t.Context(), c.business, c.task)
			if err != nil || s.ID != c.want {
				t.Errorf("%s/%s: %v %v, want node %s", c.business, c.task, s, err, c.want)
			}
		}
	})
}

// reads counts loads.
type reads struct {
	store.Reader
	loaded []string
	fail   error
}

func (r *reads) Load(ctx context.Context, ref store.Ref) (store.Snapshot, error) {
	snap, err := r.Reader.Load(ctx, ref)
	if err == nil {
		r.loaded = append(r.loaded, snap.Tree.Key().String())
		err = r.fail
	}
	return snap, err
}

func TestTasksOfOtherBusinessesLookUnknown(t *testing.T) {
	onEach(t, documented, func(t *testing.T, r store.Reader) {
		r = &reads{Reader: r}
		q := query.New(r, &options)
		ask := func(business, task string) (messages []string) {
			_, err := q.Status(t.Context(), business, task)
			var notFound *query.NotFoundError
			if !errors.As(err, &notFound) || !errors.Is(err, state.ErrNotFound) || notFound.Business != business || notFound.Task != task {
				t.Errorf("%s/%s: %v", business, task, err)
			}
			response, err := q.Response(t.Context(), business, task)
			if err != nil || response.Result || response.Data != nil {
				t.Errorf("%s/%s: %v %v", business, task, response, err)
			}
			_, asOf := q.AsOf(t.Context(), business, task, noon)
			_, timeline := q.Timeline(t.Context(), business, task)
			return []string{response.Message, asOf.Error(), timeline.Error()}
		}
		unknown, foreign, task := ask("2", "nowhere"), ask("2", "foreign"), ask("2", "77")
		for i := range unknown {
			if want := strings.ReplaceAll(unknown[i], "nowhere", "foreign"); foreign[i] != want {
				t.Errorf("%q, of an unknown one %q", foreign[i], want)
			}
			if want := strings.ReplaceAll(unknown[i], "nowhere", "77"); task[i] != want {
				t.Errorf("%q, of an unknown one %q", task[i], want)
			}
		}
		if loaded := r.(*reads).loaded; len(loaded) > 0 {
			t.Errorf("tasks %v were read", loaded)
		}
	})
}

func TestStoreErrorsAreReturnedAsErrors(t *testing.T) {
	m := store.NewMemory()
	documented(t, openEngine(t, m, nil))
	q := query.New(&reads{Reader: m, fail: store.ErrCorrupt}, &options)
	ctx := t.Context()
	calls := map[string]func() error{
		"Status":   func() error { _, err := q.Status(ctx, "2", "10"); return err },
		"Response": func() error { _, err := q.Response(ctx, "2", "10"); return err },
		"AppendJSON": func() error {
			dst, err := q.AppendJSON(ctx, []byte("kept"), "2", "10")
			if string(dst) != "kept" {
				t.Errorf("AppendJSON left %q", dst)
			}
			return err
		},
		"AsOf":     func() error { _, err := q.AsOf(ctx, "2", "10", noon); return err },
		"Timeline": func() error { _, err := q.Timeline(ctx, "2", "10"); return err },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: %v, want that of the store", name, err)
		}
	}
	m.Close()
	calls["List"] = func() error { _, err := q.List(ctx, store.ListQuery{}); return err }
	calls["History"] = func() error { _, err := collect(q.History(ctx, store.ByNode("root"))); return err }
	for name, call := range calls {
		if err := call(); !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s: %v, want that of the store", name, err)
		}
	}
}

func TestLargeAndDeepTreesAreAnswered(t *testing.T) {
	key := state.Key{Business: "2", Task: "10"}
	for name, c := range map[string]struct{ nodes, levels int }{"100,000 nodes": {100_000, 2}, "100 levels": {1000, 100}} {
		b := state.NewBuilder(key, c.nodes)
		for i := range c.nodes {
			n := state.Node{ID: fmt.Sprint("n", i), Index: i, Kind: state.Subprocess}
			n.State, n.Loop, n.ParentIndex = state.Running, 1, min(i, c.levels-1)-1
			if i == 0 {
				n.Kind = state.Pipeline
			}
			if err := b.Add(&n); err != nil {
				t.Fatal(err)
			}
		}
		tree, err := b.Tree(7)
		if err != nil {
			t.Fatal(err)
		}
		o := options
		o.FailedFirst = true
		q := query.New(nil, &o)
		appended := q.AppendTree(nil, tree, 0)
		if n := bytes.Count(appended, []byte(`"state":"RUNNING"`)); n != c.nodes {
			t.Errorf("%s: %d nodes in the answer", name, n)
		}
		if c.levels < 100 {
			continue
		}
		var s query.Status
		if err := json.Unmarshal(appended, &s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if again, _ := s.MarshalJSON(); !bytes.Equal(again, appended) {
			t.Errorf("%s: comes back different", name)
		}
	}
}

func TestAnAnswerAllocatesNothingForEachNode(t *testing.T) {
	for _, fields := range []query.Fields{0, query.FieldRevision} {
		var allocs []float64
		for _, nodes := range []int{10, 1000} {
			m := store.NewMemory()
			e := openEngine(t, m, nil)
			record(t, e, engine.Create("2", "10", engine.ID("root")), engine.Start("root"))
			for range nodes - 1 {
				record(t, e, engine.Declare("root", state.ServiceActivity, engine.Name("build \"it\"")))
			}
			o := options
			o.Fields = fields
			q := query.New(e, &o)
			buf := make([]byte, 0, 1<<20)
			allocs = append(allocs, testing.AllocsPerRun(50, func() {
				if _, err := q.AppendJSON(t.Context(), buf, "2", "10"); err != nil {
					t.Fatal(err)
				}
			}))
		}
		// At most one, or a few where the race detector empties pools.
		if allocs[0] > 5 || allocs[1] > 5 {
			t.Errorf("%v allocations for 10 and 1,000 nodes", allocs)
		}
	}
}
