package sharded

import (
	"context"
	"sync"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// shared is a sharded store whose members are shared with other processes.
type shared struct {
	*sharded
	changed changed
}

var (
	_ store.Checker  = (*sharded)(nil)
	_ store.Checker  = (*shared)(nil)
	_ store.Leaser   = (*shared)(nil)
	_ store.Notifier = (*shared)(nil)
)

// Lapsed implements [store.Leaser].
func (s *shared) Lapsed(ctx context.Context, cursor string, limit int) (store.ListPage, error) {
	return s.merged(ctx, store.ListQuery{Cursor: cursor, Limit: limit}, func(st store.Store, q store.ListQuery) (store.ListPage, error) {
		return st.(store.Leaser).Lapsed(ctx, q.Cursor, q.Limit)
	})
}

// TakeOver implements [store.Leaser].
func (s *shared) TakeOver(ctx context.Context, at store.Location) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	m, err := s.homes.find(ctx, at.Key.Business)
	if err != nil {
		return err
	}
	if m == nil {
		return notFound(store.Ref{Key: at.Key})
	}
	own := store.Location{Key: at.Key, Revision: m.own(at.Revision)}
	err = m.use(ctx, func(st store.Store) error { return st.(store.Leaser).TakeOver(ctx, own) })
	if err == nil {
		m.tookOver(at.Key)
	}
	return err
}

// leased has the tasks of a member that handles of this process have or had
// leased. The zero leased is empty.
type leased struct {
	held   map[state.Key]struct{} // leased by the open handle
	fenced map[state.Key]struct{} // leased by an earlier handle
}

// fence moves all tasks to fenced, because a new handle has no leases.
func (l *leased) fence() {
	if l.fenced == nil {
		l.fenced = make(map[state.Key]struct{})
	}
	for key := range l.held {
		l.fenced[key] = struct{}{}
	}
	l.held = nil
}

func (l *leased) hold(key state.Key) {
	if l.held == nil {
		l.held = make(map[state.Key]struct{})
	}
	l.held[key] = struct{}{}
	delete(l.fenced, key)
}

// fences reports whether an earlier handle had the lease of a task.
func (m *member) fences(key state.Key) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, fenced := m.leased.fenced[key]
	return fenced
}

func (m *member) tookOver(key state.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leased.hold(key)
}

// committed records the tasks that were created or have ended.
func (m *member) committed(writes []store.Write, results []store.Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.leases {
		return
	}
	for i := range writes {
		key := writes[i].Key()
		switch {
		case results[i].Err != nil:
		case ends(&writes[i]):
			delete(m.leased.held, key)
		case writes[i].Base == 0:
			m.leased.hold(key)
		}
	}
}

// ends reports whether a write deletes its task or ends its root.
func ends(w *store.Write) (ended bool) {
	for _, tr := range w.Transitions {
		for i := range tr.Changes {
			if c := &tr.Changes[i]; c.Index == 0 {
				ended = c.State.Ended()
			}
		}
	}
	return ended || w.Deletes()
}

// changed wakes callers when a member's feed may have grown.
type changed struct {
	mu     sync.Mutex                  // protects everything below
	ch     chan struct{}               // nil if no caller waits
	waited map[*member]<-chan struct{} // the channel of each member that is being waited for
}

// Changed implements [store.Notifier].
func (s *shared) Changed() <-chan struct{} {
	c := &s.changed
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ch == nil {
		c.ch = make(chan struct{})
	}
	if c.waited == nil {
		c.waited = make(map[*member]<-chan struct{})
	}
	for _, m := range s.members {
		if c.waited[m] != nil {
			continue // a goroutine already waits for the member's next commit
		}
		tells := m.changed()
		c.waited[m] = tells
		go c.wait(m, tells)
	}
	return c.ch
}

// wait rings when a member reports a change.
func (c *changed) wait(m *member, tells <-chan struct{}) {
	<-tells
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waited, m)
	if c.ch != nil {
		close(c.ch)
		c.ch = nil
	}
}

// changed returns a channel that is closed when another process may have
// committed on the member, when the member is back, or when the store closes.
func (m *member) changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lost != nil || m.life.Err() != nil {
		return m.returnedLocked()
	}
	return m.handle.(store.Notifier).Changed()
}
