package enginetest

import (
	"context"
	"errors"
	"slices"

	"github.com/pipestatus/pipestatus/engine/internal/model"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// compareTask compares a task as a reader shows it.
func (s *Story) compareTask(r store.Reader, key state.Key) {
	s.Helper()
	snap, err := r.Load(context.Background(), store.Ref{Key: key})
	want := s.model.Tree(key)
	if want == nil {
		s.same("code of a task that is not there", model.Code(err), model.NotFound)
		return
	}
	if err != nil {
		s.Fatal("load:", err)
	}
	s.same("tree", model.Of(snap.Tree), want)
	s.same("revision", snap.Tree.Revision(), s.model.Revision(key))
}

// compareAll compares everything, with trees loaded from the store through the
// handle of the current engine.
func (s *Story) compareAll() {
	s.Helper()
	handle := s.stores[s.current]
	keys := s.model.Keys()
	page, err := handle.List(context.Background(), store.ListQuery{})
	if err != nil || page.Cursor != "" {
		s.Fatalf("list: cursor %q, %v", page.Cursor, err)
	}
	s.same("number of tasks", len(page.Tasks), len(keys))
	for i, key := range slices.Backward(keys) {
		h, _ := s.model.Header(key)
		s.same("header", model.HeaderOf(&page.Tasks[len(keys)-1-i]), h)
		s.compareTask(handle, key)
		s.compareHistories(s.model.Tree(key))
	}
	s.compareFeed()
}

func (s *Story) compareHistories(n *model.Node) {
	s.Helper()
	past, err := store.Superseded(context.Background(), s.engine(), store.ByNode(n.ID), 0, 0)
	if err != nil {
		s.Fatal("attempts:", err)
	}
	if len(past) > 0 || len(s.model.History(n.ID)) > 0 {
		s.same("history of "+n.ID, past, s.model.History(n.ID))
	}
	for i := range n.Children {
		s.compareHistories(&n.Children[i])
	}
}

// compareFeed compares the transitions that are kept.
func (s *Story) compareFeed() {
	s.Helper()
	after, feed := s.latest()
	s.same("last sequence", feed.Last.Sequence, s.model.Sequence())
	var got []model.Entry
	for _, tr := range feed.Transitions {
		got = append(got, model.EntryOf(tr))
	}
	s.same("feed", got, append([]model.Entry(nil), s.model.Log()[after:]...))
}

// latest is a page of the latest transitions, and the position before it. That is
// enough, because the earlier ones have been compared before.
func (s *Story) latest() (after uint64, feed store.FeedPage) {
	s.Helper()
	ctx := context.Background()
	for {
		kept, err := s.engine().Feed(ctx, store.End, 1)
		if err != nil {
			s.Fatal("feed:", err)
		}
		last := kept.Last.Sequence
		after = max(kept.First-1, last-min(last, 200))
		feed, err = s.engine().Feed(ctx, kept.Last.At(after), 0)
		switch {
		case err == nil:
			return after, feed
		case !errors.Is(err, store.ErrTrimmed): // by a write-back in between
			s.Fatal("feed:", err)
		}
	}
}
