package sharded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// member is a store in use. Its sequences here are those of its own; base is what
// they are more in the whole.
type member struct {
	Member
	number int
	base   uint64
	retry  time.Duration
	logger *slog.Logger
	life   context.Context // ends with Close
	// running are goroutines of all members, for Close.
	running *sync.WaitGroup

	mu     sync.Mutex     // protects everything below
	handle store.Store    // nil before it was opened
	lost   error          // why it is lost, nil if it is not
	known  store.Position // the last that this handle has seen
	leased leased
	marked bool          // its record is known to be there
	back   chan struct{} // closed when it is back, or at Close; nil: nobody waits
}

// answers are the errors that a store gives without being lost.
var answers = []error{
	state.ErrNotFound, state.ErrExists, state.ErrInvalidArgument, store.ErrConflict, store.ErrTrimmed, store.ErrHistory,
	store.ErrFull, store.ErrReplaced, store.ErrReadOnly, store.ErrCorrupt, store.ErrIncompatible, store.ErrFenced,
}

// begin opens the member for the first time.
func (m *member) begin(ctx context.Context) error {
	st, err := m.Open(ctx)
	if err != nil {
		return &MemberError{m.Name, err}
	}
	m.mu.Lock()
	m.handle = st
	m.mu.Unlock()
	if err := m.ping(ctx, st); err != nil {
		return &MemberError{m.Name, err}
	}
	return m.verify(ctx, st)
}

// ping asks a store for its last position.
func (m *member) ping(ctx context.Context, st store.Store) error {
	last, err := store.Last(ctx, st)
	if err == nil {
		m.saw(last)
	}
	return err
}

// saw takes note of a position of the member. Later ones may have been seen.
func (m *member) saw(at store.Position) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known.History != at.History || m.known.Sequence < at.Sequence {
		m.known = at
	}
}

// seen is the last position of the member that this handle has seen.
func (m *member) seen() store.Position {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known
}

// current is the open store, or the error of a lost member.
func (m *member) current() (store.Store, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lost != nil {
		return nil, &MemberError{m.Name, fmt.Errorf("%w: %s", ErrLost, m.lost.Error())}
	}
	return m.handle, nil
}

// use calls f with the open store, at once if the member is lost.
func (m *member) use(ctx context.Context, f func(st store.Store) error) error {
	st, err := m.current()
	if err != nil {
		return err
	}
	err = f(st)
	if err == nil {
		return nil
	}
	for _, answer := range answers {
		if errors.Is(err, answer) {
			return err
		}
	}
	switch {
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return err
	case m.life.Err() != nil && errors.Is(err, store.ErrClosed):
		return store.ErrClosed
	}
	m.lose(st, err)
	return &MemberError{m.Name, fmt.Errorf("%w: %w", ErrLost, err)}
}

// lose takes note that a store failed, unless it has been replaced since, and has
// the member brought back.
func (m *member) lose(st store.Store, reason error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lost != nil || m.handle != st || m.life.Err() != nil {
		return
	}
	m.lost = reason
	m.logger.Warn("member lost", "member", m.Name, "error", reason)
	m.running.Go(m.recover)
}

// recover tries until the member answers again or is closed.
func (m *member) recover() {
	for m.life.Err() == nil {
		if m.restore() {
			return
		}
		select {
		case <-time.After(m.retry):
		case <-m.life.Done():
		}
	}
}

// restore tries once. A store that has failed or was closed is opened again.
func (m *member) restore() bool {
	m.mu.Lock()
	st, reason := m.handle, m.lost
	m.mu.Unlock()
	if errors.Is(reason, store.ErrFailed) || errors.Is(reason, store.ErrClosed) {
		_ = st.Close() // it is of no use either way
		next, err := m.Open(m.life)
		if err != nil {
			return false
		}
		if m.life.Err() != nil {
			_ = next.Close() // nobody has used it
			return true
		}
		m.mu.Lock()
		m.handle, st = next, next
		m.lost = errReopened // it is not to be opened a second time for the same reason
		m.leased.fence()
		m.mu.Unlock()
	}
	err := m.ping(m.life, st)
	if err == nil {
		err = m.verify(m.life, st)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		m.lost = err
		return false
	}
	m.lost = nil
	m.logger.Info("member is back", "member", m.Name)
	m.ring()
	return true
}

var errReopened = errors.New("opened again, has not answered yet")

// settle returns when no call begins to bring the member back any more, after life
// has ended.
func (m *member) settle() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ring()
}

// returned is closed when the member is back, or at Close. The caller holds mu.
func (m *member) returned() <-chan struct{} {
	if m.back == nil {
		m.back = make(chan struct{})
	}
	back := m.back
	if m.life.Err() != nil {
		m.ring()
	}
	return back
}

// ring wakes those who wait for the member. The caller holds mu.
func (m *member) ring() {
	if m.back != nil {
		close(m.back)
		m.back = nil
	}
}

func (m *member) close() error {
	m.mu.Lock()
	st := m.handle
	m.mu.Unlock()
	if st == nil {
		return nil
	}
	if err := st.Close(); err != nil {
		return &MemberError{m.Name, err}
	}
	return nil
}
