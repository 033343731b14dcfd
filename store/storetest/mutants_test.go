package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// broken is a store with other methods where they are set.
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

// mutant is a way to break a store, and the cases that must notice.
type mutant struct {
	name   string
	breaks []string
	spoil  func(s store.Store, b *broken)
	forget int  // transitions that are lost by reopening
	same   bool // a restored backup goes on with the history it had
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

// onResults spoils what Commit returns.
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

// onTransitions spoils copies of what Transitions and Feed return.
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

// onOutcomes spoils the node changes in the transitions.
func onOutcomes(f func(n *state.Change)) func(store.Store, *broken) {
	return onTransitions(func(tr *state.Transition) {
		for i := range tr.Changes {
			f(&tr.Changes[i])
		}
	})
}

// onQuery spoils what List is asked.
func onQuery(f func(q *store.ListQuery)) func(store.Store, *broken) {
	return func(s store.Store, b *broken) {
		b.list = func(ctx context.Context, q store.ListQuery) (store.ListPage, error) {
			f(&q)
			return s.List(ctx, q)
		}
	}
}

// onPage spoils what List returns.
func onPage(f func(page *store.ListPage)) func(store.Store, *broken) {
	return func(s store.Store, b *broken) {
		b.list = func(ctx context.Context, q store.ListQuery) (store.ListPage, error) {
			page, err := s.List(ctx, q)
			f(&page)
			return page, err
		}
	}
}

// onRef spoils what Load and Locate are asked for.
func onRef(f func(s store.Store, ref store.Ref) store.Ref) func(store.Store, *broken) {
	return func(s store.Store, b *broken) {
		b.load = func(ctx context.Context, ref store.Ref) (store.Snapshot, error) { return s.Load(ctx, f(s, ref)) }
		b.locate = func(ctx context.Context, ref store.Ref) (store.Location, error) { return s.Locate(ctx, f(s, ref)) }
	}
}

// onSnapshot spoils what Load returns.
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
			"of two changes from one revision one wins",
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
			"a change left out takes no IDs", "a change is atomic", "of two creates one wins",
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
		breaks: []string{"a commit of nothing is no error"},
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
		breaks: []string{"a malformed change fails the commit", "a change that does not follow fails the commit", "a commit changes a task once"},
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
		breaks: []string{"a change that says what the task does not show"},
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
		breaks: []string{"writers of their own tasks do not disturb each other", "random stories come back"},
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
		breaks: []string{"a commit leaves its changes as they are"},
		spoil: onResults(func(changes []store.Write, results []store.Result) {
			for i, r := range results {
				for j, tr := range changes[i].Transitions {
					tr.Sequence = r.First + uint64(j)
				}
			}
		}),
	},
}

