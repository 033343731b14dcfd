package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/storetest"
)

func TestInvalidOptionsAreRefused(t *testing.T) {
	for what, o := range map[string]engine.Options{
		"live nodes": {MaxLiveNodes: -1},
		"levels":     {Limits: state.Limits{Levels: -1}},
		"nodes":      {Limits: state.Limits{Nodes: -1}},
	} {
		if _, err := engine.Open(t.Context(), store.NewMemory(), &o); !errors.Is(err, state.ErrInvalidArgument) {
			t.Errorf("negative %s: %v", what, err)
		}
	}
	_, err := engine.Open(t.Context(), store.NewMemory(), &engine.Options{MaxQueued: -1})
	if !errors.Is(err, state.ErrInvalidArgument) || !strings.Contains(err.Error(), "MaxQueued is -1") {
		t.Errorf("the limit is not named: %v", err)
	}
}

func TestNilArgumentsAreRefused(t *testing.T) {
	if _, err := engine.Open(t.Context(), nil, nil); !errors.Is(err, state.ErrInvalidArgument) {
		t.Errorf("no store: %v", err)
	}
	f := onMemory(t, engine.Options{})
	f.task("10", "root")
	f.expectUnchanged(func() {
		for what, op := range map[string]engine.Op{
			"suspend": engine.Suspend("root", nil), "declare": engine.Declare("root", state.EndEvent, engine.ID("a"), nil),
			"after another option": engine.Finish("root", engine.Actor("alice"), nil),
		} {
			_, err := f.Record(f.ctx, op)
			if f.expectRefusal(err, state.ErrInvalidArgument); !strings.Contains(err.Error(), "nil option") {
				f.Errorf("%s: %v", what, err)
			}
		}
		if err := f.Delete(f.ctx, "2", "10", engine.Force(), nil); !errors.Is(err, state.ErrInvalidArgument) {
			f.Errorf("delete: %v", err)
		}
	})
}

func TestOpenReportsAnUnreadableStore(t *testing.T) {
	s := store.NewMemory()
	s.Close()
	if _, err := engine.Open(t.Context(), s, nil); !errors.Is(err, store.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := engine.Open(ctx, store.NewMemory(), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

func TestDefaultsGenerateDistinctAscendingIDs(t *testing.T) {
	s := store.NewMemory()
	defer s.Close()
	e, err := engine.Open(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	root, err := e.Create(t.Context(), "2", "10")
	if err != nil {
		t.Fatal(err)
	}
	last := root.Node
	for range 1000 {
		r, err := e.Declare(t.Context(), root.Node, state.EndEvent)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{r.Node, r.Version} {
			if _, ok := state.ParseHexID(id); !ok || id[12] != '7' {
				t.Fatalf("ID %q is no UUID of version 7 in hex", id)
			}
		}
		if r.Node <= last || r.Version == r.Node {
			t.Fatalf("ID %q after %q, version %q", r.Node, last, r.Version)
		}
		last = r.Node
	}
}

// Invalid IDs of the user's generator are refused like given ones.
func TestInvalidGeneratedIDsAreRefused(t *testing.T) {
	next := ""
	f := onMemory(t, engine.Options{NewID: func() string { return next }})
	f.task("10", "root")
	f.expectUnchanged(func() {
		for _, next = range []string{"", "\n", strings.Repeat("x", 65), "no version"} {
			_, err := f.Enter(f.ctx, "root", state.EndEvent)
			f.expectRefusal(err, state.ErrInvalidArgument)
			_, err = f.Declare(f.ctx, "root", state.EndEvent)
			f.expectRefusal(err, state.ErrInvalidArgument)
		}
	})
	next = id(1)
	if _, err := f.Declare(f.ctx, "root", state.EndEvent); err != nil {
		t.Error(err)
	}
	f.expectUnchanged(func() {
		if _, err := f.Declare(f.ctx, "root", state.EndEvent); !errors.Is(err, state.ErrExists) {
			t.Errorf("the same again: %v", err)
		}
		if _, err := f.Create(f.ctx, "2", "11"); !errors.Is(err, state.ErrExists) {
			t.Errorf("the same in another task: %v", err)
		}
	})
}

// Answers and reads do not depend on the number of trees in memory.
func TestEvictedTreesAreReadAgain(t *testing.T) {
	for name, on := range kindsOfStore {
		t.Run(name, func(t *testing.T) {
			loads := 0
			f := on(t, engine.Options{MaxLiveNodes: 1, Hooks: &engine.Hooks{
				Evicted: func(state.Key, int) { loads++ },
			}})
			const tasks = 5
			for i := range tasks {
				f.task(fmt.Sprint(i), fmt.Sprint("root ", i))
			}
			for range 3 {
				for i := range tasks {
					root, leaf := fmt.Sprint("root ", i), fmt.Sprint("leaf ", i)
					f.record(engine.Declare(root, state.ServiceActivity, engine.ID(leaf), engine.Idempotent()))
					f.record(engine.Suspend(root), engine.Resume(root))
					_, err := f.Finish(f.ctx, leaf)
					f.expectRefusal(err, state.ErrInvalidTransition)
				}
			}
			if loads < 3*tasks {
				t.Errorf("%d evictions, want at least %d", loads, 3*tasks)
			}
			for i := range tasks {
				f.expectStates(map[string]state.State{
					fmt.Sprint("root ", i): state.Running, fmt.Sprint("leaf ", i): state.Created,
				})
			}
		})
	}
}

func TestLoggerGetsConflictsAndFailures(t *testing.T) {
	var log bytes.Buffer
	s := &storetest.Wrapper{Store: store.NewMemory()}
	f := onStore(t, s, engine.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	f.task("10", "root")
	if log.Len() > 0 {
		t.Errorf("of nothing: %s", &log)
	}
	conflicts := 1
	s.Refuse = func(*store.Write) error {
		if conflicts--; conflicts >= 0 {
			return store.ErrConflict
		}
		return nil
	}
	f.record(engine.Suspend("root"))
	if !strings.Contains(log.String(), "level=WARN msg=conflict tasks=1") {
		t.Errorf("of a conflict: %s", &log)
	}
	log.Reset()
	s.BeforeCommit = func(context.Context, []store.Write) error { return store.ErrFull }
	f.Resume(f.ctx, "root")
	if !strings.Contains(log.String(), `level=ERROR msg="commit failed" tasks=1 error="store full"`) {
		t.Errorf("of a failure: %s", &log)
	}
}
