package query_test

import (
	"flag"
	"fmt"
	"iter"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/internal/stories"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Short names for the fixtures.
var (
	documented, various   = stories.Documented, stories.Various
	at, version, clock    = stories.At, stories.Version, stories.Clock
	begin, noon, shanghai = stories.Begin, stories.Noon, stories.Shanghai
	openEngine, record    = stories.Open, stories.Record
	options               = query.Options{Location: shanghai, Now: func() time.Time { return noon }}
)

func golden(t *testing.T, name string, got []byte) { t.Helper(); stories.Golden(t, *update, name, got) }

// onEach runs a test on a memory store and on a file, reading from the store, from
// the engine, and from the reopened file.
func onEach(t *testing.T, record func(*testing.T, *engine.Engine), test func(*testing.T, store.Reader)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "status.db")
	for _, file := range []bool{false, true} {
		var s store.Store = store.NewMemory()
		name := "memory"
		if file {
			name = "file"
			s = openFile(t, path)
		}
		e := openEngine(t, s, &engine.Options{Now: clock()})
		record(t, e)
		t.Run(name+" through an engine", func(t *testing.T) { test(t, e) })
		t.Run(name, func(t *testing.T) { test(t, s) })
		e.Close()
		if file {
			s.Close()
			s = openFile(t, path)
			t.Run("file reopened", func(t *testing.T) { test(t, s) })
			t.Run("file reopened through an engine", func(t *testing.T) { test(t, openEngine(t, s, nil)) })
		}
	}
}

func openFile(t testing.TB, path string) *boltstore.Store {
	t.Helper()
	s, err := boltstore.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// randomTree is a tree of at most size nodes, made by random operations.
func randomTree(t testing.TB, seed uint64, size int) *state.Tree {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 0))
	names := []string{"", "", "build", `<b>&"quoted"\`, "流程\u2028", "tab\t\x01"}
	now, serial := int64(1_500_000_000), byte(0)
	tree := state.NewTree(state.Key{Business: "2", Task: "10"})
	apply := func(op state.Op) {
		now += rnd.Int64N(4000)
		op.Now = state.UnixInstant(now, int(rnd.Int64N(1e9)))
		serial++
		if op.Kind.NamesAttempt() {
			op.NewVersion = state.VersionOf([16]byte{byte(now), 14: byte(now >> 8), 15: serial})
		}
		if next, _, err := tree.Apply(state.Limits{}, op); err == nil {
			tree = next.WithRevision(tree.Revision() + 1)
		}
	}
	// Some nodes get keys and edges; the engine refuses invalid ones.
	rare := func(op state.Op) state.Op {
		other := tree.ID(rnd.IntN(tree.Len()))
		switch {
		case op.Kind == state.Declare && rnd.IntN(2) == 0:
			op.Key, op.After = names[rnd.IntN(len(names)-1)]+fmt.Sprint(rnd.IntN(size)), []string{other}
			if rnd.IntN(2) == 0 {
				op.After = nil
			}
		case (op.Kind == state.Start || op.Kind == state.Loop) && rnd.IntN(2) == 0:
			op.From = other
		case op.Kind == state.Suspend && rnd.IntN(2) == 0:
			op.Note = "waits for <QA>"
		}
		return op
	}
	apply(state.Op{Kind: state.Create, Task: tree.Key(), Node: "root", Labels: state.LabelsOf(map[string]string{"env": "prod", `"\`: ""})})
	apply(state.Op{Kind: state.Start, Node: "root"})
	for range size * 6 {
		id := tree.ID(rnd.IntN(tree.Len()))
		switch n := rnd.IntN(20); {
		case n < 6 && tree.Len() < size:
			kind := state.Subprocess + state.Kind(rnd.IntN(8))
			if rnd.IntN(2) == 0 {
				kind = state.Subprocess
			}
			apply(rare(state.Op{Kind: state.Declare, Parent: id, Node: fmt.Sprint(`"n\`, tree.Len()), NodeKind: kind, Name: names[rnd.IntN(len(names))]}))
		case n < 10:
			apply(rare(state.Op{Kind: state.Start, Node: id}))
		case n < 12:
			apply(state.Op{Kind: state.Finish, Node: id})
		case n < 14 && id != "root":
			op := state.Op{Kind: state.Fail, Node: id, Error: "broke\n<at> \"" + id}
			switch rnd.IntN(4) {
			case 0:
				op.Ignore = true
			case 1:
				op.RetryAt = state.UnixInstant(now+60, 0)
			}
			apply(op)
		case n >= 14 && n < 19:
			apply(rare(state.Op{Kind: []state.OpKind{state.Retry, state.Skip, state.Loop, state.Resume, state.Resume}[n-14], Node: id}))
		case id != "root" && rnd.IntN(3) == 0:
			apply(rare(state.Op{Kind: []state.OpKind{state.Suspend, state.Revoke}[rnd.IntN(2)], Node: id}))
		}
	}
	return tree
}

// collect returns everything that an iterator yields before its first error.
func collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	all := []T{}
	for v, err := range seq {
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}