var readMutants = []mutant{
	{
		name:   "remembers deleted tasks",
		breaks: []string{"a delete removes all of a task"},
		spoil: func(s store.Store, b *broken) {
			known := make(map[store.Ref]store.Snapshot)
			b.load = func(ctx context.Context, ref store.Ref) (store.Snapshot, error) {
				snap, err := s.Load(ctx, ref)
				if err == nil {
					known[ref] = snap
				} else if old, ok := known[ref]; ok {
					return old, nil
				}
				return snap, err
			}
		},
	},
	{
		name:   "hides deletes",
		breaks: []string{"a delete is a change of its own", "changes come back as committed"},
		spoil: func(s store.Store, b *broken) {
			b.changes = func(ctx context.Context, after store.Position, limit int) (store.FeedPage, error) {
				feed, err := s.Feed(ctx, after, limit)
				feed.Transitions = slices.DeleteFunc(feed.Transitions, func(tr *state.Transition) bool { return tr.Op == state.Delete })
				return feed, err
			}
		},
	},
	{
		name: "answers with old trees at new revisions",
		breaks: []string{
			"a loaded tree equals the one it was computed from", "readers see whole changes",
			"a task created again is never mixed with the one before",
		},
		spoil: func(s store.Store, b *broken) {
			first := make(map[store.Ref]*state.Tree)
			b.load = func(ctx context.Context, ref store.Ref) (store.Snapshot, error) {
				snap, err := s.Load(ctx, ref)
				if old := first[ref]; old == nil {
					first[ref] = snap.Tree
				} else if err == nil {
					snap.Tree = old.WithRevision(snap.Tree.Revision())
				}
				return snap, err
			}
		},
	},
	{
		name:   "forgets which node was meant",
		breaks: []string{"every node leads to its task"},
		spoil:  onSnapshot(func(snap *store.Snapshot) { snap.Index = 0 }),
	},
	{
		name:   "gives the task's revision as the store's sequence",
		breaks: []string{"a snapshot carries the store's sequence"},
		spoil:  onSnapshot(func(snap *store.Snapshot) { snap.Position.Sequence = snap.Tree.Revision() }),
	},
	{
		name:   "reads the sequence after the tree",
		breaks: []string{"readers see whole changes"},
		spoil:  onSnapshot(func(snap *store.Snapshot) { snap.Position.Sequence += 10_000 }),
	},
	{
		name:   "locates at the revision before",
		breaks: []string{"locate says where a task or node is"},
		spoil: func(s store.Store, b *broken) {
			b.locate = func(ctx context.Context, ref store.Ref) (store.Location, error) {
				at, err := s.Locate(ctx, ref)
				at.Revision--
				return at, err
			}
		},
	},
	{
		name:   "finds nothing without an error",
		breaks: []string{"what is nowhere is not found"},
		spoil: func(s store.Store, b *broken) {
			b.attempts = func(ctx context.Context, ref store.Ref, q store.AttemptQuery) ([]store.Attempt, error) {
				list, err := s.Attempts(ctx, ref, q)
				if errors.Is(err, state.ErrNotFound) {
					err = nil
				}
				return list, err
			}
		},
	},
	{
		name:   "knows no keys of nodes",
		breaks: []string{"every node leads to its task", "what is nowhere is not found"},
		spoil:  onRef(func(_ store.Store, ref store.Ref) store.Ref { return ref.Task() }),
	},
	{
		name:   "prefers the key",
		breaks: []string{"a node ID in a reference comes first"},
		spoil: onRef(func(_ store.Store, ref store.Ref) store.Ref {
			if ref.Key != (state.Key{}) {
				ref.Node = ""
			}
			return ref
		}),
	},
	{
		name:   "refuses large trees",
		breaks: []string{"large and deep tasks come back"},
		spoil: func(s store.Store, b *broken) {
			b.load = func(ctx context.Context, ref store.Ref) (store.Snapshot, error) {
				snap, err := s.Load(ctx, ref)
				if err == nil && snap.Tree.Len() > 2_000 {
					err = store.ErrCorrupt
				}
				return snap, err
			}
		},
	},
}

// offsetCursors is List with cursors that count tasks.
func offsetCursors(s store.Store, b *broken) {
	b.list = func(ctx context.Context, q store.ListQuery) (store.ListPage, error) {
		offset, _ := strconv.Atoi(q.Cursor)
		offset = max(offset, 0)
		limit := q.Limit
		q.Cursor, q.Limit = "", math.MaxInt
		page, err := s.List(ctx, q)
		page.Tasks = page.Tasks[min(offset, len(page.Tasks)):]
		if limit > 0 && len(page.Tasks) > limit {
			page.Tasks = page.Tasks[:limit]
			page.Cursor = strconv.Itoa(offset + limit)
		}
		return page, err
	}
}

