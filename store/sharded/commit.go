package sharded

import (
	"context"
	"errors"
	"fmt"

	"github.com/pipestatus/pipestatus/store"
)

// Commit implements [store.Store]. All members commit their writes at the same
// time. If one member has all writes, its error is the commit's.
func (s *sharded) Commit(ctx context.Context, writes []store.Write) ([]store.Result, error) {
	if err := validate(writes); err != nil {
		return nil, err
	}
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	results := make([]store.Result, len(writes))
	parts := make(map[*member]*part)
	var involved []*member
	for i := range writes {
		m, err := s.homeOf(ctx, &writes[i])
		if err != nil {
			if len(writes) == 1 && !isResult(err) {
				return nil, err
			}
			results[i].Err = err
			continue
		}
		p := parts[m]
		if p == nil {
			p = &part{member: m}
			parts[m] = p
			involved = append(involved, m)
		}
		p.add(i, &writes[i])
	}
	if len(involved) == 0 {
		return results, nil
	}
	_, errs := ask(involved, func(m *member) (struct{}, error) { return struct{}{}, parts[m].commit(ctx, results) })
	if len(involved) == 1 && errs[0] != nil && len(parts[involved[0]].places) == len(writes) {
		return nil, errs[0]
	}
	return results, nil
}

// isResult reports whether an error is one that a single write can have.
func isResult(err error) bool {
	return errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrUnavailable) || errors.Is(err, ErrSplit)
}

func validate(writes []store.Write) error {
	if err := store.ValidateWrites(writes); err != nil {
		return err
	}
	for i := range writes {
		if key := writes[i].Key(); reserved(key.Business) {
			return invalid("write of task %s: the business is reserved", key)
		}
	}
	return nil
}

// homeOf returns the member for a write.
func (s *sharded) homeOf(ctx context.Context, w *store.Write) (*member, error) {
	if w.Base == 0 {
		return s.homes.settle(ctx, w.Key().Business)
	}
	m, err := s.homes.find(ctx, w.Key().Business)
	if err == nil && (m == nil || w.Base <= m.base || w.Base-m.base >= store.LogSize) {
		err = fmt.Errorf("%w: task %s is not at revision %d", store.ErrConflict, w.Key(), w.Base)
	}
	return m, err
}

// part is the part of a commit for one member.
type part struct {
	member *member
	writes []store.Write // with the member's own bases
	places []int         // indexes in the whole commit
}

func (p *part) add(place int, w *store.Write) {
	own := *w
	if own.Base > 0 {
		own.Base -= p.member.base
	}
	p.writes, p.places = append(p.writes, own), append(p.places, place)
}

// commit commits the part and copies its results into those of the whole. An
// error is the result of all its writes.
func (p *part) commit(ctx context.Context, results []store.Result) error {
	sent, places := p.fenced(results)
	if len(sent) == 0 {
		return nil
	}
	var got []store.Result
	err := p.member.use(ctx, func(st store.Store) (err error) {
		got, err = st.Commit(ctx, sent)
		return err
	})
	if err != nil {
		for _, place := range places {
			results[place].Err = err
		}
		if len(sent) < len(p.writes) {
			return nil // the errors are in the results
		}
		return err
	}
	for i, r := range got {
		if r.Err == nil {
			last := r.First + uint64(len(sent[i].Transitions)) - 1
			p.member.saw(store.Position{History: r.History, Sequence: last})
			r.First += p.member.base
		}
		results[places[i]] = r
	}
	p.member.committed(sent, got)
	return nil
}

// fenced leaves out the writes of tasks that an earlier handle of the member
// had leased.
func (p *part) fenced(results []store.Result) (sent []store.Write, places []int) {
	for i := range p.writes {
		if key := p.writes[i].Key(); p.writes[i].Base > 0 && p.member.fences(key) {
			results[p.places[i]].Err = fmt.Errorf("%w: task %s: member %s was opened again", store.ErrFenced, key, p.member.Name)
			continue
		}
		sent, places = append(sent, p.writes[i]), append(places, p.places[i])
	}
	return sent, places
}
