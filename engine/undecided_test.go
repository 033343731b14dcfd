package engine_test

import (
	"context"
	"errors"
	"testing"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// gated is a store whose first commit waits, so that requests submitted during
// it become one group.
type gated struct {
	store.Store
	began, open chan struct{}
}

func (g *gated) Commit(ctx context.Context, changes []store.Write) ([]store.Result, error) {
	select {
	case g.began <- struct{}{}:
		<-g.open
	default:
	}
	return g.Store.Commit(ctx, changes)
}

func TestARefusalDoesNotDependOnOtherRequestsOfItsCommit(t *testing.T) {
	create := func(task, root string, ops ...engine.Op) []engine.Op {
		return append([]engine.Op{engine.Create("b", task, engine.ID(root))}, ops...)
	}
	for name, test := range map[string]struct {
		ops  []engine.Op
		want error
	}{
		"a batch on two tasks": {create("two", "q", engine.Start("p")), state.ErrInvalidArgument},
		"a parent in another task": {
			create("two", "q", engine.Declare("p", state.EndEvent)), state.ErrInvalidArgument,
		},
		"an ID in use before the parent's kind": {
			create("two", "q", engine.Declare("q", state.EndEvent, engine.ID("leaf")),
				engine.Declare("leaf", state.EndEvent, engine.ID("p"))), state.ErrExists,
		},
		"a node that is nowhere": {create("two", "q", engine.Start("nobody")), state.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			s := &gated{store.NewMemory(), make(chan struct{}, 1), make(chan struct{})}
			e, err := engine.Open(t.Context(), s, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			e.Submit(engine.Create("b", "first", engine.ID("f")))
			<-s.began
			before := e.Submit(create("one", "p")...)
			refused := e.Submit(test.ops...)
			after := e.Submit(engine.Start("p"))
			close(s.open)
			if _, err := refused.Wait(t.Context()); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			for _, p := range []*engine.Pending{before, after} {
				if _, err := p.Wait(t.Context()); err != nil {
					t.Error(err)
				}
			}
			if _, err := e.Locate(t.Context(), store.ByKey("b", "two")); !errors.Is(err, state.ErrNotFound) {
				t.Errorf("the refused task: %v", err)
			}
		})
	}
}

func TestAnOperationReachesTheNodeThatExistedFirst(t *testing.T) {
	s := &gated{store.NewMemory(), make(chan struct{}, 1), make(chan struct{})}
	e, err := engine.Open(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	e.Submit(engine.Create("b", "first", engine.ID("f")))
	<-s.began
	e.Submit(engine.Create("b", "one", engine.ID("p")))
	e.Submit(engine.Create("b", "two", engine.ID("q")))
	second := e.Submit(engine.Declare("q", state.Subprocess, engine.ID("p")))
	start := e.Submit(engine.Start("p"))
	third := e.Submit(engine.Create("b", "three", engine.ID("p")))
	close(s.open)
	for _, p := range []*engine.Pending{second, third} {
		if _, err := p.Wait(t.Context()); !errors.Is(err, state.ErrExists) {
			t.Errorf("another node p: %v", err)
		}
	}
	if _, err := start.Wait(t.Context()); err != nil {
		t.Errorf("start of the root p: %v", err)
	}
}
