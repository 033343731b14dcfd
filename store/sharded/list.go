package sharded

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/pipestatus/pipestatus/store"
)

// List implements [store.Reader]. The tasks of one business are on one member.
// A list of all businesses lacks the tasks of lost members.
func (s *sharded) List(ctx context.Context, q store.ListQuery) (store.ListPage, error) {
	if q.Business == "" {
		return s.merged(ctx, q, func(st store.Store, q store.ListQuery) (store.ListPage, error) { return st.List(ctx, q) })
	}
	if err := s.ready(ctx); err != nil {
		return store.ListPage{}, err
	}
	m, err := s.homes.find(ctx, q.Business)
	switch {
	case err != nil || reserved(q.Business):
		return store.ListPage{}, err
	case m == nil:
		m = s.members[0] // finds no task, and reports an invalid query
	}
	var page store.ListPage
	err = m.use(ctx, func(st store.Store) (err error) {
		page, err = st.List(ctx, q)
		return err
	})
	for i := range page.Tasks {
		page.Tasks[i].Number += m.base
		page.Tasks[i].Revision += m.base
	}
	for i := range page.Unreadable {
		page.Unreadable[i].Number += m.base
	}
	return page, err
}

// stretch is the part of a merged page that comes from one member.
type stretch struct {
	*member
	query  store.ListQuery
	ended  bool // the member had ended before this page
	lost   bool
	page   store.ListPage
	looked int // number of its tasks that were examined
}

// merged merges the pages of all members, each in its own order. The page ends
// where the continuation of a member's page is unknown.
func (s *sharded) merged(
	ctx context.Context, q store.ListQuery, list func(store.Store, store.ListQuery) (store.ListPage, error),
) (merged store.ListPage, err error) {
	if err := s.ready(ctx); err != nil {
		return merged, err
	}
	if q.Limit <= 0 {
		q.Limit = store.DefaultLimit
	}
	stretches, err := s.stretches(q)
	if err != nil {
		return merged, err
	}
	_, errs := ask(s.members, func(m *member) (struct{}, error) {
		l := stretches[m.number]
		if l.ended {
			return struct{}{}, nil
		}
		return struct{}{}, m.use(ctx, func(st store.Store) (err error) {
			l.page, err = list(st, l.query)
			return err
		})
	})
	if merged.Missing, err = missing(stretches, errs); err != nil {
		return merged, err
	}
	for len(merged.Tasks) < q.Limit {
		next, known := first(stretches, q.OldestFirst)
		if !known || next == nil {
			break
		}
		t := next.page.Tasks[next.looked]
		t.Number += next.base
		t.Revision += next.base
		merged.Tasks = append(merged.Tasks, t)
		next.looked++
	}
	merged.Cursor = cursor(stretches, q.OldestFirst)
	for _, l := range stretches {
		for _, u := range l.page.Unreadable {
			if bound := l.bound(); l.exhausted() || bound != u.Number && (u.Number < bound) == q.OldestFirst {
				u.Number += l.base
				merged.Unreadable = append(merged.Unreadable, u)
			}
		}
	}
	return merged, nil
}

// missing returns the errors of lost members. It returns an error instead if
// all members of the page are lost, or if there is another error.
func missing(stretches []*stretch, errs []error) (lost []error, err error) {
	asked := 0
	for i, l := range stretches {
		if !l.ended {
			asked++
		}
		switch l.lost = errors.Is(errs[i], store.ErrUnavailable); {
		case l.lost:
			lost = append(lost, errs[i])
		case errs[i] != nil:
			return nil, errs[i]
		}
	}
	if asked > 0 && len(lost) == asked {
		return nil, errors.Join(lost...)
	}
	return lost, nil
}

// first returns the stretch with the next task of the list, nil at the end. The
// next task is unknown if a member has more tasks than its page, which is used
// up.
func first(stretches []*stretch, oldestFirst bool) (next *stretch, known bool) {
	for _, l := range stretches {
		for !l.exhausted() && reserved(l.page.Tasks[l.looked].Key.Business) {
			l.looked++
		}
		if l.exhausted() {
			if l.page.Cursor != "" {
				return nil, false
			}
			continue
		}
		if next == nil {
			next = l
			continue
		}
		a, b := next.page.Tasks[next.looked].Recorded, l.page.Tasks[l.looked].Recorded
		if oldestFirst && a.After(b) || !oldestFirst && b.After(a) {
			next = l
		}
	}
	return next, true
}

// exhausted reports whether all tasks of the page were examined.
func (l *stretch) exhausted() bool { return l.looked == len(l.page.Tasks) }

// bound is the number of the last examined task, or one before the first, in
// the order of the list.
func (l *stretch) bound() uint64 {
	switch {
	case l.looked > 0:
		return l.page.Tasks[l.looked-1].Number
	case l.exhausted():
		return 0
	case l.query.OldestFirst:
		return l.page.Tasks[0].Number - 1
	}
	return l.page.Tasks[0].Number + 1
}

// A cursor of a merged list has the order of the list and the cursor of each member.
const (
	newestMarks = "nm"
	oldestMarks = "om"
	ended       = "."
)

func marks(oldestFirst bool) string {
	if oldestFirst {
		return oldestMarks
	}
	return newestMarks
}

// cursor returns the cursor of the page that ends here, "" at the end of the
// list. In a list of the oldest first, a member at its end can get more tasks
// at any time. A lost member continues from its place if it is back before the
// others have ended.
func cursor(stretches []*stretch, oldestFirst bool) string {
	text, more := marks(oldestFirst), false
	for _, l := range stretches {
		at := l.query.Cursor
		switch bound := l.bound(); {
		case l.lost:
		case l.ended, l.exhausted() && l.page.Cursor == "" && !oldestFirst:
			at = ended
		case l.exhausted() && l.page.Cursor != "":
			at, more = l.page.Cursor, true
		case bound > 0:
			at = l.query.CursorAt(bound)
		}
		more = more || !l.exhausted()
		text += "," + url.QueryEscape(at)
	}
	if !more {
		return ""
	}
	return text
}

// stretches returns the stretches that begin at the cursor.
func (s *sharded) stretches(q store.ListQuery) (stretches []*stretch, err error) {
	cursors := make([]string, len(s.members))
	if q.Cursor != "" {
		parts := strings.Split(q.Cursor, ",")
		if parts[0] != marks(q.OldestFirst) || len(parts) != 1+len(cursors) {
			return nil, invalid("cursor %.40q does not come from such a list", q.Cursor)
		}
		for i, part := range parts[1:] {
			if cursors[i], err = url.QueryUnescape(part); err != nil {
				return nil, invalid("cursor %.40q: %v", q.Cursor, err)
			}
		}
	}
	for i, m := range s.members {
		l := &stretch{member: m, query: q, ended: cursors[i] == ended}
		l.query.Cursor = cursors[i]
		stretches = append(stretches, l)
	}
	return stretches, nil
}
