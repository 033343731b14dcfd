package pgstore

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// changed tells waiting callers that the feed may have grown.
type changed struct {
	mu     sync.Mutex    // protects everything below
	ch     chan struct{} // nil if no caller waits
	closed bool
	wanted chan struct{} // has a value if somebody began to wait
}

// Changed implements [store.Notifier]. The database is queried only while a caller
// waits.
func (s *Store) Changed() <-chan struct{} {
	c := &s.changed
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ch == nil {
		c.ch = make(chan struct{})
		if c.closed {
			close(c.ch)
		}
		select {
		case c.wanted <- struct{}{}:
		default:
		}
	}
	return c.ch
}

func (c *changed) ring() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ch != nil && !c.closed {
		close(c.ch)
		c.ch = nil
	}
}

func (c *changed) close() {
	c.ring()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.ch != nil {
		close(c.ch)
	}
}

// watch reports commits while a caller waits.
func (s *Store) watch(ctx context.Context) {
	defer s.changed.close()
	e := ear{store: s}
	defer e.close()
	last := int64(-1)
	for {
		select {
		case <-s.changed.wanted:
			s.awaitGrowth(ctx, &e, &last)
			s.changed.ring()
		case <-time.After(earIdle):
			e.close()
		case <-ctx.Done():
			return
		}
	}
}

// earIdle is how long the listening connection is kept for the next waiting caller.
const earIdle = time.Minute

// awaitGrowth returns when the feed has grown beyond last, which it updates. It polls;
// a notification only makes it poll sooner.
func (s *Store) awaitGrowth(ctx context.Context, e *ear, last *int64) {
	for ctx.Err() == nil {
		bounded, cancel := context.WithTimeout(ctx, s.opts.Poll)
		var first, now int64
		var history [16]byte
		err := s.pool.QueryRow(bounded, s.sql.ends).Scan(&first, &now, &history)
		if err == nil && now != *last {
			*last = now
			cancel()
			return
		}
		e.wait(bounded)
		cancel()
	}
}

// ear is a separate connection that listens, made when it is needed.
type ear struct {
	store *Store
	conn  *pgx.Conn
}

// wait returns at a notification, when ctx ends, or when listening has begun:
// the caller then polls for earlier commits.
func (e *ear) wait(ctx context.Context) {
	switch {
	case e.store.opts.NoNotify:
	case e.conn == nil:
		if e.listen(ctx) == nil {
			return
		}
		e.close()
	default:
		if _, err := e.conn.WaitForNotification(ctx); err == nil {
			return
		}
		if e.conn.IsClosed() {
			e.conn = nil
		}
	}
	<-ctx.Done()
}

func (e *ear) listen(ctx context.Context) (err error) {
	if e.conn, err = pgx.ConnectConfig(ctx, e.store.pool.Config().ConnConfig); err != nil {
		return err
	}
	if _, err = e.conn.Exec(ctx, "LISTEN "+e.store.opts.quotedSchema()); err != nil {
		return err
	}
	_, err = e.conn.Exec(ctx, e.store.sql.listen)
	return err
}

func (e *ear) close() {
	if e.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = e.conn.Close(ctx) // of no use any more
	e.conn = nil
}
