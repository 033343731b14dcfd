package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var commitMutants = []mutant{
	{
		name:   "numbers with gaps",
		breaks: []string{"sequences are dense"},
		spoil: onResults(func(_ []store.Write, results []store.Result) {
			for i := range results {
				results[i].First *= 2
			}
		}),
	},
	{
		name:   "forgets the last transition when reopened",
		breaks: []string{"sequences are dense", "all operations come back", "a delete removes all of a task", "close waits for commits"},
		forget: 1,
	},
	{
		name: "ignores the base",
		breaks: []string{
			"a stale base conflicts", "a delete at a stale revision conflicts", "a task created again is another task",
			"one of two changes from the same revision wins",
		},
		spoil: func(s store.Store, b *broken) {
			b.commit = func(ctx context.Context, changes []store.Write) ([]store.Result, error) {
				changes = slices.Clone(changes)
				for i := range changes {
					c := &changes[i]
					if at, err := s.Locate(ctx, store.Ref{Key: c.Key()}); err == nil && c.Base != 0 {
						c.Base = at.Revision
					}
				}
				return s.Commit(ctx, changes)
			}
		},
	},
	{
		name:   "fails the commit for one change",
		breaks: []string{"a change that does not apply is left out alone"},
		spoil: func(s store.Store, b *broken) {
			b.commit = func(ctx context.Context, changes []store.Write) ([]store.Result, error) {
				results, err := s.Commit(ctx, changes)
				for _, r := range results {
					err = errors.Join(err, r.Err)
				}
				return results, err
			}
		},
	},
	{
		name: "takes names twice",
		breaks: []string{
			"a task key is taken once", "a node ID is taken once in a store", "a node ID is taken once in a commit",
			"a change left out takes no IDs", "a change is atomic", "one of two creates wins",
		},
		spoil: onResults(func(_ []store.Write, results []store.Result) {
			for i := range results {
				if errors.Is(results[i].Err, state.ErrExists) {
					results[i] = store.Result{First: 1}
				}
			}
		}),
	},
	{
		name:   "never frees a node ID",
		breaks: []string{"a delete frees the key and the IDs", "a change left out takes no IDs"},
		spoil: func(s store.Store, b *broken) {
			used := make(map[string]bool)
			w := Wrapper{Store: s, Refuse: func(c *store.Write) error {
				for _, tr := range c.Transitions {
					for i := range tr.Changes {
						if n := &tr.Changes[i]; n.Declared != nil && used[n.ID] {
							return state.ErrExists
						} else if n.Declared != nil {
							used[n.ID] = true
						}
					}
				}
				return nil
			}}
			b.commit = w.Commit
		},
	},
	{
		name:   "looks task IDs up as node IDs",
		breaks: []string{"keys and node IDs are different names"},
		spoil: onRef(func(s store.Store, ref store.Ref) store.Ref {
			page, _ := s.List(context.Background(), store.ListQuery{})
			for _, t := range page.Tasks {
				if t.Key.Task == ref.Node {
					return store.Ref{Key: t.Key}
				}
			}
			return ref
		}),
	},
	{
		name:   "believes given sequences",
		breaks: []string{"given sequences are ignored"},
		spoil: onResults(func(changes []store.Write, results []store.Result) {
			for i := range results {
				results[i].First = max(results[i].First, changes[i].Transitions[0].Sequence)
			}
		}),
	},
	{
		name:   "refuses an empty commit",
		breaks: []string{"an empty commit is no error"},
		spoil: func(s store.Store, b *broken) {
			b.commit = func(ctx context.Context, changes []store.Write) ([]store.Result, error) {
				if len(changes) == 0 {
					return nil, state.ErrInvalidArgument
				}
				return s.Commit(ctx, changes)
			}
		},
	},
	{
		name:   "leaves malformed changes out",
		breaks: []string{"a malformed change fails the commit", "a change that contradicts the stored task fails the commit", "a commit changes a task once"},
		spoil: func(s store.Store, b *broken) {
			b.commit = func(ctx context.Context, changes []store.Write) ([]store.Result, error) {
				results := make([]store.Result, len(changes))
				for i := range changes {
					r, err := s.Commit(ctx, changes[i:i+1])
					if results[i].Err = err; err == nil {
						results[i] = r[0]
					}
				}
				return results, nil
			}
		},
	},
	{
		name:   "puts right what a task is said to show",
		breaks: []string{"a wrong shown state fails the commit"},
		spoil: func(s store.Store, b *broken) {
			b.commit = func(ctx context.Context, changes []store.Write) (results []store.Result, err error) {
				if results, err = s.Commit(ctx, changes); !errors.Is(err, state.ErrInvalidArgument) || len(changes) != 1 {
					return results, err
				}
				tr := *changes[0].Transitions[0]
				for _, tr.Shown = range states {
					right := []store.Write{{Base: changes[0].Base, Transitions: []*state.Transition{&tr}}}
					if results, err = s.Commit(ctx, right); err == nil {
						return results, nil
					}
				}
				return results, err
			}
		},
	},
	{
		name:   "loses a commit now and then",
		breaks: []string{"writers of different tasks do not disturb each other", "random stories come back"},
		spoil: func(s store.Store, b *broken) {
			var mu sync.Mutex
			n := 0
			b.commit = func(ctx context.Context, changes []store.Write) ([]store.Result, error) {
				mu.Lock()
				defer mu.Unlock()
				if n++; n%40 > 0 {
					return s.Commit(ctx, changes)
				}
				last, err := store.Last(ctx, s)
				results := make([]store.Result, len(changes))
				for i := range changes {
					results[i] = store.Result{First: last.Sequence + 1, History: last.History}
					last.Sequence += uint64(len(changes[i].Transitions))
				}
				return results, err
			}
		},
	},
	{
		name:   "keeps what the caller passed",
		breaks: []string{"a store keeps nothing of its caller's"},
		spoil: func(s store.Store, b *broken) {
			var given []*state.Transition
			b.commit = func(ctx context.Context, changes []store.Write) ([]store.Result, error) {
				results, err := s.Commit(ctx, changes)
				for i, r := range results {
					for j, tr := range changes[i].Transitions {
						shared := *tr
						shared.Sequence = r.First + uint64(j)
						given = append(given, &shared)
					}
				}
				return results, err
			}
			b.transitions = func(ctx context.Context, key state.Key, after uint64, limit int) ([]*state.Transition, error) {
				trs, err := s.Transitions(ctx, key, after, limit)
				for i, tr := range trs {
					trs[i] = given[tr.Sequence-1]
				}
				return trs, err
			}
		},
	},
	{
		name:   "numbers the caller's transitions",
		breaks: []string{"a commit does not modify its changes"},
		spoil: onResults(func(changes []store.Write, results []store.Result) {
			for i, r := range results {
				for j, tr := range changes[i].Transitions {
					tr.Sequence = r.First + uint64(j)
				}
			}
		}),
	},
}
