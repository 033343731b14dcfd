package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/storetest"
)

// shared is a store as several processes share it: the test sets the tasks
// without a lease, and reports commits of other processes.
type shared struct {
	store.Store
	lapsed map[string]bool // by task ID
	taken  []store.Location

	mu      sync.Mutex // protects changed
	changed chan struct{}
}

func (s *shared) Lapsed(ctx context.Context, cursor string, _ int) (store.ListPage, error) {
	page, err := s.List(ctx, store.ListQuery{Unfinished: true, Cursor: cursor, Limit: 1})
	kept := page.Tasks[:0]
	for _, t := range page.Tasks {
		if s.lapsed[t.Key.Task] {
			kept = append(kept, t)
		}
	}
	page.Tasks = kept
	return page, err
}

func (s *shared) TakeOver(_ context.Context, at store.Location) error {
	if !s.lapsed[at.Key.Task] {
		return store.ErrConflict
	}
	s.taken = append(s.taken, at)
	delete(s.lapsed, at.Key.Task)
	return nil
}

func (s *shared) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// tell reports a commit of another process.
func (s *shared) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

func newShared(t *testing.T) (*shared, *engine.Engine) {
	t.Helper()
	s := &shared{Store: store.NewMemory(), lapsed: map[string]bool{}, changed: make(chan struct{})}
	e, err := engine.Open(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return s, e
}

func TestInterruptedTakesOverTasksWithExpiredLeases(t *testing.T) {
	s, e := newShared(t)
	for i, task := range []string{"alive", "lost", "idle", "taken", "over"} {
		_, err := e.Record(t.Context(), engine.Create("2", task, engine.ID(task)), engine.Start(task),
			engine.Declare(task, state.ServiceActivity, engine.ID(fmt.Sprint("n", i))), engine.Start(fmt.Sprint("n", i)))
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Record(t.Context(), engine.Finish("n2"), engine.Suspend("idle")); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Record(t.Context(), engine.Finish("n4"), engine.Finish("over")); err != nil {
		t.Fatal(err)
	}
	other, err := engine.Open(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	// The engine's memory has the task from before this.
	if _, err := e.Load(t.Context(), store.ByKey("2", "lost")); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Enter(t.Context(), "lost", state.ServiceActivity, engine.ID("m")); err != nil {
		t.Fatal(err)
	}

	s.lapsed = map[string]bool{"lost": true, "idle": true, "taken": true, "over": true}
	got := map[string]string{}
	for in, err := range e.Interrupted(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got[in.Task.Task] = idsOf(in.Nodes)
		delete(s.lapsed, "lost") // as if another had been faster
	}
	want := map[string]string{"taken": "taken n3", "idle": ""}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("interrupted: %v, want %v", got, want)
	}
	s.lapsed["lost"] = true
	for in, err := range e.Interrupted(t.Context()) {
		if err != nil || in.Task.Task != "lost" || idsOf(in.Nodes) != "lost n1 m" {
			t.Errorf("interrupted: %v of task %s, %v, want all that runs in task lost", idsOf(in.Nodes), in.Task, err)
		}
	}
	for _, at := range s.taken {
		if now, err := s.Locate(t.Context(), store.Ref{Key: at.Key}); err != nil || now != at {
			t.Errorf("taken over at %+v, the task is at %+v: %v", at, now, err)
		}
	}
	if len(s.taken) != 3 {
		t.Errorf("%d tasks taken over, want 3", len(s.taken))
	}
}

func TestFencedWritesAreNotTriedAgain(t *testing.T) {
	tries := 0
	e, err := engine.Open(t.Context(), &storetest.Wrapper{
		Store:  store.NewMemory(),
		Refuse: func(*store.Write) error { tries++; return fmt.Errorf("%w: task 10", store.ErrFenced) },
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, err := e.Create(t.Context(), "2", "10"); !errors.Is(err, store.ErrFenced) || tries != 1 {
		t.Errorf("%v after %d tries, want %v after one", err, tries, store.ErrFenced)
	}
}

func TestWatchSeesOtherProcessesCommitsAndLoadShowsThem(t *testing.T) {
	s, e := newShared(t)
	other, err := engine.Open(t.Context(), s.Store, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := e.Record(t.Context(), engine.Create("2", "10", engine.ID("root")), engine.Start("root")); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for tr, err := range e.Watch(t.Context(), store.Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		seen++
		snap, err := e.Load(t.Context(), store.ByKey("2", "10"))
		if err != nil || snap.Tree.Revision() < tr.Sequence {
			t.Errorf("after transition %d: revision %d, %v", tr.Sequence, snap.Tree.Revision(), err)
		}
		if seen == 5 {
			break
		}
		if seen < 2 {
			continue
		}
		go func() {
			if _, err := other.Declare(t.Context(), "root", state.EndEvent); err != nil {
				t.Error(err)
			}
			s.tell()
		}()
	}
}
