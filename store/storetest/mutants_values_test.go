package storetest

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var valueMutants = []mutant{
	{
		name:   "forgets actors",
		breaks: []string{"transitions come back as committed", "changes come back as committed", "all operations come back"},
		spoil:  onTransitions(func(tr *state.Transition) { tr.Actor = "" }),
	},
	{
		name:   "folds the case of IDs",
		breaks: []string{"IDs come back unchanged"},
		spoil: onRef(func(_ store.Store, ref store.Ref) store.Ref {
			ref.Node = strings.ToLower(ref.Node)
			return ref
		}),
	},
	{
		name:   "joins keys",
		breaks: []string{"keys do not run together"},
		spoil: onRef(func(s store.Store, ref store.Ref) store.Ref {
			page, _ := s.List(context.Background(), store.ListQuery{})
			for _, t := range page.Tasks {
				if ref.Node == "" && t.Key.Business+"/"+t.Key.Task == ref.Key.Business+"/"+ref.Key.Task {
					return store.Ref{Key: t.Key}
				}
			}
			return ref
		}),
	},
	{
		name:   "keeps microseconds",
		breaks: []string{"times come back unchanged"},
		spoil: onOutcomes(func(n *state.Change) {
			if sec, nsec := n.Started.Unix(); n.Started.IsSet() {
				n.Started = state.UnixInstant(sec, nsec/1000*1000)
			}
		}),
	},
	{
		name:   "takes Unix 0 for no time",
		breaks: []string{"times come back unchanged"},
		spoil: onOutcomes(func(n *state.Change) {
			if n.RetryAt == state.UnixInstant(0, 0) {
				n.RetryAt = state.Instant{}
			}
		}),
	},
	{
		name:   "cuts error texts",
		breaks: []string{"texts come back unchanged"},
		spoil:  onOutcomes(func(n *state.Change) { n.Error = n.Error[:min(len(n.Error), 8<<10)] }),
	},
	{
		name:   "takes the version of zeros for none",
		breaks: []string{"numbers come back unchanged"},
		spoil: onOutcomes(func(n *state.Change) {
			if n.Version == state.VersionOf([16]byte{}) {
				n.Version = state.Version{}
			}
		}),
	},
	{
		name:   "forgets that a reset took a node along",
		breaks: []string{"all operations come back"},
		spoil:  onOutcomes(func(n *state.Change) { n.Along = false }),
	},
	{
		name:   "forgets what began a superseded attempt",
		breaks: []string{"all operations come back", "attempts come back with the current one"},
		spoil: func(s store.Store, b *broken) {
			b.attempts = func(ctx context.Context, ref store.Ref, q store.AttemptQuery) ([]store.Attempt, error) {
				list, err := s.Attempts(ctx, ref, q)
				for i := range list {
					list[i].Began = 0
				}
				return list, err
			}
		},
	},
	{
		name:   "forgets how many retries are pending",
		breaks: []string{"lists show headers"},
		spoil: onPage(func(page *store.ListPage) {
			for i := range page.Tasks {
				page.Tasks[i].Pending = 0
			}
		}),
	},
	{
		name:   "cuts wide transitions",
		breaks: []string{"wide transitions come back"},
		spoil:  onTransitions(func(tr *state.Transition) { tr.Changes = tr.Changes[:min(len(tr.Changes), 256)] }),
	},
}

var lifeMutants = []mutant{
	{
		name:   "ignores contexts",
		breaks: []string{"a canceled context is refused"},
		spoil: func(s store.Store, b *broken) {
			b.commit = func(ctx context.Context, changes []store.Write) ([]store.Result, error) {
				return s.Commit(context.WithoutCancel(ctx), changes)
			}
		},
	},
	{
		name:   "commits and says it was canceled",
		breaks: []string{"a context that ends undoes nothing"},
		spoil: func(s store.Store, b *broken) {
			b.commit = func(ctx context.Context, changes []store.Write) ([]store.Result, error) {
				results, err := s.Commit(context.WithoutCancel(ctx), changes)
				select {
				case <-ctx.Done():
					return nil, ctx.Err()
				case <-time.After(10 * time.Millisecond):
					return results, err
				}
			}
		},
	},
	{
		name:   "does not close",
		breaks: []string{"a closed store is closed", "close waits for commits"},
		spoil:  func(_ store.Store, b *broken) { b.close = func() error { return nil } },
	},
	{
		name:   "closes once",
		breaks: []string{"a closed store is closed"},
		spoil: func(s store.Store, b *broken) {
			var once sync.Once
			b.close = func() error {
				err := store.ErrClosed
				once.Do(func() { err = s.Close() })
				return err
			}
		},
	},
}