var listMutants = []mutant{
	{
		name:   "lists the oldest first",
		breaks: []string{"lists show the newest first", "lists stay in order while others write"},
		spoil:  onPage(func(page *store.ListPage) { slices.Reverse(page.Tasks) }),
	},
	{
		name:   "lists headers without counts",
		breaks: []string{"lists show headers", "lists stay in order while others write"},
		spoil: onPage(func(page *store.ListPage) {
			for i := range page.Tasks {
				page.Tasks[i].Counts = state.Counts{1}
			}
		}),
	},
	{
		name:   "lists the finished as unfinished",
		breaks: []string{"lists select"},
		spoil:  onQuery(func(q *store.ListQuery) { q.Unfinished = false }),
	},
	{
		name:   "includes the end of a time range",
		breaks: []string{"lists select by time"},
		spoil: onQuery(func(q *store.ListQuery) {
			if sec, nsec := q.Recorded.Until.Unix(); q.Recorded.Until.IsSet() {
				q.Recorded.Until = state.UnixInstant(sec, nsec+1)
			}
		}),
	},
	{
		name:   "knows no labels",
		breaks: []string{"lists select by what a task is about", "pages of a list are the list"},
		spoil:  onQuery(func(q *store.ListQuery) { q.Labels = state.Labels{} }),
	},
	{
		name:   "lists nothing of states that are unknown",
		breaks: []string{"a query that makes no sense is refused"},
		spoil: onQuery(func(q *store.ListQuery) {
			q.Shown = slices.DeleteFunc(slices.Clone(q.Shown), func(s state.State) bool { return !s.Valid() })
		}),
	},
	{
		name:   "forgets the order that a cursor is for",
		breaks: []string{"a cursor is good for one order"},
		spoil: onQuery(func(q *store.ListQuery) {
			if q.Cursor != "" {
				other := store.ListQuery{OldestFirst: q.OldestFirst}
				q.Cursor = other.CursorAt(1)[:1] + q.Cursor[1:]
			}
		}),
	},
	{
		name:   "knows one order only",
		breaks: []string{"pages of a list are the list", "tasks created between pages come last if the oldest come first"},
		spoil:  onQuery(func(q *store.ListQuery) { q.OldestFirst = false }),
	},
	{
		name:   "loses a task between pages",
		breaks: []string{"pages of a list are the list"},
		spoil: onPage(func(page *store.ListPage) {
			if n := len(page.Tasks); page.Cursor != "" && n > 0 {
				page.Tasks = page.Tasks[:n-1]
			}
		}),
	},
	{
		name: "counts tasks in cursors",
		breaks: []string{
			"tasks created between pages do not appear", "tasks changed between pages appear once at most",
			"a cursor outlives its task", "foreign cursors are refused",
			"a page without limit has a thousand tasks at most",
		},
		spoil: offsetCursors,
	},
	{
		name:   "returns its own slices",
		breaks: []string{"what a store returns is the caller's"},
		spoil: func(s store.Store, b *broken) {
			pages := make(map[string]store.ListPage)
			b.commit = func(ctx context.Context, changes []store.Write) ([]store.Result, error) {
				clear(pages)
				return s.Commit(ctx, changes)
			}
			b.list = func(ctx context.Context, q store.ListQuery) (store.ListPage, error) {
				page, ok := pages[fmt.Sprint(q)]
				if ok {
					return page, nil
				}
				page, err := s.List(ctx, q)
				pages[fmt.Sprint(q)] = page
				return page, err
			}
		},
	},
}

