package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// events serves the server-sent events of a task.
func (h *Handler) events(x *exchange) error {
	seat := h.streams.now(x.client(), 1)
	if seat == nil {
		return errTooMany
	}
	defer seat.end()
	at, err := h.query.Locate(x.r.Context(), x.business, x.task)
	if err != nil {
		return err
	}
	// Listening begins before reading, so that no transition is missed in between.
	l, err := h.hub.listen(at.Key)
	if err != nil {
		return err
	}
	defer h.hub.leave(l)
	snap, err := x.now(nil)
	if err != nil {
		return err
	}
	s := &stream{exchange: x, snap: snap}
	if err := s.hold(); err != nil {
		return err
	}
	defer func() { s.held() }()
	if s.after, s.fresh, err = s.lastEvent(); err != nil {
		return err
	}
	x.leave() // from here on it counts as a stream
	x.claim.end()
	x.claim = nil
	if err := s.open(); err != nil || x.r.Method == http.MethodHead {
		return err
	}
	return s.run(l)
}

// lastEvent is the last sequence that a client has seen; fresh is true if it has seen
// none, or if its position belongs to another task or handler.
func (s *stream) lastEvent() (sequence uint64, fresh bool, err error) {
	ids := s.r.Header.Values("Last-Event-ID")
	if len(ids) > 1 {
		return 0, true, badRequest("header Last-Event-ID is given more than once")
	}
	text := strings.Join(ids, "")
	if text == "" {
		text = s.params.text("last_event_id")
	}
	history, sequence, ok := s.h.positions.open(s.snap.Tree.Key(), text)
	if ok && sequence > 0 {
		// The store may be a copy, or another one, that never had this position.
		_, err := s.h.reader.Feed(s.r.Context(), store.Position{}.With(history, sequence), 1)
		if ok = !errors.Is(err, store.ErrHistory); ok && err != nil && !errors.Is(err, store.ErrTrimmed) {
			return 0, true, err
		}
	}
	return sequence, !ok || sequence > s.snap.Tree.Revision(), s.params.err
}

// stream is one client of a task's events.
type stream struct {
	*exchange
	snap  store.Snapshot // at or after the state sent to the client
	after uint64         // the last sequence sent
	fresh bool           // it needs a snapshot
	begun bool           // the store has had a commit since it was opened
	held  func()         // releases the bytes of the tree
	nodes int            // how large a tree they are for
	buf   []byte
}

