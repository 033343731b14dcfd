package httpapi

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// events serves the server-sent events of a task.
func (h *Handler) events(x *exchange) error {
	if err := h.target(x); err != nil {
		return err
	}
	after, resumes, err := lastEvent(x)
	if err != nil {
		return err
	}
	if h.streams.Add(1) > int64(h.opts.MaxStreams) {
		h.streams.Add(-1)
		return errTooMany
	}
	defer h.streams.Add(-1)
	at, err := h.locate(x.r.Context(), x.business, x.task)
	if err != nil {
		return err
	}
	// Listening begins before reading, so that nothing falls between the two.
	l, err := h.hub.listen(at.Key)
	if err != nil {
		return err
	}
	defer h.hub.leave(l)
	snap, err := h.query.Snapshot(x.r.Context(), x.business, x.task)
	if err != nil {
		return err
	}
	h.requests.Add(-1) // from here on it counts as a stream
	x.streaming = true
	s := &stream{exchange: x, snap: snap, after: after, fresh: !resumes || after > snap.Tree.Revision()}
	if err := s.open(); err != nil || x.r.Method == http.MethodHead {
		return err
	}
	return s.run(l)
}

// lastEvent is the sequence that a client has seen, if it has seen one.
func lastEvent(x *exchange) (sequence uint64, ok bool, err error) {
	text := x.r.Header.Get("Last-Event-ID")
	if text == "" {
		if text, _, err = x.params.given("last_event_id"); err != nil || text == "" {
			return 0, false, err
		}
	}
	if sequence, err = strconv.ParseUint(text, 10, 64); err != nil {
		return 0, false, malformed("last_event_id must be the ID of an event")
	}
	return sequence, true, nil
}

// stream is one client of a task's events.
type stream struct {
	*exchange
	snap  store.Snapshot // at or after what the client has been told
	after uint64         // the last sequence it has been told
	fresh bool           // it has to be told everything
	buf   []byte
}

// errGone ends a stream whose task was deleted.
var errGone = errors.New("gone")

// open sends the headers, and the time after which to come back.
func (s *stream) open() error {
	header := s.w.Header()
	header.Set("Content-Type", "text/event-stream; charset=utf-8")
	header.Set("X-Accel-Buffering", "no")
	s.w.WriteHeader(http.StatusOK)
	if s.r.Method == http.MethodHead {
		return nil
	}
	return s.write([]byte("retry: 1000\n\n"))
}

// run tells the client everything until it, the task or the service is gone.
func (s *stream) run(l *listener) error {
	heartbeat := time.NewTicker(s.h.opts.Heartbeat)
	defer heartbeat.Stop()
	for ending := false; ; {
		err := s.advance()
		if errors.Is(err, errGone) {
			return s.event("gone", 0, struct{}{})
		}
		if err != nil && (!ending || !errors.Is(err, store.ErrClosed)) {
			return err
		}
		if ending {
			return nil
		}
		select {
		case <-l.wake:
		case <-heartbeat.C:
			if !s.permitted() {
				return nil
			}
			if err := s.write([]byte(": still here\n\n")); err != nil {
				return err
			}
		case <-s.h.hub.done:
			ending = true // once more, for what its wake came too late for
		case <-s.r.Context().Done():
			return nil
		}
	}
}

// permitted reports whether the client could still open this stream. That its
// credentials cannot be checked now is no verdict on them.
func (s *stream) permitted() bool {
	who, err := s.h.opts.Authenticator.Authenticate(s.r, s.params.general())
	if refused := (*AuthError)(nil); errors.As(err, &refused) || err == nil && who != s.who {
		return false
	}
	return s.h.allowed(s.r.Context(), s.who, s.business)
}

// advance tells what the client has not been told yet.
func (s *stream) advance() error {
	for {
		if s.fresh {
			if err := s.snapshot(); err != nil {
				return err
			}
		}
		page, err := s.h.reader.Transitions(s.r.Context(), s.snap.Tree.Key(), s.after, 0)
		if errors.Is(err, state.ErrNotFound) {
			return errGone
		}
		if err != nil || len(page) == 0 {
			return err
		}
		// Too much to tell one by one, or another task under the same key.
		if len(page) >= store.DefaultLimit || page[0].Op == state.Create && s.after > 0 {
			s.fresh = true
		}
		for i := 0; i < len(page) && !s.fresh; i++ {
			if err := s.transition(page[i]); err != nil {
				return err
			}
		}
	}
}

// snapshot tells the whole task as it is now.
func (s *stream) snapshot() error {
	key := s.snap.Tree.Key()
	snap, err := s.h.query.Snapshot(s.r.Context(), key.Business, key.Task)
	if errors.Is(err, state.ErrNotFound) {
		return errGone
	}
	if err != nil {
		return err
	}
	if err := s.encodeSnapshot(snap); err != nil {
		return err
	}
	s.snap, s.after, s.fresh = snap, snap.Tree.Revision(), false
	return s.write(s.buf)
}

// encodeSnapshot takes a turn, which ends before anything is sent.
func (s *stream) encodeSnapshot(snap store.Snapshot) error {
	done, err := s.turn(snap.Tree.Len())
	if err != nil {
		return err
	}
	defer done()
	s.encode("snapshot", snap.Tree.Revision(), s.h.story(snap, nil))
	return nil
}

// transition tells one.
func (s *stream) transition(tr *state.Transition) error {
	if tr.Sequence > s.snap.Tree.Revision() {
		tree, err := s.snap.Tree.Replay(tr)
		if err != nil {
			s.fresh = true
			return nil
		}
		s.snap.Tree = tree
	}
	s.after = tr.Sequence
	return s.event("transition", tr.Sequence, s.h.moved(s.snap.Tree, tr))
}

func (s *stream) event(name string, id uint64, data any) error {
	s.encode(name, id, data)
	return s.write(s.buf)
}

func (s *stream) encode(name string, id uint64, data any) {
	b := append(append(s.buf[:0], "event: "...), name...)
	if id > 0 {
		b = strconv.AppendUint(append(b, "\nid: "...), id, 10)
	}
	// JSON has no line breaks, so one line holds it.
	b = appendJSON(append(b, "\ndata: "...), data)
	s.buf = append(b, "\n\n"...)
}

// write sends at once. A client that does not take it in time is cut by the
// error that follows.
func (s *stream) write(p []byte) error {
	s.deadline()
	if _, err := s.w.Write(p); err != nil {
		return err
	}
	if err := http.NewResponseController(s.w).Flush(); err != nil {
		return err
	}
	if len(p) > keepMax {
		s.buf = nil // after a large snapshot only small things follow
	}
	return nil
}