var pageMutants = []mutant{
	{
		name:   "begins transitions with the one named",
		breaks: []string{"transitions come in pages"},
		spoil: func(s store.Store, b *broken) {
			b.transitions = func(ctx context.Context, key state.Key, after uint64, limit int) ([]*state.Transition, error) {
				return s.Transitions(ctx, key, max(after, 1)-1, limit)
			}
		},
	},
	{
		name:   "knows only names of data",
		breaks: []string{"data comes back with its attempt", "pages of attempts are bounded by their data"},
		spoil: func(s store.Store, b *broken) {
			b.attempts = func(ctx context.Context, ref store.Ref, q store.AttemptQuery) ([]store.Attempt, error) {
				q.Data = false
				return s.Attempts(ctx, ref, q)
			}
		},
	},
	{
		name:   "takes data that is only named",
		breaks: []string{"data that is only named is refused"},
		spoil: func(s store.Store, b *broken) {
			b.commit = func(ctx context.Context, writes []store.Write) ([]store.Result, error) {
				for i := range writes {
					for j, tr := range writes[i].Transitions {
						if tr.Data != nil && tr.Data.Bytes() == nil {
							without := *tr
							without.Data = nil
							writes[i].Transitions[j] = &without
						}
					}
				}
				return s.Commit(ctx, writes)
			}
		},
	},
	{
		name:   "gives an input for an output",
		breaks: []string{"data comes back with its attempt", "data goes with its task"},
		spoil: func(s store.Store, b *broken) {
			b.attempts = func(ctx context.Context, ref store.Ref, q store.AttemptQuery) ([]store.Attempt, error) {
				list, err := s.Attempts(ctx, ref, q)
				for i := range list {
					list[i].Input, list[i].Output = list[i].Output, list[i].Input
				}
				return list, err
			}
		},
	},
	{
		name:   "shows the newest attempts first",
		breaks: []string{"attempts come back with the current one", "attempts come in pages"},
		spoil: func(s store.Store, b *broken) {
			b.attempts = func(ctx context.Context, ref store.Ref, q store.AttemptQuery) ([]store.Attempt, error) {
				list, err := s.Attempts(ctx, ref, q)
				slices.Reverse(list)
				return list, err
			}
		},
	},
	{
		name:   "begins changes with the one named",
		breaks: []string{"changes come in pages", "no changes after the last"},
		spoil: func(s store.Store, b *broken) {
			b.changes = func(ctx context.Context, after store.Position, limit int) (store.FeedPage, error) {
				after.Sequence = max(after.Sequence, 1) - 1
				return s.Feed(ctx, after, limit)
			}
		},
	},
	{
		name:   "says 0 is the first that is kept",
		breaks: []string{"no changes after the last"},
		spoil: func(s store.Store, b *broken) {
			b.changes = func(ctx context.Context, after store.Position, limit int) (store.FeedPage, error) {
				feed, err := s.Feed(ctx, after, limit)
				feed.First = 0
				return feed, err
			}
		},
	},
	{
		name:   "shows a change later than the one after it",
		breaks: []string{"the feed only grows at its end"},
		spoil: func(s store.Store, b *broken) {
			b.changes = func(ctx context.Context, after store.Position, limit int) (store.FeedPage, error) {
				feed, err := s.Feed(ctx, after, limit)
				if n := len(feed.Transitions); n > 1 {
					feed.Transitions = slices.Delete(feed.Transitions, n-2, n-1)
				}
				return feed, err
			}
		},
	},
	{
		name:   "takes no limit for no limit",
		breaks: []string{"a page without limit has a thousand entries"},
		spoil: func(s store.Store, b *broken) {
			b.attempts = func(ctx context.Context, ref store.Ref, q store.AttemptQuery) ([]store.Attempt, error) {
				if q.Limit <= 0 {
					q.Limit = math.MaxInt
				}
				return s.Attempts(ctx, ref, q)
			}
		},
	},
}

var valueMutants = []mutant{
	{
		name:   "forgets actors",
		breaks: []string{"transitions come back as committed", "changes come back as committed", "all operations come back"},
		spoil:  onTransitions(func(tr *state.Transition) { tr.Actor = "" }),
	},
	{
		name:   "folds the case of IDs",
		breaks: []string{"IDs are kept as they are"},
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
		breaks: []string{"times are kept as they are"},
		spoil: onOutcomes(func(n *state.Change) {
			if sec, nsec := n.Started.Unix(); n.Started.IsSet() {
				n.Started = state.UnixInstant(sec, nsec/1000*1000)
			}
		}),
	},
	{
		name:   "takes Unix 0 for no time",
		breaks: []string{"times are kept as they are"},
		spoil: onOutcomes(func(n *state.Change) {
			if n.RetryAt == state.UnixInstant(0, 0) {
				n.RetryAt = state.Instant{}
			}
		}),
	},
	{
		name:   "cuts error texts",
		breaks: []string{"texts are kept as they are"},
		spoil:  onOutcomes(func(n *state.Change) { n.Error = n.Error[:min(len(n.Error), 8<<10)] }),
	},
	{
		name:   "takes the version of zeros for none",
		breaks: []string{"numbers are kept as they are"},
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
		breaks: []string{"a cancelled context is refused"},
		spoil: func(s store.Store, b *broken) {
			b.commit = func(ctx context.Context, changes []store.Write) ([]store.Result, error) {
				return s.Commit(context.WithoutCancel(ctx), changes)
			}
		},
	},
	{
		name:   "commits and says it was cancelled",
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
