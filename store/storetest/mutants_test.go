package storetest

import (
	"context"
	"slices"
	"testing"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// broken is a store in which some methods are replaced.
type broken struct {
	store.Store
	commit      func(ctx context.Context, changes []store.Write) ([]store.Result, error)
	load        func(ctx context.Context, ref store.Ref) (store.Snapshot, error)
	locate      func(ctx context.Context, ref store.Ref) (store.Location, error)
	list        func(ctx context.Context, q store.ListQuery) (store.ListPage, error)
	transitions func(ctx context.Context, key state.Key, after uint64, limit int) ([]*state.Transition, error)
	attempts    func(ctx context.Context, ref store.Ref, q store.AttemptQuery) ([]store.Attempt, error)
	changes     func(ctx context.Context, after store.Position, limit int) (store.FeedPage, error)
	close       func() error
}

func newBroken(s store.Store) *broken {
	return &broken{
		Store: s, commit: s.Commit, load: s.Load, locate: s.Locate, list: s.List,
		transitions: s.Transitions, attempts: s.Attempts, changes: s.Feed, close: s.Close,
	}
}

func (b *broken) Commit(ctx context.Context, changes []store.Write) ([]store.Result, error) {
	return b.commit(ctx, changes)
}

func (b *broken) Load(ctx context.Context, ref store.Ref) (store.Snapshot, error) {
	return b.load(ctx, ref)
}

func (b *broken) Locate(ctx context.Context, ref store.Ref) (store.Location, error) {
	return b.locate(ctx, ref)
}

func (b *broken) List(ctx context.Context, q store.ListQuery) (store.ListPage, error) {
	return b.list(ctx, q)
}

func (b *broken) Transitions(ctx context.Context, key state.Key, after uint64, limit int) ([]*state.Transition, error) {
	return b.transitions(ctx, key, after, limit)
}

func (b *broken) Attempts(ctx context.Context, ref store.Ref, q store.AttemptQuery) ([]store.Attempt, error) {
	return b.attempts(ctx, ref, q)
}

func (b *broken) Feed(ctx context.Context, after store.Position, limit int) (store.FeedPage, error) {
	return b.changes(ctx, after, limit)
}

func (b *broken) Close() error { return b.close() }

// mutant is a way to break a store, and the cases that must detect it.
type mutant struct {
	name   string
	breaks []string
	spoil  func(s store.Store, b *broken)
	forget int  // number of transitions that reopening loses
	same   bool // a restored backup continues the history of the original
}

func (m *mutant) factory() Factory {
	f := keptFactory()
	if m.forget > 0 {
		f.Reopen = func(t testing.TB, closed store.Store) store.Store {
			feed := closed.(*kept).feed
			return reopen(t, feed[:max(len(feed)-m.forget, 0)])
		}
		return f
	}
	if m.same {
		f.Backup = func(t testing.TB, s store.Store) func(testing.TB) store.Store {
			restore := s.(*kept).backup(t)
			return func(t testing.TB) store.Store {
				k := restore(t).(*kept)
				k.writes = true
				return k
			}
		}
		return f
	}
	f.New = func(testing.TB) store.Store {
		s := store.NewMemory()
		b := newBroken(s)
		m.spoil(s, b)
		return b
	}
	return f
}

func mutants() []mutant {
	return slices.Concat(commitMutants, readMutants, listMutants, pageMutants, positionMutants, valueMutants, lifeMutants)
}

// onResults alters the results of Commit.
func onResults(f func(changes []store.Write, results []store.Result)) func(store.Store, *broken) {
	return func(s store.Store, b *broken) {
		b.commit = func(ctx context.Context, changes []store.Write) ([]store.Result, error) {
			results, err := s.Commit(ctx, changes)
			if err == nil {
				f(changes, results)
			}
			return results, err
		}
	}
}

// onTransitions alters copies of the results of Transitions and Feed.
func onTransitions(f func(tr *state.Transition)) func(store.Store, *broken) {
	spoiled := func(trs []*state.Transition) []*state.Transition {
		trs = copyTransitions(trs)
		for _, tr := range trs {
			f(tr)
		}
		return trs
	}
	return func(s store.Store, b *broken) {
		b.transitions = func(ctx context.Context, key state.Key, after uint64, limit int) ([]*state.Transition, error) {
			trs, err := s.Transitions(ctx, key, after, limit)
			return spoiled(trs), err
		}
		b.changes = func(ctx context.Context, after store.Position, limit int) (store.FeedPage, error) {
			feed, err := s.Feed(ctx, after, limit)
			feed.Transitions = spoiled(feed.Transitions)
			return feed, err
		}
	}
}

// onOutcomes alters the node changes in the transitions.
func onOutcomes(f func(n *state.Change)) func(store.Store, *broken) {
	return onTransitions(func(tr *state.Transition) {
		for i := range tr.Changes {
			f(&tr.Changes[i])
		}
	})
}

// onQuery alters the arguments of List.
func onQuery(f func(q *store.ListQuery)) func(store.Store, *broken) {
	return func(s store.Store, b *broken) {
		b.list = func(ctx context.Context, q store.ListQuery) (store.ListPage, error) {
			f(&q)
			return s.List(ctx, q)
		}
	}
}

// onPage alters the results of List.
func onPage(f func(page *store.ListPage)) func(store.Store, *broken) {
	return func(s store.Store, b *broken) {
		b.list = func(ctx context.Context, q store.ListQuery) (store.ListPage, error) {
			page, err := s.List(ctx, q)
			f(&page)
			return page, err
		}
	}
}

// onRef alters the arguments of Load and Locate.
func onRef(f func(s store.Store, ref store.Ref) store.Ref) func(store.Store, *broken) {
	return func(s store.Store, b *broken) {
		b.load = func(ctx context.Context, ref store.Ref) (store.Snapshot, error) { return s.Load(ctx, f(s, ref)) }
		b.locate = func(ctx context.Context, ref store.Ref) (store.Location, error) { return s.Locate(ctx, f(s, ref)) }
	}
}

// onSnapshot alters the results of Load.
func onSnapshot(f func(snap *store.Snapshot)) func(store.Store, *broken) {
	return func(s store.Store, b *broken) {
		b.load = func(ctx context.Context, ref store.Ref) (store.Snapshot, error) {
			snap, err := s.Load(ctx, ref)
			if err == nil {
				f(&snap)
			}
			return snap, err
		}
	}
}
