package enginetest

import (
	"context"
	"errors"
	"fmt"

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
	want := s.model.List(store.ListQuery{})
	page, err := handle.List(context.Background(), store.ListQuery{})
	if err != nil || page.Cursor != "" {
		s.Fatalf("list: cursor %q, %v", page.Cursor, err)
	}
	s.same("number of tasks", len(page.Tasks), len(want))
	for i, h := range want {
		s.same("header", model.HeaderOf(&page.Tasks[i]), h)
		s.compareTask(handle, h.Key)
		s.compareAttempts(h.Key, s.model.Tree(h.Key))
		s.compareTransitions(h.Key, h.Number)
	}
	s.compareFeed()
}

// compareAttempts compares the attempts of a node, with their data, and of those in
// it. A node that has a key is found by it.
func (s *Story) compareAttempts(key state.Key, n *model.Node) {
	s.Helper()
	ref := store.ByNode(n.ID)
	if n.Key != "" {
		ref = store.ByNodeKey(key.Business, key.Task, n.Key)
	}
	var got []model.Attempt
	for {
		page, err := s.engine().Attempts(context.Background(), ref, store.AttemptQuery{Skip: len(got), Data: true})
		if err != nil {
			s.Fatal("attempts:", err)
		}
		if len(page) == 0 {
			break
		}
		for i := range page {
			got = append(got, model.AttemptOf(&page[i]))
		}
	}
	s.same("attempts of "+n.ID, got, s.model.Attempts(n.ID))
	for i := range n.Children {
		s.compareAttempts(key, &n.Children[i])
	}
}

// compareTransitions compares the latest transitions of a task, which was created
// with the sequence first. The earlier ones were the latest once.
func (s *Story) compareTransitions(key state.Key, first uint64) {
	s.Helper()
	last := s.model.Last(key.Business)
	after := max(first-1, last-min(last, 50))
	transitions, err := s.engine().Transitions(context.Background(), key, after, 0)
	if err != nil {
		s.Fatal("transitions:", err)
	}
	var want []model.Entry
	for _, e := range s.model.Log() {
		if e.Task == key && e.Sequence > after {
			want = append(want, e)
		}
	}
	s.same("transitions", s.entries(transitions), want)
}

// entries are transitions as a store returns them, with their data named only.
func (s *Story) entries(transitions []*state.Transition) (all []model.Entry) {
	s.Helper()
	for _, tr := range transitions {
		if tr.Data.Bytes() != nil {
			s.Fatalf("transition %d holds its data", tr.Sequence)
		}
		all = append(all, model.EntryOf(tr))
	}
	return all
}

// list compares what a random query selects, page by page.
func (s *Story) list() {
	s.Helper()
	q := s.draw.Query()
	q.Limit = 1 + s.draw.UpTo(3, "limit")
	var got []model.Header
	for {
		page, err := s.engine().List(context.Background(), q)
		if err != nil || len(page.Tasks) > q.Limit {
			s.Fatalf("list %+v: %d tasks, %v", q, len(page.Tasks), err)
		}
		for i := range page.Tasks {
			got = append(got, model.HeaderOf(&page.Tasks[i]))
		}
		if q.Cursor = page.Cursor; q.Cursor == "" {
			break
		}
	}
	want := s.model.List(q)
	s.same(fmt.Sprintf("list of %+v", q), got, want)
}

// compareFeed compares the transitions that are kept.
func (s *Story) compareFeed() {
	s.Helper()
	after, feed := s.latest()
	for _, all := range byLog(s.model.Log()) {
		last := all[len(all)-1].Sequence
		s.same("last sequence", feed.Last.In(last), last)
	}
	var want []model.Entry
	for _, e := range s.model.Log() {
		if !after.Has(e.Sequence) {
			want = append(want, e)
		}
	}
	s.same("feed", byLog(s.entries(feed.Transitions)), byLog(want))
}

// byLog returns the entries by log, each log in its own order.
func byLog(entries []model.Entry) map[int][]model.Entry {
	logs := make(map[int][]model.Entry)
	for _, e := range entries {
		logs[store.LogOf(e.Sequence)] = append(logs[store.LogOf(e.Sequence)], e)
	}
	return logs
}

// latest is a page of the latest transitions of each log, and the position before it.
// That is enough, because the earlier ones have been compared before.
func (s *Story) latest() (after store.Position, feed store.FeedPage) {
	s.Helper()
	ctx := context.Background()
	for {
		kept, err := s.engine().Feed(ctx, store.End, 1)
		if err != nil {
			s.Fatal("feed:", err)
		}
		after = kept.Last
		for i, last := range kept.Last.Logs() {
			base := uint64(i) * store.LogSize
			after = after.At(max(kept.Start().In(base), base+last.Sequence-min(last.Sequence, 200)))
		}
		feed, err = s.engine().Feed(ctx, after, 0)
		switch {
		case err == nil:
			return after, feed
		case !errors.Is(err, store.ErrTrimmed): // by a write-back in between
			s.Fatal("feed:", err)
		}
	}
}
