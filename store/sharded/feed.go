package sharded

import (
	"context"
	"errors"
	"fmt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Feed implements [store.Reader]. Errors of lost members come in a
// [store.UnavailableError], when the others have no more.
func (s *sharded) Feed(ctx context.Context, after store.Position, limit int) (store.FeedPage, error) {
	if err := s.ready(ctx); err != nil {
		return store.FeedPage{}, err
	}
	if limit <= 0 {
		limit = store.DefaultLimit
	}
	from := make([]store.Position, len(s.members))
	if logs := after.Logs(); after != store.End {
		if len(logs) > len(from) {
			return store.FeedPage{}, fmt.Errorf("%w: position %s, there are %d members", store.ErrHistory, after, len(from))
		}
		copy(from, logs)
	} else {
		for i := range from {
			from[i] = store.End
		}
	}
	pages, errs := ask(s.members, func(m *member) (store.FeedPage, error) { return m.feed(ctx, from[m.number], limit) })
	lost, err := s.sorted(ctx, from, errs)
	if err != nil {
		return store.FeedPage{}, err
	}
	feed := store.FeedPage{Transitions: merge(pages, limit), First: pages[0].First}
	if after != store.End {
		feed.From = after
	}
	last, oldest := make([]store.Position, len(pages)), make([]store.Position, len(pages))
	for i := range pages {
		switch {
		case errs[i] == nil:
			last[i], oldest[i] = pages[i].Last, pages[i].Start()
		case after == store.End: // the last known position
			last[i] = s.members[i].seen()
		default:
			last[i], oldest[i] = from[i], from[i]
		}
	}
	feed.Last, feed.Oldest = store.Join(last...), store.Join(oldest...)
	if lost != nil && len(feed.Transitions) == 0 {
		return store.FeedPage{}, &store.UnavailableError{Known: feed.Last, Err: lost}
	}
	return feed, nil
}

// feed returns a page of a member after a position, without records of the
// directory.
func (m *member) feed(ctx context.Context, after store.Position, limit int) (feed store.FeedPage, err error) {
	for more := true; more && err == nil; {
		err = m.use(ctx, func(st store.Store) error {
			page, err := st.Feed(ctx, after, limit-len(feed.Transitions))
			if err != nil {
				return err
			}
			m.saw(page.Last)
			visible := page.Transitions[:0:0]
			for _, tr := range page.Transitions {
				if !reserved(tr.Task.Business) {
					visible = append(visible, tr)
				}
			}
			feed.Transitions = append(feed.Transitions, m.numbered(visible)...)
			more = len(visible) < len(page.Transitions) && len(feed.Transitions) < limit
			feed.First, feed.Last, feed.Oldest = page.First, page.Last, page.Start()
			after = page.After()
			return nil
		})
	}
	if err != nil { // the page has no position for a part of it
		return store.FeedPage{}, err
	}
	return feed, nil
}

// merge merges up to limit transitions of pages. It keeps the order of each
// page, and orders transitions of different pages by their times of recording.
func merge(pages []store.FeedPage, limit int) (merged []*state.Transition) {
	rest := make([][]*state.Transition, len(pages))
	for i := range pages {
		rest[i] = pages[i].Transitions
	}
	for len(merged) < limit {
		next := -1
		for i, trs := range rest {
			if len(trs) > 0 && (next < 0 || rest[next][0].Recorded.After(trs[0].Recorded)) {
				next = i
			}
		}
		if next < 0 {
			break
		}
		merged = append(merged, rest[next][0])
		rest[next] = rest[next][1:]
	}
	return merged
}

// sorted separates the errors of members: lost has those that the feed can
// tolerate for a while. For a gap it adds the position after which to continue.
func (s *sharded) sorted(ctx context.Context, from []store.Position, errs []error) (lost, err error) {
	var history, trimmed, other []error
	resume := make([]store.Position, len(from))
	copy(resume, from)
	for i, err := range errs {
		switch {
		case err == nil:
			continue
		case errors.Is(err, store.ErrUnavailable):
			lost = errors.Join(lost, err)
			continue
		case errors.Is(err, store.ErrHistory):
			history = append(history, &MemberError{s.members[i].Name, err})
		case errors.Is(err, store.ErrTrimmed):
			trimmed = append(trimmed, &MemberError{s.members[i].Name, err})
		default:
			other = append(other, err)
			continue
		}
		end, err := s.members[i].feed(ctx, store.End, 1)
		if err != nil {
			return nil, err
		}
		resume[i] = end.Start()
	}
	gap := errors.Join(history...)
	if gap == nil {
		gap = errors.Join(trimmed...)
	}
	switch {
	case len(other) > 0:
		return nil, errors.Join(other...)
	case gap != nil:
		return nil, &store.GapError{Resume: store.Join(resume...), Err: gap}
	}
	return lost, nil
}