// hold takes the bytes of the tree for as long as the stream keeps one, and
// again when it has become much larger.
func (s *stream) hold() (err error) {
	if s.held != nil && s.snap.Tree.Len() <= 2*s.nodes {
		return nil
	}
	if s.held != nil {
		s.held()
	}
	s.nodes = s.snap.Tree.Len()
	s.held, err = s.h.held.take(s.client(), s.snap.Tree)
	return err
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

// run sends everything to the client until the client leaves, the task is deleted or
// the service ends.
func (s *stream) run(l *listener) error {
	heartbeat := time.NewTicker(s.h.opts.Heartbeat)
	defer heartbeat.Stop()
	for ending := false; ; {
		err := s.advance()
		if errors.Is(err, errGone) {
			return s.event("gone", "", struct{}{})
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

// permitted reports whether the client could still open this stream. If its
// credentials cannot be checked now, the stream continues.
func (s *stream) permitted() bool {
	who, err := s.h.opts.Authenticator.Authenticate(s.r, s.params.general())
	if refused := (*AuthError)(nil); errors.As(err, &refused) || err == nil && who != s.who {
		return false
	}
	return s.h.allowed(s.r.Context(), s.who, s.business)
}

// advance sends the transitions that the client has not received.
func (s *stream) advance() error {
	for {
		if s.fresh {
			if err := s.snapshot(); err != nil {
				return err
			}
		}
		page, done, err := s.pending()
		if errors.Is(err, state.ErrNotFound) {
			return errGone
		}
		if err != nil || len(page) == 0 {
			return err
		}
		err = s.tell(page)
		done()
		if err != nil {
			return err
		}
	}
}

const (
	// pageShort is how many transitions are read first: mostly there are fewer.
	pageShort = 16
	// pageBytes bounds the size of a page of the usual length.
	pageBytes = store.DefaultLimit * state.MaxErrorBytes
	// changesMost bounds the nodes in a transition event; a larger change is sent
	// as a snapshot, which goes out in pieces.
	changesMost = 1000
)

// pending reads transitions that the client has not received. done releases the bytes
// of a long page.
func (s *stream) pending() (page []*state.Transition, done func(), err error) {
	ctx, key := s.r.Context(), s.snap.Tree.Key()
	page, err = s.h.reader.Transitions(ctx, key, s.after, pageShort)
	if err != nil || len(page) < pageShort {
		return page, func() {}, err
	}
	c, err := s.h.memory.take(ctx, s.client(), pageBytes, s.h.opts.WriteTimeout)
	if err != nil {
		return nil, nil, err
	}
	page, err = s.h.reader.Transitions(ctx, key, s.after, 0)
	return page, c.end, err
}

func (s *stream) tell(page []*state.Transition) error {
	// Too many to send one by one, or another task under the same key.
	if len(page) >= store.DefaultLimit || page[0].Op == state.Create && s.after > 0 {
		s.fresh = true
	}
	for i := 0; i < len(page) && !s.fresh; i++ {
		if s.fresh = len(page[i].Changes) > changesMost; s.fresh {
			return nil
		}
		if err := s.transition(page[i]); err != nil {
			return err
		}
	}
	return nil
}

// snapshot sends the whole task.
func (s *stream) snapshot() error {
	key := s.snap.Tree.Key()
	snap, err := s.load(nil, func(ctx context.Context) (store.Snapshot, error) {
		return s.h.query.Snapshot(ctx, key.Business, key.Task)
	})
	defer func() { s.claim.end(); s.claim = nil }()
	if errors.Is(err, state.ErrNotFound) {
		return errGone
	}
	if err != nil {
		return err
	}
	s.snap, s.after, s.fresh = snap, snap.Tree.Revision(), false
	if err := s.hold(); err != nil {
		return err
	}
	out := &sink{buf: s.buf[:0], spill: s.write}
	out.text("event: snapshot\nid: " + s.h.position(snap) + "\ndata: ")
	// JSON has no line breaks, so one line holds it.
	s.exchange.story(out, snap, nil)
	out.text("\n\n")
	out.flush()
	s.buf = out.buf
	return out.err
}

// transition sends one transition.
func (s *stream) transition(tr *state.Transition) error {
	if tr.Sequence > s.snap.Tree.Revision() {
		tree, err := s.snap.Tree.Replay(tr)
		if err != nil {
			s.fresh = true
			return nil
		}
		s.snap.Tree = tree
		if err := s.hold(); err != nil {
			return err
		}
	}
	s.after = tr.Sequence
	of, err := s.historyOf(tr)
	if err != nil {
		return err
	}
	m := s.h.moved(s.snap.Tree, tr, of)
	return s.event("transition", m.Position, m)
}

// historyOf is the history of a transition. A store that was opened begins a new history
// with its first commit, which may come after the snapshot.
func (s *stream) historyOf(tr *state.Transition) (store.History, error) {
	if !s.snap.Position.Has(tr.Sequence) && !s.begun {
		key := s.snap.Tree.Key()
		now, err := s.h.query.Snapshot(s.r.Context(), key.Business, key.Task)
		if err != nil {
			return store.History{}, err
		}
		s.snap.Position, s.begun = now.Position, true
	}
	return s.snap.Position.HistoryOf(tr.Sequence), nil
}

func (s *stream) event(name, id string, data any) error {
	b := append(append(s.buf[:0], "event: "...), name...)
	if id != "" {
		b = append(append(b, "\nid: "...), id...)
	}
	b = appendJSON(append(b, "\ndata: "...), data)
	s.buf = append(b, "\n\n"...)
	return s.write(s.buf)
}

// write sends immediately. A client that does not read in time is cut by the error
// that follows.
func (s *stream) write(p []byte) error {
	s.deadline()
	if _, err := s.w.Write(p); err != nil {
		return err
	}
	if err := http.NewResponseController(s.w).Flush(); err != nil {
		return err
	}
	if len(p) > keepMax {
		s.buf = nil // after a large event mostly small ones follow
	}
	return nil
}
