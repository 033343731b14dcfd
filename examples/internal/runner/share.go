package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// lookEvery is how often a runner looks whether a lease has run out.
const lookEvery = time.Second

// takeOver waits until no other runner has the task that was chosen, and takes
// it over. It reports whether it could before a signal came. One that has ended
// needs no runner.
func (c *call) takeOver(ctx context.Context, s *storage) (bool, error) {
	for told := false; s.leases != nil; told = true {
		snap, err := s.Load(ctx, store.Ref{Key: c.key()})
		if err != nil || snap.Tree.Ended() {
			return true, err
		}
		err = s.leases.TakeOver(ctx, store.Location{Key: c.key(), Revision: snap.Tree.Revision()})
		if !errors.Is(err, store.ErrConflict) {
			return true, err
		}
		if !told {
			c.tell("another runner has task %s; continuing it when that runner ends (Ctrl-C to stop waiting)", c.task)
		}
		select {
		case <-time.After(lookEvery):
		case <-c.signals:
			return false, nil
		}
	}
	return true, nil
}

// tell tells the user something while no task runs.
func (c *call) tell(format string, args ...any) {
	if !c.quiet {
		fmt.Fprintln(c.stderr, picture.Printable(fmt.Sprintf(format, args...)))
	}
}

// standBy continues the tasks of dead runners, one after another, until a signal
// comes. It returns the exit code.
func (c *call) standBy(ctx context.Context) (int, error) {
	seen := map[state.Key]bool{}
	for {
		code, signalled, err := c.rescue(ctx, seen)
		if err != nil || signalled {
			return code, err
		}
	}
}

// rescue waits for a task without a runner and runs it to its end. Each task has a
// separate handle: closing it gives up the lease of a failed task, so that others can
// continue it.
func (c *call) rescue(ctx context.Context, seen map[state.Key]bool) (code int, signalled bool, err error) {
	s, err := c.open(ctx)
	if err != nil {
		return 0, false, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	c.tell("standing by for business %s in %s (Ctrl-C to stop)", c.business, c.where())
	for {
		found, err := c.abandoned(ctx, s, seen)
		if err != nil {
			return 0, false, err
		}
		if found {
			c.tell("task %s was left by a runner that has died; continuing it", c.task)
			code, err := c.work(ctx, s, nil)
			if err != nil && !fatal(err) {
				fmt.Fprintf(c.stderr, "runner: task %q: %v\n", c.task, explain(err))
				return 0, false, nil
			}
			return code, code == exitSuspended, err
		}
		select {
		case <-time.After(lookEvery):
		case <-c.signals:
			return exitFinished, true, nil
		}
	}
}

// fatal reports whether an error is of more than one task.
func fatal(err error) bool {
	return errors.Is(err, store.ErrFailed) || errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrCorrupt)
}

// abandoned takes over a task whose runner died and chooses it, or returns false.
// Tasks that show FAILED or SUSPENDED wait for a person, and tasks of other kinds of
// runners are left alone.
func (c *call) abandoned(ctx context.Context, s *storage, seen map[state.Key]bool) (bool, error) {
	for cursor := ""; ; {
		page, err := s.leases.Lapsed(ctx, cursor, 0)
		if err != nil {
			return false, err
		}
		for _, t := range page.Tasks {
			if t.Key.Business != c.business || t.Shown != state.Running || seen[t.Key] {
				continue
			}
			source, err := readDefinition(ctx, s, t.Key)
			if err != nil {
				return false, err
			}
			if source == nil {
				continue
			}
			err = s.leases.TakeOver(ctx, store.Location{Key: t.Key, Revision: t.Revision})
			if errors.Is(err, store.ErrConflict) || errors.Is(err, state.ErrNotFound) {
				continue // another runner was faster
			}
			c.task = t.Key.Task
			return err == nil, err
		}
		if cursor = page.Cursor; cursor == "" {
			return false, nil
		}
	}
}
