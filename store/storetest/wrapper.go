package storetest

import (
	"context"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Wrapper is a store that misbehaves on demand: it passes every call on to Store
// and calls the functions that are set. A function makes a call slow by waiting,
// and makes it fail by returning an error. Set the functions before the first use.
// They run in the goroutine of the call, possibly in several at once, and may use
// Store, for instance to commit a change of another writer first. A nil function
// does nothing; a Wrapper without a Store is not usable.
type Wrapper struct {
	store.Store
	// BeforeCommit runs before a commit. Its error is Commit's, and nothing
	// is committed.
	BeforeCommit func(ctx context.Context, changes []store.Write) error
	// Refuse runs before a commit, for each change in order. A change for
	// which it returns an error is left out with that error as its result.
	Refuse func(change *store.Write) error
	// AfterCommit runs after a commit. Commit returns its results, such as
	// [store.ErrFailed] for a commit that has applied.
	AfterCommit func(results []store.Result, err error) ([]store.Result, error)
	// BeforeRead runs before any other call but Close, with the name of the
	// method, such as "Load". Its error is the call's.
	BeforeRead func(ctx context.Context, method string) error
}

// Commit implements [store.Store].
func (w *Wrapper) Commit(ctx context.Context, changes []store.Write) ([]store.Result, error) {
	if w.BeforeCommit != nil {
		if err := w.BeforeCommit(ctx, changes); err != nil {
			return nil, err
		}
	}
	results, err := w.commit(ctx, changes)
	if w.AfterCommit != nil {
		return w.AfterCommit(results, err)
	}
	return results, err
}

// commit passes on the changes that are not refused.
func (w *Wrapper) commit(ctx context.Context, changes []store.Write) ([]store.Result, error) {
	if w.Refuse == nil {
		return w.Store.Commit(ctx, changes)
	}
	results := make([]store.Result, len(changes))
	var passed []store.Write
	var places []int
	for i := range changes {
		if results[i].Err = w.Refuse(&changes[i]); results[i].Err == nil {
			passed, places = append(passed, changes[i]), append(places, i)
		}
	}
	got, err := w.Store.Commit(ctx, passed)
	if err != nil {
		return nil, err
	}
	for i, r := range got {
		results[places[i]] = r
	}
	return results, nil
}

// read is a call of another method than Commit.
func read[T any](ctx context.Context, w *Wrapper, method string, call func() (T, error)) (T, error) {
	if w.BeforeRead != nil {
		if err := w.BeforeRead(ctx, method); err != nil {
			var none T
			return none, err
		}
	}
	return call()
}

// Load implements [store.Reader].
func (w *Wrapper) Load(ctx context.Context, ref store.Ref) (store.Snapshot, error) {
	return read(ctx, w, "Load", func() (store.Snapshot, error) { return w.Store.Load(ctx, ref) })
}

// Locate implements [store.Reader].
func (w *Wrapper) Locate(ctx context.Context, ref store.Ref) (store.Location, error) {
	return read(ctx, w, "Locate", func() (store.Location, error) { return w.Store.Locate(ctx, ref) })
}

// List implements [store.Reader].
func (w *Wrapper) List(ctx context.Context, q store.ListQuery) (store.ListPage, error) {
	return read(ctx, w, "List", func() (store.ListPage, error) { return w.Store.List(ctx, q) })
}

// Transitions implements [store.Reader].
func (w *Wrapper) Transitions(ctx context.Context, key state.Key, after uint64, limit int) ([]*state.Transition, error) {
	return read(ctx, w, "Transitions", func() ([]*state.Transition, error) { return w.Store.Transitions(ctx, key, after, limit) })
}

// Attempts implements [store.Reader].
func (w *Wrapper) Attempts(ctx context.Context, ref store.Ref, q store.AttemptQuery) ([]store.Attempt, error) {
	return read(ctx, w, "Attempts", func() ([]store.Attempt, error) { return w.Store.Attempts(ctx, ref, q) })
}

// Feed implements [store.Reader].
func (w *Wrapper) Feed(ctx context.Context, after store.Position, limit int) (store.FeedPage, error) {
	return read(ctx, w, "Feed", func() (store.FeedPage, error) { return w.Store.Feed(ctx, after, limit) })
}
