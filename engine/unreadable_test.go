package engine_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// patchy is a store that cannot read a header, and that can neither load nor
// change one task.
type patchy struct {
	store.Store
	bad state.Key
}

func (p *patchy) List(ctx context.Context, q store.ListQuery) (store.ListPage, error) {
	page, err := p.Store.List(ctx, q)
	if page.Cursor == "" {
		page.Unreadable = append(page.Unreadable, store.Unreadable{Number: 9, Err: store.ErrCorrupt})
	}
	return page, err
}

func (p *patchy) Load(ctx context.Context, ref store.Ref) (store.Snapshot, error) {
	if ref.Key == p.bad {
		return store.Snapshot{}, store.ErrCorrupt
	}
	return p.Store.Load(ctx, ref)
}

func (p *patchy) Commit(ctx context.Context, writes []store.Write) ([]store.Result, error) {
	results := make([]store.Result, len(writes))
	for i := range writes {
		if writes[i].Key() == p.bad {
			results[i].Err = store.ErrCorrupt
			continue
		}
		some, err := p.Store.Commit(ctx, writes[i:i+1])
		if err != nil {
			return nil, err
		}
		results[i] = some[0]
	}
	return results, nil
}

func TestUnreadableTasksAreSkippedAndCounted(t *testing.T) {
	memory := store.NewMemory()
	f := onStore(t, memory, engine.Options{})
	for i := range 3 {
		root := fmt.Sprint("root", i)
		f.task(fmt.Sprint(i), root)
		f.activity(root, fmt.Sprint("a", i), engine.Start)
	}
	s := &patchy{memory, state.Key{Business: "2", Task: "1"}}
	g := onStore(t, s, engine.Options{})
	found := 0
	var last error
	for _, err := range g.Interrupted(g.ctx) {
		if last = err; err == nil {
			found++
		}
	}
	var passed *store.UnreadableError
	if found != 2 || !errors.As(last, &passed) || len(passed.Tasks) != 2 {
		t.Errorf("%d interrupted tasks, %v", found, last)
	}

	for i := range 3 {
		f.record(engine.Finish(fmt.Sprint("a", i)), engine.Finish(fmt.Sprint("root", i)))
	}
	done, err := g.Purge(g.ctx, engine.Retention{})
	if want := (engine.Purged{Removed: 2, Unreadable: 2}); err != nil || done != want {
		t.Errorf("purged %+v, %v, want %+v", done, err, want)
	}
}
