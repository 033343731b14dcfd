package boltstore_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

var crowded = flag.Int("crowd", 20_000, "tasks that BenchmarkLists lists")

// member has the values of a task that a list may filter by. They come from the
// operations on the task, not from a store or a header.
type member struct {
	number     uint64
	business   string
	name       string
	labels     map[string]string
	shown      state.State
	unfinished bool
	failures   bool

	recorded, started, finished int64 // seconds, 0 for none
}

// ends has ways to bring tasks to all states, from a root without nodes on.
var ends = []struct {
	ops        []state.Op
	shown      state.State
	unfinished bool
	failures   bool
	started    bool
	finished   bool
}{
	{nil, state.Created, true, false, false, false},
	{[]state.Op{{Kind: state.Start}}, state.Running, true, false, true, false},
	{[]state.Op{{Kind: state.Start}, {Kind: state.Finish}}, state.Finished, false, false, true, true},
	{[]state.Op{{Kind: state.Start}, {Kind: state.Finish}}, state.Finished, false, false, true, true},
	{[]state.Op{{Kind: state.Start}, {Kind: state.Fail}}, state.Failed, false, true, true, true},
	{[]state.Op{{Kind: state.Start}, {Kind: state.Suspend}}, state.Suspended, true, false, true, false},
	{[]state.Op{{Kind: state.Start}, {Kind: state.Revoke}}, state.Revoked, false, false, true, true},
	{[]state.Op{{Kind: state.Start}, leaf(state.Declare), leaf(state.Start), leaf(state.Fail)}, state.Failed, true, true, true, false},
	{[]state.Op{{Kind: state.Start}, leaf(state.Declare), leaf(state.Start), {Kind: state.Revoke}}, state.Revoked, true, false, true, true},
}

// leaf returns an operation on a task's leaf, which is named after it.
func leaf(kind state.OpKind) state.Op { return state.Op{Kind: kind, Node: "leaf"} }

// joins returns a new task of the crowd and the write that records it. Its
// clock sometimes goes back.
func joins(i int) (*member, store.Write, error) {
	end := ends[i%len(ends)]
	m := &member{
		business: fmt.Sprint("business ", i%7), labels: map[string]string{"env": []string{"prod", "test", "dev"}[i%3], "team": fmt.Sprint(i % 100)},
		shown: end.shown, unfinished: end.unfinished, failures: end.failures,
	}
	if i%4 > 0 {
		m.name = fmt.Sprint("pipeline ", i%50)
	}
	if i%1000 == 17 {
		m.labels["rare"] = ""
	}
	at := int64(1_600_000_000 + 60*i)
	if i%10 == 3 {
		at -= 86_400
	}
	m.recorded = at
	root := fmt.Sprint("root ", i)
	key := state.Key{Business: m.business, Task: fmt.Sprint(i)}
	ops := append([]state.Op{{Kind: state.Create, Task: key, Node: root, Name: m.name, Labels: state.LabelsOf(m.labels)}}, end.ops...)
	for j := range ops {
		op := &ops[j]
		op.Now = state.UnixInstant(at+int64(j*(1+i%500)), 0)
		if op.Node == "leaf" {
			op.Node = fmt.Sprint("leaf ", i)
		} else {
			op.Node = root
		}
		if op.Kind == state.Declare {
			op.Parent, op.NodeKind = root, state.ServiceActivity
		}
		if op.Kind.NamesAttempt() {
			op.NewVersion = state.VersionOf([16]byte{15: 1})
		}
		if end.started && op.Kind == state.Start && op.Node == root {
			m.started, _ = op.Now.Unix()
		}
		if end.finished && j == len(ops)-1 {
			m.finished, _ = op.Now.Unix()
		}
	}
	_, outcomes, err := state.NewTree(key).Apply(state.Limits{}, ops...)
	var w store.Write
	for _, o := range outcomes {
		w.Transitions = append(w.Transitions, o.Transition)
	}
	return m, w, err
}

// crowd records n tasks.
func crowd(t testing.TB, s store.Store, n int) (all []*member) {
	t.Helper()
	for len(all) < n {
		var writes []store.Write
		begin := len(all)
		for range min(500, n-begin) {
			m, w, err := joins(len(all))
			if err != nil {
				t.Fatal(err)
			}
			all, writes = append(all, m), append(writes, w)
		}
		results, err := s.Commit(t.Context(), writes)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range results {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			all[begin+i].number = r.First
		}
	}
	return all
}

