package sharded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// member is one of the stores. It uses the store's own sequences; adding base
// makes them sequences of the sharded store.
type member struct {
	Member
	number int
	base   uint64
	retry  time.Duration
	logger *slog.Logger
	life   context.Context // ends with Close
	// leases says whether the members have leases. It is set before the first use.
	leases bool
	// running are goroutines of all members, for Close.
	running *sync.WaitGroup

	mu     sync.Mutex     // protects everything below
	handle store.Store    // nil if it is not open
	lost   error          // the reason why the member is lost, nil if it is not
	known  store.Position // the last position that this process has seen
	leased leased
	self   uint64        // revision of the member's own record, 0 if unknown
	noted  bool          // the first member has a record that this one was empty before
	back   chan struct{} // closed when the member is back, or at Close; nil if no caller waits
}

// answers are the errors of a store that works.
var answers = []error{
	state.ErrNotFound, state.ErrExists, state.ErrInvalidArgument, store.ErrConflict, store.ErrTrimmed, store.ErrHistory,
	store.ErrFull, store.ErrReplaced, store.ErrReadOnly, store.ErrLocked, store.ErrCorrupt, store.ErrIncompatible, store.ErrFenced,
}

func isAnswer(err error) bool {
	return slices.ContainsFunc(answers, func(answer error) bool { return errors.Is(err, answer) })
}

// begin opens the member for the first time. If it cannot be reached, it is
// lost, and begin returns nil.
func (m *member) begin(ctx context.Context) error {
	st, err := m.Open(ctx)
	if err == nil {
		m.mu.Lock()
		m.handle = st
		m.mu.Unlock()
		err = m.examine(ctx, st)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil, isAnswer(err):
		return &MemberError{m.Name, err}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lost = err
	m.logger.Warn("member lost", "member", m.Name, "error", err)
	return nil
}

// examine reads the last position of an open store, and its own record.
func (m *member) examine(ctx context.Context, st store.Store) error {
	last, err := store.Last(ctx, st)
	if err != nil {
		return err
	}
	m.saw(last)
	return m.verify(ctx, st)
}

// fits returns the reason why a store cannot be the member, nil if it can.
func (m *member) fits(st store.Store) error {
	_, leases := st.(store.Leaser)
	_, notifies := st.(store.Notifier)
	if leases != m.leases || notifies != m.leases {
		return invalid("it shares its tasks with other processes in another way than the other members")
	}
	return nil
}

// saw records a position of the member, unless a later one is known.
func (m *member) saw(at store.Position) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known.History != at.History || m.known.Sequence < at.Sequence {
		m.known = at
	}
}

// seen returns the last known position of the member, zero if it was never
// reached.
func (m *member) seen() store.Position {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known
}

// current returns the open store, or the error of a lost member.
func (m *member) current() (store.Store, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lost != nil {
		return nil, &MemberError{m.Name, fmt.Errorf("%w: %s", store.ErrUnavailable, m.lost.Error())}
	}
	return m.handle, nil
}

// use calls f with the open store, or returns at once if the member is lost.
func (m *member) use(ctx context.Context, f func(st store.Store) error) error {
	st, err := m.current()
	if err != nil {
		return err
	}
	err = f(st)
	switch {
	case err == nil || isAnswer(err):
		return err
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return err
	case m.life.Err() != nil && errors.Is(err, store.ErrClosed):
		return store.ErrClosed
	}
	m.lose(st, err)
	return &MemberError{m.Name, fmt.Errorf("%w: %w", store.ErrUnavailable, err)}
}

// lose marks the member as lost after an error of a store, unless that store
// has been replaced since, and starts its recovery.
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

// recover tries until the member is back or is closed.
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

// restore tries once. It opens the store again if it has failed or was closed,
// or if it is open but is not the member.
func (m *member) restore() bool {
	m.mu.Lock()
	st, reason := m.handle, m.lost
	m.mu.Unlock()
	if st == nil || errors.Is(reason, store.ErrFailed) || errors.Is(reason, store.ErrClosed) || isAnswer(reason) {
		var err error
		if st, err = m.reopen(); err != nil {
			return m.failed(err)
		}
		if st == nil {
			return true
		}
	}
	if err := m.examine(m.life, st); err != nil {
		return m.failed(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lost = nil
	m.logger.Info("member is back", "member", m.Name)
	m.ringLocked()
	return true
}

// failed records the error of an attempt to restore the member.
func (m *member) failed(err error) (restored bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lost = err
	return false
}

// reopen replaces the open store by a new one. It returns nil if the member was
// closed in the meantime.
func (m *member) reopen() (store.Store, error) {
	m.mu.Lock()
	st := m.handle
	m.handle = nil
	m.mu.Unlock()
	if st != nil {
		_ = st.Close() // of no use any more
	}
	next, err := m.Open(m.life)
	switch {
	case err != nil:
		return nil, err
	case m.life.Err() != nil:
		return nil, next.Close() // still unused
	}
	if err := m.fits(next); err != nil {
		return nil, errors.Join(err, next.Close())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.handle = next
	m.lost = errReopened // so that another error of the old store does not reopen it again
	m.leased.fence()
	return next, nil
}

var errReopened = errors.New("opened, has not answered yet")

// settle waits until no call can start the recovery of the member any more,
// after life has ended.
func (m *member) settle() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ringLocked()
}

// returnedLocked returns a channel that is closed when the member is back, or
// at Close. The caller holds mu.
func (m *member) returnedLocked() <-chan struct{} {
	if m.back == nil {
		m.back = make(chan struct{})
	}
	back := m.back
	if m.life.Err() != nil {
		m.ringLocked()
	}
	return back
}

// ringLocked wakes the callers that wait for the member. The caller holds mu.
func (m *member) ringLocked() {
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
