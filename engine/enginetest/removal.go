package enginetest

import (
	"context"
	"slices"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/engine/internal/model"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// forget deletes tasks some time after they ended, or tries to.
func (s *Story) forget() {
	s.Helper()
	for _, key := range s.model.Keys() {
		h, _ := s.model.Header(key)
		if !h.State.Ended() && !s.draw.In(10, "although it has not ended") || !s.draw.In(15, "delete") {
			continue
		}
		s.clock = s.draw.Time()
		opts := []engine.Option{engine.Actor("janitor")}
		force := s.draw.In(30, "force")
		if force {
			opts = append(opts, engine.Force())
		}
		err := s.engine().Delete(context.Background(), key.Business, key.Task, opts...)
		if h.Unfinished && !(force && h.Settled) {
			s.same("code of a delete", model.Code(err), model.InvalidTransition)
			s.opts.Tally["refused delete"]++
			continue
		}
		if err != nil {
			s.Fatalf("delete %s: %v", key, err)
		}
		s.model.Delete(key, s.clock, "janitor")
		s.opts.Tally["ok delete"]++
	}
}

// purge removes tasks by a random retention.
func (s *Story) purge() {
	if !s.draw.In(60, "really") {
		return
	}
	s.clock = s.draw.Time()
	r := engine.Retention{Keep: s.draw.UpTo(2, "keep")}
	if s.draw.In(50, "by age") {
		r.Before = s.draw.Time().Time()
	}
	if s.draw.In(50, "by state") {
		r.Shown = []state.State{state.Finished, state.Revoked}
	}
	r.ByEnd, r.Settled = s.draw.In(50, "by end"), s.draw.In(30, "settled ones too")
	got, err := s.engine().Purge(context.Background(), r)
	if err != nil {
		s.Fatal("purge:", err)
	}
	var want engine.Purged
	seen := 0
	for _, h := range s.model.List(store.ListQuery{}) {
		if r.Shown != nil && !slices.Contains(r.Shown, h.Shown) {
			continue
		}
		seen++
		age := h.Updated
		if r.ByEnd && h.State.Ended() {
			age = h.Finished
		}
		old := r.Before.IsZero() || state.InstantOf(r.Before).After(age)
		switch {
		case seen <= r.Keep:
			want.Newest++
		case h.Unfinished && !h.Settled:
			want.Unfinished++
		case !old:
			want.Recent++
		case h.Unfinished && !r.Settled:
			want.Settled++
		default:
			s.model.Delete(h.Key, s.clock, "")
			want.Removed++
		}
	}
	s.same("purge", got, want)
	s.opts.Tally["ok purge"] += got.Removed
}