// has reports whether a query selects a task, according to the query's
// documentation.
func (m *member) has(q *store.ListQuery) bool {
	name := m.name
	if name == "" {
		name = "<class 'pipeline.core.pipeline.Pipeline'>"
	}
	within := func(s store.Span, at int64) bool {
		since, _ := s.Since.Unix()
		until, _ := s.Until.Unix()
		return s == store.Span{} || at > 0 && (!s.Since.IsSet() || at >= since) && (!s.Until.IsSet() || at < until)
	}
	for key, value := range q.Labels.All() {
		if got, ok := m.labels[key]; !ok || got != value {
			return false
		}
	}
	return (q.Business == "" || q.Business == m.business) && (q.Name == "" || q.Name == name) &&
		(len(q.Shown) == 0 || slices.Contains(q.Shown, m.shown)) && (m.unfinished || !q.Unfinished) && (m.failures || !q.HasFailures) &&
		within(q.Recorded, m.recorded) && within(q.Started, m.started) && within(q.Finished, m.finished)
}

// filters returns lists by each condition for n tasks, including conditions
// that few or no tasks meet.
func filters(n int) map[string]store.ListQuery {
	at := func(share float64) state.Instant {
		return state.UnixInstant(1_600_000_000+int64(60*share*float64(n)), 0)
	}
	labels := func(pairs ...string) state.Labels {
		m := make(map[string]string)
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return state.LabelsOf(m)
	}
	few := store.Span{Since: at(0.5), Until: at(0.501)}
	return map[string]store.ListQuery{
		"no filter":       {},
		"business":        {Business: "business 3"},
		"no business":     {Business: "another"},
		"shown":           {Shown: []state.State{state.Failed}},
		"shown, two":      {Shown: []state.State{state.Revoked, state.Created}},
		"unfinished":      {Unfinished: true},
		"failures":        {HasFailures: true},
		"label":           {Labels: labels("env", "prod")},
		"label of few":    {Labels: labels("rare", "")},
		"no such label":   {Labels: labels("env", "none")},
		"labels":          {Labels: labels("env", "test", "team", "7")},
		"name":            {Name: "pipeline 7"},
		"no name":         {Name: state.Pipeline.Class()},
		"no such name":    {Name: "pipeline"},
		"recorded":        {Recorded: few},
		"recorded since":  {Recorded: store.Span{Since: at(0.9)}},
		"started":         {Started: few},
		"started until":   {Started: store.Span{Until: at(0.1)}},
		"finished":        {Finished: few},
		"finished since":  {Finished: store.Span{Since: at(0.9)}},
		"never recorded":  {Recorded: store.Span{Since: at(2)}},
		"never started":   {Started: store.Span{Since: at(2)}},
		"never finished":  {Finished: store.Span{Until: at(-2)}},
		"label, business": {Labels: labels("env", "dev"), Business: "business 1", HasFailures: true},
		"name, label":     {Name: "pipeline 11", Labels: labels("env", "dev"), Unfinished: true},
		"name, started":   {Name: "pipeline 5", Started: store.Span{Since: at(0.25), Until: at(0.75)}},
	}
}

// mixed returns a list by several conditions of others.
func mixed(r *rand.Rand, all []store.ListQuery) (q store.ListQuery) {
	pick := func() *store.ListQuery { return &all[r.IntN(len(all))] }
	q = *pick()
	for range r.IntN(3) {
		if o := pick(); o.Labels != (state.Labels{}) {
			q.Labels = o.Labels
		}
		q.Business, q.Name = max(q.Business, pick().Business), max(q.Name, pick().Name)
		q.Shown = append(slices.Clip(q.Shown), pick().Shown...)
		q.Unfinished, q.HasFailures = q.Unfinished || pick().Unfinished, q.HasFailures || pick().HasFailures
		q.Started = pick().Started
	}
	return q
}

// scanMost is the most tasks that any store scans for a page.
const scanMost = 16_384

