//go:build unix

package pgstore_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/pgstore"
)

// rivals are three engines on one database and one in memory, which other tests
// compare with the model of the rules. They get the same operations and clock
// and generate the same IDs, so every answer must be the same.
type rivals struct {
	testing.TB
	memory *store.Memory
	single *engine.Engine
	store  *pgstore.Store
	shared [3]*engine.Engine
	clock  time.Time
}

func newRivals(t testing.TB) *rivals {
	r := &rivals{TB: t, memory: store.NewMemory(), clock: time.Unix(1_500_000_000, 0)}
	options := func() *engine.Options {
		ids := 0
		return &engine.Options{
			Now:          func() time.Time { return r.clock },
			NewID:        func() string { ids++; return fmt.Sprintf("%032x", ids) },
			MaxLiveNodes: 12,
		}
	}
	var err error
	if r.single, err = engine.Open(t.Context(), r.memory, options()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.single.Close() })
	pool, schema, o := newPool(t), newSchema(), options()
	for i := range r.shared {
		r.store = open(t, pool, pgstore.Options{Schema: schema, Lease: hour})
		if r.shared[i], err = engine.Open(t.Context(), r.store, o); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.shared[i].Close() })
	}
	return r
}

// record records operations in the engine in memory and in one of the others.
func (r *rivals) record(shared int, what string, ops ...engine.Op) []engine.Result {
	r.Helper()
	want, refused := r.single.Record(r.Context(), ops...)
	got, err := r.shared[shared].Record(r.Context(), ops...)
	r.same(what, got, want, err, refused)
	return want
}

// same compares two answers.
func (r *rivals) same(what string, got, want any, err, refused error) {
	r.Helper()
	if (err == nil) != (refused == nil) || err != nil && err.Error() != refused.Error() {
		r.Fatalf("%s: error %v, in memory %v", what, err, refused)
	}
	if !reflect.DeepEqual(got, want) {
		r.Fatalf("%s:\n%+v, in memory\n%+v", what, got, want)
	}
}

// compare compares all readable data.
func (r *rivals) compare() {
	r.Helper()
	page, err := r.store.List(r.Context(), store.ListQuery{})
	wantPage, wantErr := r.memory.List(r.Context(), store.ListQuery{})
	r.same("list", page, wantPage, err, wantErr)
	for i := range wantPage.Tasks {
		r.compareTask(wantPage.Tasks[i].Key)
	}
	got, err := r.store.Feed(r.Context(), store.Position{}, 1<<20)
	want, wantErr := r.memory.Feed(r.Context(), store.Position{}, 1<<20)
	got.Last.History, want.Last.History = store.History{}, store.History{} // each has its own
	r.same("changes", got, want, err, wantErr)
}

func (r *rivals) compareTask(key state.Key) {
	r.Helper()
	ref := store.Ref{Key: key}
	got, err := r.store.Load(r.Context(), ref)
	want, wantErr := r.memory.Load(r.Context(), ref)
	r.same("sequence", got.Position.Sequence, want.Position.Sequence, err, wantErr)
	if err != nil {
		return
	}
	r.same("nodes", got.Tree.Len(), want.Tree.Len(), nil, nil)
	r.same("revision", got.Tree.Revision(), want.Tree.Revision(), nil, nil)
	for i := range want.Tree.Len() {
		r.same("node", got.Tree.Node(i), want.Tree.Node(i), nil, nil)
		r.same("shown state", got.Tree.Shown(i), want.Tree.Shown(i), nil, nil)
		past, err := store.Superseded(r.Context(), r.store, store.ByNode(want.Tree.ID(i)), 0, 0)
		wantPast, wantErr := store.Superseded(r.Context(), r.memory, store.ByNode(want.Tree.ID(i)), 0, 0)
		r.same("attempts", len(past), len(wantPast), err, wantErr)
		for j := range wantPast {
			r.same("attempt", past[j], wantPast[j], nil, nil)
		}
	}
}

// recording has the operations in the recordings of the production engine; the
// engine's tests compare the expected snapshots.
type recording struct {
	Biz, Task string
	Steps     []struct {
		Ops []struct {
			Op, Node, Parent, Kind, Name, Biz, Task, ID, Error string
			Ignore                                             bool
			At                                                 int64
		}
	}
}

func TestRecordedScenariosHaveTheSameResultsAsInMemory(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.FromSlash("../../engine/internal/scenario/testdata/*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	r := newRivals(t)
	for i, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var rec recording
		if err := json.Unmarshal(text, &rec); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		// The recordings share names. Renamed, they fit into one store.
		apart := func(id string) string { return fmt.Sprintf("%d-%s", i, id[max(0, len(id)-58):]) }
		n := 0
		for _, step := range rec.Steps {
			for _, op := range step.Ops {
				at := engine.At(time.Unix(op.At, 0))
				node := apart(op.Node)
				var o engine.Op
				switch op.Op {
				case "create":
					o = engine.Create(rec.Biz, apart(rec.Task), engine.ID(apart(op.ID)), engine.Name(op.Name), at)
				case "declare":
					kind, err := state.ParseKind(op.Kind)
					if err != nil {
						t.Fatalf("%s: %v", file, err)
					}
					o = engine.Declare(apart(op.Parent), kind, engine.ID(node), engine.Name(op.Name), at)
				case "fail":
					if o = engine.Fail(node, op.Error, at); op.Ignore {
						o = engine.Fail(node, op.Error, at, engine.Ignore())
					}
				default:
					o = byName[op.Op](node, at)
				}
				r.record(n%len(r.shared), filepath.Base(file)+": "+op.Op, o)
				n++
			}
		}
		r.compareTask(state.Key{Business: rec.Biz, Task: apart(rec.Task)})
	}
	r.compare()
	check(t, r.store)
}

var byName = map[string]func(node string, opts ...engine.Option) engine.Op{
	"start": engine.Start, "finish": engine.Finish, "retry": engine.Retry, "skip": engine.Skip, "loop": engine.Loop,
	"suspend": engine.Suspend, "resume": engine.Resume, "revoke": engine.Revoke,
}
