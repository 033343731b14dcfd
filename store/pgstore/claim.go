package pgstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// holdFor is how long a handle keeps others from a task after a conflict: an
// engine reads the task again and commits in a small part of that.
const holdFor = 50 * time.Millisecond

// claims give a handle that lost a conflict the next turn. Without them, two handles
// that change a task all the time would often find it locked or changed between
// reading and committing, many times in a row. A commit that wrote nothing because of
// conflicts therefore leaves its transaction open, with the tasks locked, and the next
// commit of the handle continues it if it changes the same tasks. One transaction at
// a time is kept, for holdFor, and it has written nothing.
type claims struct {
	mu   sync.Mutex // protects held, and is locked while it is ended
	held *claim     // nil: none
}

// claim is a transaction that is kept.
type claim struct {
	conn  *pgxpool.Conn
	tasks map[state.Key]bool
	timer *time.Timer
}

// keep keeps a transaction that has locked tasks.
func (c *claims) keep(conn *pgxpool.Conn, tasks map[state.Key]bool, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end()
	kept := &claim{conn: conn, tasks: tasks}
	c.held = kept
	kept.timer = time.AfterFunc(d, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.held == kept {
			c.end()
		}
	})
}

// any reports whether a transaction is kept.
func (c *claims) any() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held != nil
}

// take returns the connection of a transaction in which the tasks of all
// changes are locked, or nil. It ends a transaction that is kept for other tasks.
func (c *claims) take(changes []store.Write) *pgxpool.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		return nil
	}
	for i := range changes {
		if !c.held.tasks[changes[i].Key()] {
			c.end()
			return nil
		}
	}
	kept := c.held
	kept.timer.Stop()
	c.held = nil
	return kept.conn
}

// drop ends the kept transaction.
func (c *claims) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end()
}

// end ends the kept transaction. The caller has locked c.
func (c *claims) end() {
	if c.held == nil {
		return
	}
	c.held.timer.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	rollback(ctx, c.held.conn)
	c.held.conn.Release()
	c.held = nil
}

// contested are the tasks that a commit has locked, if one of them should be claimed
// because it lost a conflict and its engine will try again. nil if there is no such
// task, or no other connection for reading it.
func (s *Store) contested(changes []store.Write, p *plan, f found) map[state.Key]bool {
	locked := make(map[state.Key]bool, len(f.tasks))
	lost := false
	for i := range f.tasks {
		locked[changes[i].Key()] = true
		lost = lost || errors.Is(p.results[i].Err, store.ErrConflict) && !changes[i].Deletes()
	}
	if stat := s.pool.Stat(); !lost || stat.AcquiredConns() >= stat.MaxConns() {
		return nil
	}
	return locked
}
