package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/engine/internal/model"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/storetest"
)

// ledger has the acknowledged answers by sequence.
type ledger struct {
	mu      sync.Mutex
	results map[uint64]engine.Result
}

func (l *ledger) note(t testing.TB, results ...engine.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range results {
		if other, twice := l.results[r.Sequence]; twice {
			t.Errorf("sequence %d was answered twice: %+v and %+v", r.Sequence, other, r)
		}
		l.results[r.Sequence] = r
	}
}

// expect compares the acknowledged operations with the stored ones: the same
// sequences, nodes and versions, no more and no less.
func (l *ledger) expect(f *fixture) {
	f.Helper()
	feed, err := f.store.Feed(context.Background(), store.Position{}, 1<<30)
	if err != nil {
		f.Fatal(err)
	}
	if len(feed.Transitions) != len(l.results) {
		f.Errorf("%d transitions stored, %d acknowledged", len(feed.Transitions), len(l.results))
	}
	for _, tr := range feed.Transitions {
		r, ok := l.results[tr.Sequence]
		if !ok || r.Node != tr.Node() || r.Version != tr.Changes[0].Version.String() {
			f.Errorf("sequence %d is %s of %q, acknowledged was %+v, %t", tr.Sequence, tr.Op, tr.Node(), r, ok)
		}
	}
	// The trees in memory are those of the store.
	stored := read(f.T, f.store)
	for key, want := range stored.Trees {
		snap, err := f.Load(context.Background(), store.Ref{Key: key})
		if err != nil {
			f.Fatal(err)
		}
		if diff := cmp.Diff(want, model.Of(snap.Tree), byValue); diff != "" {
			f.Errorf("task %s (-stored +in memory):\n%s", key, diff)
		}
	}
}

// Many goroutines work on few tasks, several on each, with an engine that
// evicts all the time, and read trees.
func TestManyGoroutinesOnFewTasks(t *testing.T) {
	for name, on := range kindsOfStore {
		t.Run(name, func(t *testing.T) {
			f := on(t, engine.Options{MaxLiveNodes: 60})
			l := &ledger{results: map[uint64]engine.Result{}}
			const tasks, workers, rounds = 6, 24, 6
			for i := range tasks {
				root := fmt.Sprint("root ", i)
				l.note(t, f.record(engine.Create("2", root, engine.ID(root)), engine.Start(root))...)
			}
			var wg sync.WaitGroup
			for w := range workers {
				wg.Go(func() { work(f, l, w, fmt.Sprint("root ", w%tasks), rounds) })
			}
			stop := make(chan struct{})
			var readers sync.WaitGroup
			for range 4 {
				readers.Go(func() { browse(f, stop) })
			}
			wg.Wait()
			close(stop)
			readers.Wait()
			l.expect(f)
		})
	}
}

// work runs nodes of a task from creation to end by every kind of call.
func work(f *fixture, l *ledger, worker int, root string, rounds int) {
	r := rand.New(rand.NewPCG(uint64(worker), 0))
	for i := range rounds {
		node := fmt.Sprintf("%d.%d", worker, i)
		steps := [][]engine.Op{
			{engine.Declare(root, state.ServiceActivity, engine.ID(node)), engine.Start(node)},
			{fails(node)},
			{engine.Retry(node)},
			{engine.Start(node), engine.Finish(node)},
		}
		if r.IntN(2) == 0 { // all at once, in order
			var pending []*engine.Pending
			for _, ops := range steps {
				pending = append(pending, f.Submit(ops...))
			}
			for _, p := range pending {
				results, err := p.Wait(f.ctx)
				if err != nil {
					f.Error(err)
				}
				l.note(f.T, results...)
			}
			continue
		}
		for _, ops := range steps {
			results, err := f.Record(f.ctx, ops...)
			if err != nil {
				f.Error(err)
			}
			l.note(f.T, results...)
		}
		if _, err := f.Start(f.ctx, node); !errors.Is(err, state.ErrInvalidTransition) {
			f.Errorf("start of what is finished: %v", err)
		}
	}
}

