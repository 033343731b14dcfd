package engine

import (
	"context"
	"testing"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// running records the running task 2/10 and returns its root.
func running(t *testing.T, e *Engine) string {
	t.Helper()
	root, err := e.Create(t.Context(), "2", "10")
	if err == nil {
		_, err = e.Start(t.Context(), root.Node)
	}
	if err != nil {
		t.Fatal(err)
	}
	return root.Node
}

// request is a request that is not queued yet.
func request(t *testing.T, e *Engine, op Op) *Pending {
	t.Helper()
	p := &Pending{done: make(chan struct{})}
	if err := e.prepare(t.Context(), p, []Op{op}); err != nil {
		t.Fatal(err)
	}
	return p
}

// A group accepts requests while it waits for more. The state of a task may
// change between two of them.
func TestARequestIsRefusedOnlyByTheStateItMeets(t *testing.T) {
	ctx := context.Background()
	s := store.NewMemory()
	var engines [2]*Engine
	for i := range engines {
		var err error
		if engines[i], err = Open(ctx, s, nil); err != nil {
			t.Fatal(err)
		}
		defer engines[i].Close()
	}
	e, other := engines[0], engines[1]
	root := running(t, e)
	refused, accepted := request(t, e, Resume(root)), request(t, e, Resume(root))
	g := e.newGroup(2)
	g.addAll([]*Pending{refused})
	if _, err := refused.Wait(ctx); err == nil {
		t.Fatal("a running pipeline was resumed")
	}
	if _, err := other.Suspend(ctx, root); err != nil {
		t.Fatal(err)
	}
	g.addAll([]*Pending{accepted})
	g.settle()
	if _, err := accepted.Wait(ctx); err != nil {
		t.Errorf("after another engine suspended it: %v", err)
	}
}

// A task that a request found in memory may be dropped before the request is
// applied. The engine then looks it up again.
func TestARequestReloadsAnEvictedTask(t *testing.T) {
	ctx := context.Background()
	for how, forget := range map[string]func(*cache, state.Key){
		"alone":    func(c *cache, key state.Key) { c.remove(key) },
		"with all": func(c *cache, _ state.Key) { c.clear() },
	} {
		s := store.NewMemory()
		conflicts := 0
		e, err := Open(ctx, s, &Options{Hooks: &Hooks{Committed: func(i CommitInfo) { conflicts += i.Conflicts }}})
		if err != nil {
			t.Fatal(err)
		}
		other, err := Open(ctx, s, nil)
		if err != nil {
			t.Fatal(err)
		}
		root := running(t, e)
		p := request(t, e, Suspend(root))
		if e.warm(ctx, p); p.task == nil {
			t.Fatal("the task is not in memory")
		}
		if _, err := other.Declare(ctx, root, state.EndEvent); err != nil {
			t.Fatal(err)
		}
		forget(e.cache, state.Key{Business: "2", Task: "10"})
		g := e.newGroup(1)
		g.addAll([]*Pending{p})
		g.settle()
		if _, err := p.Wait(ctx); err != nil || conflicts > 0 {
			t.Errorf("gone %s: applied to what it was before: %d conflicts, %v", how, conflicts, err)
		}
		other.Close()
		e.Close()
	}
}
