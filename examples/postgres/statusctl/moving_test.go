//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/examples/postgres/internal/pgserver"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
	"github.com/pipestatus/pipestatus/store/pgstore"
)

func TestMain(m *testing.M) { os.Exit(pgserver.Main(m, main)) }

// scenarios is the operations of all recorded scenarios. They share keys and
// IDs, so each gets a prefix.
func scenarios(t *testing.T) string {
	t.Helper()
	names, err := filepath.Glob("../../../engine/internal/scenario/testdata/*.json")
	if err != nil || len(names) < 50 {
		t.Fatal("too few scenarios", names, err)
	}
	var in bytes.Buffer
	for i, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var s struct {
			Steps []struct{ Ops []map[string]any }
		}
		if err := json.Unmarshal(text, &s); err != nil {
			t.Fatal(name, err)
		}
		for _, step := range s.Steps {
			for _, op := range step.Ops {
				delete(op, "refused")
				for _, field := range []string{"biz", "id", "node", "parent"} {
					if id, ok := op[field].(string); ok {
						op[field] = fmt.Sprintf("%d-%s", i, id)
					}
				}
				if err := json.NewEncoder(&in).Encode(op); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return in.String()
}

// Texts and times that a database might change.
var (
	texts = []string{
		"", "build", "a\x00b", "\x00", "line\nline\r\n\ttab", `"quoted" \ back\u0000slash`, "<&>\u2028", "编译 🚀", "e\u0301", "\ufffd",
		"' OR 1=1; --", strings.Repeat("long ", 200),
	}
	times = []string{
		"0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "1969-12-31T23:59:59.000000001Z", "2018-04-26T16:08:34.123456789+08:00",
		"2018-04-26T16:08:34.123456788+08:00", "1970-01-01T00:00:00Z", "2262-04-12T00:00:00.5Z", "1677-01-01T00:00:00.0000005Z",
	}
	kinds = []string{"subprocess", "subprocess", "start_event", "service_activity", "service_activity", "exclusive_gateway", "converge_gateway"}
	moves = []string{"start", "start", "start", "finish", "finish", "fail", "fail", "retry", "skip", "loop", "suspend", "resume", "revoke"}
)

// randomTree is the operations of one task, many of which are refused.
func randomTree(r *rand.Rand, task string) string {
	pick := func(from []string) string { return from[r.IntN(len(from))] }
	root := task + "-root"
	nodes := []string{root}
	var in strings.Builder
	enc := json.NewEncoder(&in)
	write := func(op map[string]any) {
		if r.IntN(2) == 0 {
			op["at"] = pick(times)
		}
		if r.IntN(4) == 0 {
			op["actor"] = "ann 编"
		}
		_ = enc.Encode(op) // a memory store accepts everything
	}
	write(map[string]any{"op": "create", "biz": "random", "task": task, "id": root, "name": pick(texts)})
	write(map[string]any{"op": "start", "node": root})
	for range 60 {
		if r.IntN(3) == 0 {
			id := fmt.Sprintf("%s-%d", task, len(nodes))
			if r.IntN(2) == 0 {
				id = fmt.Sprintf("%032x", r.Uint64())
			}
			write(map[string]any{
				"op": "declare", "node": id, "parent": pick(nodes), "kind": pick(kinds), "name": pick(texts),
				"max_loops": r.IntN(3), "retryable": r.IntN(5) > 0, "skippable": r.IntN(5) > 0,
			})
			nodes = append(nodes, id)
			continue
		}
		op := map[string]any{"op": pick(moves), "node": pick(nodes)}
		if op["node"] == root && r.IntN(20) > 0 {
			op["op"] = pick([]string{"suspend", "resume", "resume"}) // otherwise most trees end soon
		}
		if op["op"] == "fail" {
			switch op["error"] = pick(texts); r.IntN(3) {
			case 0:
				op["retry_at"] = pick(times)
			case 1:
				op["ignore"] = true
			}
		}
		write(op)
	}
	return in.String()
}

// answers is every answer of a store, without sequences and revisions.
func answers(t *testing.T, s store.Reader) map[string]string {
	t.Helper()
	a := &asking{t: t, store: s, all: map[string]string{}}
	now := func() time.Time { return time.Unix(2e9, 0) }
	a.query = query.New(s, &query.Options{Location: time.UTC, Fields: query.AllFields &^ query.FieldRevision, Now: now})
	a.failedFirst = query.New(s, &query.Options{Location: time.UTC, FailedFirst: true})
	tasks := a.list("all", store.ListQuery{})
	a.list("unfinished", store.ListQuery{Unfinished: true, Limit: 3})
	for st := state.Created; st <= state.Finished; st++ {
		a.list(st.String(), store.ListQuery{Shown: []state.State{st}, Limit: 7})
	}
	for i, task := range tasks {
		if i%20 == 0 {
			a.list("since "+task.Recorded.String(), store.ListQuery{Recorded: store.Span{Since: task.Recorded}})
			a.list("until "+task.Recorded.String(), store.ListQuery{Recorded: store.Span{Until: task.Recorded}, Business: task.Key.Business})
		}
		a.task(task.Key)
	}
	return a.all
}

// asking asks a store.
type asking struct {
	t                  *testing.T
	store              store.Reader
	query, failedFirst *query.Query
	all                map[string]string
}

func (a *asking) keep(question string, answer any, err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatalf("%s: %v", question, err)
	}
	if text, ok := answer.([]byte); ok {
		answer = string(text)
	}
	a.all[question] = fmt.Sprintf("%+v", answer)
}

func (a *asking) list(name string, q store.ListQuery) (tasks []store.Task) {
	a.t.Helper()
	for {
		page, err := a.store.List(a.t.Context(), q)
		if err != nil {
			a.t.Fatal(name, err)
		}
		tasks = append(tasks, page.Tasks...)
		if q.Cursor = page.Cursor; q.Cursor == "" {
			break
		}
	}
	for i := range tasks {
		tasks[i].Number, tasks[i].Revision = 0, 0
	}
	a.keep("list "+name, tasks, nil)
	return tasks
}

func (a *asking) task(key state.Key) {
	ctx, name := a.t.Context(), key.String()
	spans, err := a.query.Timeline(ctx, key.Business, key.Task)
	a.keep("timeline "+name, spans, err)
	snap, err := a.query.Snapshot(ctx, key.Business, key.Task)
	if err != nil {
		a.t.Fatal(name, err)
	}
	for i := range snap.Tree.Len() {
		id := snap.Tree.ID(i)
		status, err := a.query.AppendJSON(ctx, nil, key.Business, id)
		a.keep("get "+id, status, err)
		var history []query.Attempt
		for attempt, err := range a.query.History(ctx, store.ByNode(id)) {
			history = append(history, attempt)
			a.keep("history "+id, history, err)
		}
		a.keep("node "+id, snap.Tree.Node(i), nil)
	}
	for q, convention := range map[*query.Query]string{a.query: "", a.failedFirst: " failed first"} {
		status, err := q.AppendJSON(ctx, nil, key.Business, key.Task)
		a.keep("get "+name+convention, status, err)
	}
	var moments []time.Time
	for tr, err := range a.query.Transitions(ctx, snap.Tree) {
		if err != nil {
			a.t.Fatal(name, err)
		}
		moments = append(moments, tr.At.Time())
	}
	for i, at := range moments {
		if i%4 > 0 {
			continue
		}
		for _, at := range []time.Time{at, at.Add(-1)} {
			past, err := a.query.AsOf(ctx, key.Business, key.Task, at)
			text := fmt.Sprint(err) // before the task there is nothing
			if err == nil {
				text = string(a.query.AppendTree(nil, past.Tree, past.Index))
			}
			a.keep(fmt.Sprintf("at %s %s", at.Format(time.RFC3339Nano), name), text, nil)
		}
	}
}

func answersOfFile(t *testing.T, file string) map[string]string {
	t.Helper()
	s, err := boltstore.Open(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return answers(t, s)
}

func answersOfServer(t *testing.T, url string) map[string]string {
	t.Helper()
	s, err := pgstore.Open(t.Context(), url, &pgstore.Options{Lease: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return answers(t, s)
}

var sequences = regexp.MustCompile(`"(seq|sequence)":\d+,?`)

func TestMovingToAServerAndBackChangesNoAnswer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	from, back, url := filepath.Join(dir, "from.db"), filepath.Join(dir, "back.db"), pgserver.Database(t)
	in := scenarios(t)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 30 {
		in += randomTree(r, fmt.Sprintf("tree%d", i))
	}
	pgserver.Run(t, in, "apply", "-db", from)
	pgserver.Run(t, "", "purge", "-biz", "random", "-state", "REVOKED", "-keep", "3", "-db", from)

	exported := pgserver.Run(t, "", "export", "-db", from)
	pgserver.Run(t, exported, "import", "-db", url)
	moved := pgserver.Run(t, "", "export", "-db", url)
	pgserver.Run(t, moved, "import", "-db", back)
	pgserver.Run(t, "", "check", "-db", url)

	want := answersOfFile(t, from)
	if len(want) < 2000 {
		t.Fatalf("only %d questions", len(want))
	}
	if diff := cmp.Diff(want, answersOfServer(t, url)); diff != "" {
		t.Errorf("on the server (-file +server):\n%s", diff)
	}
	if diff := cmp.Diff(want, answersOfFile(t, back)); diff != "" {
		t.Errorf("after the way back (-file +file):\n%s", diff)
	}
	plain := func(export string) string { return sequences.ReplaceAllString(export, "") }
	if plain(exported) != plain(moved) || plain(exported) != plain(pgserver.Run(t, "", "export", "-db", back)) {
		t.Error("the exports differ by more than sequences")
	}
}

func TestAServerRecordsTheSameAsAFile(t *testing.T) {
	t.Parallel()
	file, url, in := filepath.Join(t.TempDir(), "a.db"), pgserver.Database(t), ""
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 5 {
		in += randomTree(r, fmt.Sprintf("tree%d", i))
	}
	own := regexp.MustCompile(`"version":"[0-9a-f]*"|(bolt|pg)store: (load: )?`) // versions are made up
	plain := func(answers string) string { return own.ReplaceAllString(answers, "") }
	want, got := plain(pgserver.Run(t, in, "apply", "-db", file)), plain(pgserver.Run(t, in, "apply", "-db", url))
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("answers (-file +server):\n%s", diff)
	}
}
