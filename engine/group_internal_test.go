package engine

import (
	"context"
	"testing"

	"github.com/pipestatus/pipestatus/store"
)

// A group takes requests while it waits for more. What one of them found out
// about a task need not hold for one that comes later.
func TestRequestIsRefusedOnlyByWhatHoldsWhenItComes(t *testing.T) {
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
	root, err := e.Create(ctx, "2", "10")
	if err == nil {
		_, err = e.Start(ctx, root.Node)
	}
	if err != nil {
		t.Fatal(err)
	}
	request := func(op Op) *Pending {
		p := newPending()
		if err := e.prepare(p, []Op{op}); err != nil {
			t.Fatal(err)
		}
		return p
	}
	refused, accepted := request(Resume(root.Node)), request(Resume(root.Node))
	g := e.newGroup(2)
	g.addAll([]*Pending{refused})
	if _, err := refused.Wait(ctx); err == nil {
		t.Fatal("a running pipeline was resumed")
	}
	if _, err := other.Suspend(ctx, root.Node); err != nil {
		t.Fatal(err)
	}
	g.addAll([]*Pending{accepted})
	g.finish()
	if _, err := accepted.Wait(ctx); err != nil {
		t.Errorf("after another engine suspended it: %v", err)
	}
}
