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

// claims let who lost a task to another handle have the next turn. Without
// them two handles that change a task all the time would each find it locked or
// changed between reading and committing, as often as not many times in a row.
// So a commit that did nothing because others came first leaves its transaction
// open, with the tasks locked, and the next commit of the handle goes on with
// it if it is about the same tasks. A transaction is kept for holdFor and one
// at a time, and has written nothing.
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
// changes are locked, nil if there is none. What is kept for others it ends.
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

// drop ends what is kept.
func (c *claims) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end()
}

// end ends what is kept. The caller has locked c.
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

// contested are the tasks that a commit has locked, if one of them is to be
// claimed: others came first, and who lost will come again. nil if there is
// none or no other connection to read it with.
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