// expectCrowd reads a list to its end and compares it with the crowd.
func expectCrowd(t *testing.T, s store.Reader, all []*member, name string, q store.ListQuery) {
	t.Helper()
	var want, got []uint64
	for _, m := range all {
		if m.has(&q) {
			want = append(want, m.number)
		}
	}
	if !q.OldestFirst {
		slices.Reverse(want)
	}
	pages := 0
	for {
		page, err := s.List(t.Context(), q)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(page.Tasks) > max(q.Limit, 0) && q.Limit > 0 || len(page.Tasks) > store.DefaultLimit && q.Limit <= 0 {
			t.Errorf("%s: a page of %d tasks", name, len(page.Tasks))
		}
		for i := range page.Tasks {
			got = append(got, page.Tasks[i].Number)
		}
		pages++
		if q.Cursor = page.Cursor; q.Cursor == "" || t.Failed() {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s, %+v: %d tasks in %d pages, want %d", name, q, len(got), pages, len(want))
	}
	limit := q.Limit
	if limit <= 0 {
		limit = store.DefaultLimit
	}
	if most := len(want)/limit + len(all)/10_000 + 2; pages > most {
		t.Errorf("%s, %+v: %d pages, want %d at most", name, q, pages, most)
	}
}

func TestEveryFilterListsTheMatchesAmongManyTasks(t *testing.T) {
	n, mixes := 2_000, 40
	if *boltstore.Long {
		n, mixes = 100_000, 200
	}
	s := mustOpen(t, filepath.Join(t.TempDir(), "crowd.db"), nil)
	s.NoSync()
	for name, s := range map[string]store.Store{"memory": store.NewMemory(), "bolt": s} {
		all := crowd(t, s, n)
		r := rand.New(rand.NewPCG(8, 8))
		var queries []store.ListQuery
		for _, filter := range slices.Sorted(maps.Keys(filters(n))) {
			q := filters(n)[filter]
			queries = append(queries, q)
			for _, q.OldestFirst = range []bool{false, true} {
				for _, q.Limit = range []int{0, 1 + n/50 + r.IntN(n)} {
					expectCrowd(t, s, all, name+", "+filter, q)
				}
			}
		}
		for range mixes {
			q := mixed(r, queries)
			q.OldestFirst, q.Limit = r.IntN(2) == 0, 10+r.IntN(1000)
			expectCrowd(t, s, all, name+", mixed", q)
		}
	}
}

// A page without matching tasks costs no more than a full one.
func TestAListThatMatchesNothingReadsABoundedNumberOfTasks(t *testing.T) {
	const n = scanMost + 1
	s := mustOpen(t, filepath.Join(t.TempDir(), "nothing.db"), nil)
	s.NoSync()
	for name, s := range map[string]store.Store{"memory": store.NewMemory(), "bolt": s} {
		crowd(t, s, n)
		for _, filter := range []string{"never recorded", "never started", "never finished"} {
			q := filters(n)[filter]
			pages := 1
			for {
				page, err := s.List(t.Context(), q)
				if err != nil || len(page.Tasks) > 0 {
					t.Fatalf("%s, %s: %d tasks, %v", name, filter, len(page.Tasks), err)
				}
				if q.Cursor = page.Cursor; q.Cursor == "" {
					break
				}
				pages++
			}
			if least := n/scanMost + 1; pages < least {
				t.Errorf("%s, %s: %d pages, want %d at least", name, filter, pages, least)
			}
		}
	}
}

// BenchmarkLists reads a page of 100 by each filter among 1,000 tasks and among
// the number of tasks in -crowd.
func BenchmarkLists(b *testing.B) {
	for _, n := range []int{1_000, *crowded} {
		s := mustOpen(b, filepath.Join(b.TempDir(), "crowd.db"), nil)
		s.NoSync()
		crowd(b, s, n)
		if err := s.Compact(b.Context()); err != nil { // all in the file
			b.Fatal(err)
		}
		for _, name := range slices.Sorted(maps.Keys(filters(n))) {
			q := filters(n)[name]
			q.Limit = 100
			b.Run(fmt.Sprintf("tasks=%d/%s", n, name), func(b *testing.B) {
				listed := 0
				for b.Loop() {
					page, err := s.List(context.Background(), q)
					if err != nil {
						b.Fatal(err)
					}
					listed = len(page.Tasks)
				}
				b.ReportMetric(float64(listed), "listed")
			})
		}
	}
}
