package query_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A reader that takes a snapshot at any moment, watches from its position and
// ignores the task's transitions up to its revision ends with the same tree as
// every other reader.
func TestASnapshotAndAWatchAfterItMissNothing(t *testing.T) {
	const writers, nodes, readers = 3, 40, 12
	for name, s := range map[string]store.Store{"memory": store.NewMemory(), "file": openFile(t, filepath.Join(t.TempDir(), "status.db"))} {
		// With room for almost no tree, some snapshots come from the store.
		e := openEngine(t, s, &engine.Options{MaxLiveNodes: 50})
		for w := range writers {
			record(t, e, engine.Create("2", fmt.Sprint(w), engine.ID(fmt.Sprint("root", w))), engine.Start(fmt.Sprint("root", w)))
		}
		q := query.New(e, &options)
		var writing, reading sync.WaitGroup
		for w := range writers {
			writing.Go(func() {
				root := fmt.Sprint("root", w)
				for i := range nodes {
					id := fmt.Sprint(w, "-", i)
					for _, op := range []engine.Op{engine.Declare(root, state.ServiceActivity, engine.ID(id)), engine.Start(id), engine.Finish(id)} {
						if _, err := e.Record(t.Context(), op); err != nil {
							t.Error(err)
							return
						}
					}
				}
				if _, err := e.Finish(t.Context(), root); err != nil {
					t.Error(err)
				}
			})
		}
		followed := make([]*state.Tree, readers)
		for i := range readers {
			reading.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				snap, err := q.Snapshot(ctx, "2", fmt.Sprint(i%writers))
				if err != nil {
					t.Error(err)
					return
				}
				tree := snap.Tree
				if tree.Ended() {
					followed[i] = tree
					return
				}
				for tr, err := range e.Watch(ctx, snap.Position) {
					if err != nil {
						t.Error(err)
						return
					}
					if tr.Task != tree.Key() || tr.Sequence <= snap.Tree.Revision() {
						continue
					}
					if tree, err = tree.Replay(tr.Transition); err != nil {
						t.Error(err)
						return
					}
					if tree.Ended() {
						break
					}
				}
				followed[i] = tree
			})
		}
		writing.Wait()
		reading.Wait()
		for i, tree := range followed {
			want, err := q.Snapshot(t.Context(), "2", fmt.Sprint(i%writers))
			if err != nil {
				t.Fatal(err)
			}
			if tree == nil || tree.Len() != nodes+1 || tree.Revision() != want.Tree.Revision() {
				t.Fatalf("%s: reader %d ends with %v", name, i, tree)
			}
			if diff := cmp.Diff(q.StatusOf(tree, 0), q.StatusOf(want.Tree, 0)); diff != "" {
				t.Errorf("%s: reader %d:\n%s", name, i, diff)
			}
		}
		e.Close()
	}
}