// browse reads until stop is closed. Its view of a task never goes back.
func browse(f *fixture, stop chan struct{}) {
	revisions := map[state.Key]uint64{}
	for {
		select {
		case <-stop:
			return
		default:
		}
		page, err := f.List(f.ctx, store.ListQuery{})
		if err != nil {
			f.Error(err)
			return
		}
		for _, task := range page.Tasks {
			snap, err := f.Load(f.ctx, store.ByNode(task.Root))
			if err != nil {
				f.Error(err)
				return
			}
			if last := revisions[task.Key]; snap.Tree.Revision() < last {
				f.Errorf("task %s went from revision %d back to %d", task.Key, last, snap.Tree.Revision())
			}
			revisions[task.Key] = snap.Tree.Revision()
		}
		runtime.Gosched()
	}
}

// Two engines share a store that at random is slow, conflicts, is full and
// recovers: every caller gets an answer, and exactly the acknowledged
// operations are stored.
func TestUnreliableStoreUnderTwoEngines(t *testing.T) {
	s := &storetest.Wrapper{Store: store.NewMemory()}
	var calls atomic.Uint64
	s.BeforeCommit = func(context.Context, []store.Write) error {
		switch n := calls.Add(1); {
		case n%7 == 0:
			return store.ErrFull
		case n%5 == 0:
			for range 20 {
				runtime.Gosched()
			}
		}
		return nil
	}
	s.Refuse = func(*store.Write) error {
		if calls.Load()%11 == 0 {
			return store.ErrConflict
		}
		return nil
	}
	f := onStore(t, s, engine.Options{MaxLiveNodes: 20})
	g := f.another()
	l := &ledger{results: map[uint64]engine.Result{}}
	persist := func(e *fixture, ops ...engine.Op) {
		for {
			results, err := e.Record(f.ctx, ops...)
			switch {
			case err == nil:
				l.note(t, results...)
				return
			case errors.Is(err, store.ErrFull), errors.Is(err, store.ErrConflict):
			default:
				t.Error(err)
				return
			}
		}
	}
	const tasks, workers, rounds = 3, 8, 40
	for i := range tasks {
		root := fmt.Sprint("root ", i)
		persist(f, engine.Create("2", root, engine.ID(root)), engine.Start(root))
	}
	var wg sync.WaitGroup
	for w := range workers {
		e := []*fixture{f, g}[w%2]
		wg.Go(func() {
			for i := range rounds {
				node := fmt.Sprintf("%d.%d", w, i)
				persist(e, engine.Declare(fmt.Sprint("root ", (w+i)%tasks), state.ServiceActivity, engine.ID(node)))
				persist(e, engine.Start(node))
				persist(e, engine.Finish(node))
			}
		})
	}
	wg.Wait()
	s.BeforeCommit, s.Refuse = nil, nil
	f.reopenEngine()
	l.expect(f)
}

// Callers that cancel at any moment do not affect others, and every answer
// reaches its caller.
func TestCanceledCallsDoNotAffectOthers(t *testing.T) {
	forEachStore(t, func(f *fixture) {
		f.task("10", "root")
		var wg sync.WaitGroup
		var gaveUp atomic.Int64
		for w := range 16 {
			wg.Go(func() {
				for i := range 50 {
					node := fmt.Sprintf("%d.%d", w, i)
					ctx, cancel := context.WithCancel(f.ctx)
					if i%2 == 0 {
						go cancel()
					}
					r, err := f.Declare(ctx, "root", state.EndEvent, engine.ID(node))
					switch {
					case errors.Is(err, context.Canceled):
						gaveUp.Add(1)
					case err != nil || r.Node != node:
						f.Errorf("asked for %q, got %+v, %v", node, r, err)
					}
					cancel()
				}
			})
		}
		wg.Wait()
		f.reopen() // commits the queued requests
		snap, err := f.Load(f.ctx, store.ByNode("root"))
		if err != nil {
			f.Fatal(err)
		}
		if n := snap.Tree.Len() - 1; n > 16*50 || n < 16*50-int(gaveUp.Load()) {
			f.Errorf("%d nodes, of %d asked for %d gave up", n, 16*50, gaveUp.Load())
		}
	})
}
