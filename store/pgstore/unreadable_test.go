package pgstore_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/pgstore"
)

// An unreadable row only affects its own task.
func TestReadableTasksAreListedDespiteUnreadableOnes(t *testing.T) {
	t.Parallel()
	pool, schema := newPool(t), newSchema()
	s := open(t, pool, pgstore.Options{Schema: schema, Lease: hour})
	e := newEngine(t, s)
	for _, task := range []string{"a", "b", "c", "d"} {
		begin(t, e, task)
	}
	for _, damage := range []string{
		`UPDATE "` + schema + `".tasks SET header = '\x01' WHERE task = 'b'`,
		`UPDATE "` + schema + `".nodes SET progress = '\x01' WHERE task = (SELECT id FROM "` + schema + `".tasks WHERE task = 'c')`,
	} {
		if _, err := pool.Exec(t.Context(), damage); err != nil {
			t.Fatal(err)
		}
	}
	for name, limit := range map[string]int{"at once": 0, "page by page": 1} {
		var listed []string
		var last error
		for task, err := range store.Tasks(t.Context(), s, store.ListQuery{Limit: limit}) {
			if last = err; err == nil {
				listed = append(listed, task.Key.Task)
			}
		}
		var passed *store.UnreadableError
		if strings.Join(listed, "") != "dca" || !errors.As(last, &passed) || len(passed.Tasks) != 1 || passed.Tasks[0].Key.Task != "b" {
			t.Errorf("listed %s: %v, %v", name, listed, last)
		}
	}
	write := func(task string, from *state.Tree) store.Write {
		_, outcomes, err := from.Apply(state.Limits{}, state.Op{Kind: state.Suspend, Node: from.ID(0), Now: state.UnixInstant(1_800_000_000, 0)})
		if err != nil {
			t.Fatal(err)
		}
		tr := *outcomes[0].Transition
		tr.Task.Task = task
		return store.Write{Base: from.Revision(), Transitions: []*state.Transition{&tr}}
	}
	sound, err := s.Load(t.Context(), store.ByKey("2", "a"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(t.Context(), store.ByKey("2", "c")); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("load of a task with a damaged node: %v", err)
	}
	at, err := s.Locate(t.Context(), store.ByKey("2", "c"))
	if err != nil {
		t.Fatal(err)
	}
	results, err := s.Commit(t.Context(), []store.Write{write("b", sound.Tree), write("c", sound.Tree.WithRevision(at.Revision)), write("a", sound.Tree)})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []error{store.ErrCorrupt, store.ErrCorrupt, nil} {
		if !errors.Is(results[i].Err, want) {
			t.Errorf("write %d: %v, want %v", i+1, results[i].Err, want)
		}
	}
}

// The rows of a tree come in any order. If one is missing, the tree is corrupt and
// not absent.
func TestATreeNeedsAllItsRowsInNoOrder(t *testing.T) {
	t.Parallel()
	// Without index scans, rows come in the order of the table.
	pool, err := pgxpool.New(t.Context(), server.ConnString()+" enable_indexscan=off")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	schema := newSchema()
	s := open(t, pool, pgstore.Options{Schema: schema, Lease: hour})
	e := newEngine(t, s)
	begin(t, e, "a")
	for _, node := range []string{"b", "c", "d"} {
		enter(t, e, "a", node)
	}
	refs := []store.Ref{store.ByKey("2", "a"), store.ByNode("c")}
	nodes := `"` + schema + `".nodes`
	for _, last := range []string{"2", "0"} {
		execSQL(t, pool, `WITH moved AS (DELETE FROM `+nodes+` WHERE idx = `+last+` RETURNING *) INSERT INTO `+nodes+` SELECT * FROM moved`)
		for i, ref := range refs {
			snap, err := s.Load(t.Context(), ref)
			if err != nil {
				t.Fatal(err)
			}
			if snap.Index != 2*i || snap.Tree.Len() != 4 || snap.Tree.ID(0) != "a" || snap.Tree.ID(2) != "c" {
				t.Errorf("%s after row %s moved: node %d of %d", ref, last, snap.Index, snap.Tree.Len())
			}
		}
	}
	for _, missing := range []string{"idx = 2", "idx = 0", "true"} {
		execSQL(t, pool, "DELETE FROM "+nodes+" WHERE "+missing)
		for _, ref := range refs {
			if _, err := s.Load(t.Context(), ref); !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("%s without the nodes of which %s: %v", ref, missing, err)
			}
		}
	}
}
