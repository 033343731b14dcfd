package enginetest

import (
	"context"
	"slices"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/engine/internal/model"
	"github.com/pipestatus/pipestatus/state"
)

// forget deletes tasks some time after they ended, or tries to.
func (s *Story) forget() {
	s.Helper()
	for _, key := range s.model.Keys() {
		h, _ := s.model.Header(key)
		if !h.State.Ended() || !s.draw.In(15, "delete") {
			continue
		}
		s.clock = s.draw.Time()
		err := s.engine().Delete(context.Background(), key.Business, key.Task, engine.Actor("janitor"))
		if h.Unfinished {
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

// purge removes what a random retention lets go.
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
	removed, err := s.engine().Purge(context.Background(), r)
	if err != nil {
		s.Fatal("purge:", err)
	}
	want, seen := 0, 0
	for _, key := range slices.Backward(s.model.Keys()) {
		h, _ := s.model.Header(key)
		if r.Shown != nil && !slices.Contains(r.Shown, h.Shown) {
			continue
		}
		if seen++; seen <= r.Keep || h.Unfinished || !r.Before.IsZero() && !state.InstantOf(r.Before).After(h.Updated) {
			continue
		}
		s.model.Delete(key, s.clock, "")
		want++
	}
	s.same("number of tasks purged", removed, want)
	s.opts.Tally["ok purge"] += removed
}
