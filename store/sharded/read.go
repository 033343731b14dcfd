package sharded

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Load implements [store.Reader].
func (s *sharded) Load(ctx context.Context, ref store.Ref) (store.Snapshot, error) {
	snap, m, err := readTask(ctx, s, ref, func(ctx context.Context, m *member) (store.Snapshot, error) {
		return m.load(ctx, ref)
	}, func(snap *store.Snapshot) state.Key { return snap.Tree.Key() })
	if err != nil {
		return store.Snapshot{}, err
	}
	logs := make([]store.Position, len(s.members))
	for i, other := range s.members {
		if logs[i] = other.seen(); other == m {
			logs[i] = snap.Position
		}
	}
	snap.Position = store.Join(logs...)
	if m.base > 0 {
		snap.Tree = snap.Tree.WithRevision(snap.Tree.Revision() + m.base)
	}
	return snap, nil
}

// load is Load with the member's own revision and position.
func (m *member) load(ctx context.Context, ref store.Ref) (snap store.Snapshot, err error) {
	err = m.use(ctx, func(st store.Store) (err error) {
		snap, err = st.Load(ctx, ref)
		return err
	})
	if err == nil {
		m.saw(snap.Position)
	}
	return snap, err
}

// Locate implements [store.Reader].
func (s *sharded) Locate(ctx context.Context, ref store.Ref) (store.Location, error) {
	at, m, err := readTask(ctx, s, ref, func(ctx context.Context, m *member) (at store.Location, err error) {
		err = m.use(ctx, func(st store.Store) (err error) {
			at, err = st.Locate(ctx, ref)
			return err
		})
		return at, err
	}, func(at *store.Location) state.Key { return at.Key })
	if err != nil {
		return store.Location{}, err
	}
	at.Revision += m.base
	return at, nil
}

// Attempts implements [store.Reader].
func (s *sharded) Attempts(ctx context.Context, ref store.Ref, q store.AttemptQuery) ([]store.Attempt, error) {
	page, _, err := readTask(ctx, s, ref, func(ctx context.Context, m *member) (page []store.Attempt, err error) {
		err = m.use(ctx, func(st store.Store) (err error) {
			page, err = st.Attempts(ctx, ref, q)
			return err
		})
		return page, err
	}, func(*[]store.Attempt) (unknown state.Key) { return unknown })
	return page, err
}

// Transitions implements [store.Reader].
func (s *sharded) Transitions(ctx context.Context, key state.Key, after uint64, limit int) (trs []*state.Transition, err error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	m, err := s.homes.find(ctx, key.Business)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, notFound(store.Ref{Key: key})
	}
	err = m.use(ctx, func(st store.Store) (err error) {
		trs, err = st.Transitions(ctx, key, m.own(after), limit)
		return err
	})
	return m.numbered(trs), err
}

// own returns the member's own sequence for one of the sharded store: later
// sequences there are later ones here.
func (m *member) own(sequence uint64) uint64 {
	switch {
	case sequence <= m.base:
		return 0
	case sequence-m.base >= store.LogSize:
		return math.MaxUint64
	}
	return sequence - m.base
}

// numbered returns copies of transitions with the sequences of the sharded
// store. They are copies because a store may share its transitions.
func (m *member) numbered(trs []*state.Transition) []*state.Transition {
	if m.base == 0 {
		return trs
	}
	copies := make([]state.Transition, len(trs))
	for i, tr := range trs {
		copies[i] = *tr
		copies[i].Sequence += m.base
		trs[i] = &copies[i]
	}
	return trs
}

// readTask reads a part of the task that a reference names, from its member.
// keyOf returns the key of the task that was read, zero if the answer does not
// contain it.
func readTask[T any](
	ctx context.Context, s *sharded, ref store.Ref, read func(context.Context, *member) (T, error), keyOf func(*T) state.Key,
) (answer T, m *member, err error) {
	if err := s.ready(ctx); err != nil {
		return answer, nil, err
	}
	if ref.Node != "" {
		return readNode(ctx, s, ref, read, keyOf)
	}
	if m, err = s.homes.find(ctx, ref.Key.Business); err == nil && m == nil {
		err = notFound(ref)
	}
	if err != nil {
		return answer, nil, err
	}
	answer, err = read(ctx, m)
	return answer, m, err
}

// readNode asks all members at once. A generated ID is on one member only, so
// the first answer ends the search. The other calls are not canceled, because
// that would cost some databases their connections.
func readNode[T any](
	ctx context.Context, s *sharded, ref store.Ref, read func(context.Context, *member) (T, error), keyOf func(*T) state.Key,
) (found T, m *member, err error) {
	unique := generated(ref.Node)
	type reply struct {
		answer T
		m      *member
		err    error
	}
	replies := make(chan reply, len(s.members))
	for _, m := range s.members {
		go func() {
			answer, err := read(ctx, m)
			if err == nil && reserved(keyOf(&answer).Business) {
				err = notFound(ref)
			}
			replies <- reply{answer, m, err}
		}()
	}
	var failures []error
	for range s.members {
		r := <-replies
		switch {
		case r.err == nil && unique:
			return r.answer, r.m, nil
		case r.err == nil && m != nil:
			return found, nil, fmt.Errorf("%w: %q on %s and %s", ErrAmbiguous, ref.Node, m.Name, r.m.Name)
		case r.err == nil:
			found, m = r.answer, r.m
		case !errors.Is(r.err, state.ErrNotFound):
			failures = append(failures, r.err)
		}
	}
	switch {
	case len(failures) > 0:
		return found, nil, errors.Join(failures...)
	case m == nil:
		return found, nil, notFound(ref)
	}
	return found, m, nil
}

// generated reports whether an ID has the form of a UUID of version 7, as engines
// generate them.
func generated(id string) bool {
	raw, ok := state.ParseHexID(id)
	return ok && raw[6]>>4 == 7
}

func notFound(ref store.Ref) error { return fmt.Errorf("%w: %s", state.ErrNotFound, ref) }
