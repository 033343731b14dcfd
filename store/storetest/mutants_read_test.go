package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

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
		breaks: []string{"a delete takes a sequence", "changes come back as committed"},
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
			"a task created again is never mixed with its predecessor",
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
		breaks: []string{"unknown tasks and nodes are not found"},
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
		breaks: []string{"every node leads to its task", "unknown tasks and nodes are not found"},
		spoil:  onRef(func(_ store.Store, ref store.Ref) store.Ref { return ref.Task() }),
	},
	{
		name:   "finds keys in names",
		breaks: []string{"a key is that of one node"},
		spoil: onRef(func(s store.Store, ref store.Ref) store.Ref {
			snap, err := s.Load(context.Background(), ref.Task())
			if err != nil || ref.NodeKey == "" {
				return ref
			}
			for i := range snap.Tree.Len() {
				if n := snap.Tree.Node(i); strings.Contains(n.Name+n.Key, ref.NodeKey) {
					return store.ByNode(n.ID)
				}
			}
			return ref
		}),
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
		breaks: []string{"lists select by name, labels and failures", "the pages of a list are complete"},
		spoil:  onQuery(func(q *store.ListQuery) { q.Labels = state.Labels{} }),
	},
	{
		name:   "lists nothing of states that are unknown",
		breaks: []string{"an invalid query is refused"},
		spoil: onQuery(func(q *store.ListQuery) {
			q.Shown = slices.DeleteFunc(slices.Clone(q.Shown), func(s state.State) bool { return !s.Valid() })
		}),
	},
	{
		name:   "forgets the order that a cursor is for",
		breaks: []string{"a cursor is valid for one order"},
		spoil: onQuery(func(q *store.ListQuery) {
			if q.Cursor != "" {
				other := store.ListQuery{OldestFirst: q.OldestFirst}
				q.Cursor = other.CursorAt(1)[:1] + q.Cursor[1:]
			}
		}),
	},
	{
		name:   "knows one order only",
		breaks: []string{"the pages of a list are complete", "tasks created between pages come last if the oldest come first"},
		spoil:  onQuery(func(q *store.ListQuery) { q.OldestFirst = false }),
	},
	{
		name:   "loses a task between pages",
		breaks: []string{"the pages of a list are complete"},
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
		breaks: []string{"returned values belong to the caller"},
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
		name:   "accepts data without its bytes",
		breaks: []string{"data without its bytes is refused"},
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
