package runner

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"
)

// command is a line for the shell. It runs once.
type command struct {
	line    string
	env     []string                // in addition to the runner's own
	maySet  func(name string) error // reports why it may not set a variable; nil: it may set any
	timeout time.Duration           // 0: none; the time in which it is paused does not count
	grace   time.Duration           // between asking its processes to end and killing them

	// mu protects the fields below, which pause a running command.
	mu      sync.Mutex
	started chan struct{} // see hasStarted
	leader  *os.Process   // nil while it does not run
	clock   *time.Timer   // of the timeout, nil without one
	since   time.Time     // when clock was set
	left    time.Duration
	stopped bool
}

// ending is how a command ended.
type ending struct {
	exit        int               // as a shell reports it: 128 and more for a signal, 124 after the timeout
	set         map[string]string // the variables it set
	problem     string            // "" if it exited with 0
	tail        string            // the last lines of its output
	interrupted bool              // it ended because the context did
	late        bool              // the timeout passed
}

// errTimeout is the cause when a command took longer than it may.
var errTimeout = errors.New("timeout")

// exitTimeout is the exit code of a command that took too long, as that of
// timeout(1).
const exitTimeout = 124

// exitRefused is the exit code of a command that succeeded and set a forbidden
// variable.
const exitRefused = 125

// run runs the command until it ends, the timeout passes or ctx ends; then it
// ends all processes of the command's group. After the timeout, or when ctx has
// ended, it also ends those that left the group, as far as the system tells. The
// cause of ctx is the problem of a command that ended for it.
func (c *command) run(ctx context.Context) ending {
	limited, late := context.WithCancelCause(ctx)
	defer late(nil)
	out := output{maySet: c.maySet}
	mark := markPrefix + rand.Text()
	cmd := shell(limited, c.line)
	cmd.Env = append(append(os.Environ(), c.env...), mark)
	cmd.Stdout, cmd.Stderr = &out, &out
	started := &processes{mark: mark}
	cmd.Cancel = func() error { return started.end(cmd.Process) }
	cmd.WaitDelay = c.grace
	err := cmd.Start()
	if err == nil {
		c.began(cmd.Process, func() { late(errTimeout) })
	}
	close(c.hasStarted())
	if err == nil {
		err = cmd.Wait()
		c.over()
	}
	if cmd.Process != nil {
		started.kill(cmd.Process, limited.Err() != nil)
	}
	e := c.ending(ctx, limited, cmd, err)
	e.tail, e.set = out.tail(), out.set
	switch {
	case out.problem != "" && e.problem == "":
		e.exit, e.problem = exitRefused, out.problem
	case out.problem != "":
		e.problem += "\n" + out.problem
	}
	if e.problem != "" && e.tail != "" {
		e.problem = e.tail + "\n" + e.problem // where picture.Cause finds it
	}
	return e
}

// markPrefix begins the environment variable by which a command's processes are
// recognized, even outside of its group.
const markPrefix = "RUNNER_COMMAND="

// ending is how a command ended that Run returned err for.
func (c *command) ending(ctx, limited context.Context, cmd *exec.Cmd, err error) ending {
	switch {
	case cmd.ProcessState == nil && ctx.Err() != nil:
		return ending{exit: 127, problem: context.Cause(ctx).Error(), interrupted: true}
	case cmd.ProcessState == nil:
		return ending{exit: 127, problem: err.Error()}
	case err == nil, errors.Is(err, exec.ErrWaitDelay) && cmd.ProcessState.Success():
		return ending{} // a process that it left behind may have kept its output open
	case ctx.Err() != nil:
		return ending{exit: exitCode(cmd.ProcessState), problem: context.Cause(ctx).Error(), interrupted: true}
	case errors.Is(context.Cause(limited), errTimeout):
		return ending{exit: exitTimeout, problem: fmt.Sprintf("timed out after %s", c.timeout), late: true}
	}
	return ending{exit: exitCode(cmd.ProcessState), problem: cmd.ProcessState.String()}
}

// began lets the command be paused, and its timeout run.
func (c *command) began(leader *os.Process, late func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leader, c.since, c.left = leader, time.Now(), c.timeout
	if c.timeout > 0 {
		c.clock = time.AfterFunc(c.timeout, late)
	}
}

// over says that the command has ended.
func (c *command) over() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leader = nil
	if c.clock != nil {
		c.clock.Stop()
	}
}

// hasStarted is closed when the command has been started, or could not be.
func (c *command) hasStarted() chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.started == nil {
		c.started = make(chan struct{})
	}
	return c.started
}

// pause stops the processes of the command's group until unpause. It waits for a
// command whose run has just been called; one that has ended cannot be paused.
func (c *command) pause() error {
	<-c.hasStarted()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leader == nil {
		return errors.New("its command has just ended")
	}
	if c.stopped {
		return nil
	}
	if err := stopGroup(c.leader); err != nil {
		return err
	}
	c.stopped = true
	if c.clock != nil {
		c.clock.Stop()
		c.left = max(0, c.left-time.Since(c.since))
	}
	return nil
}

// unpause continues a command that pause has stopped, if it has not ended.
func (c *command) unpause() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leader == nil || !c.stopped {
		return
	}
	continueGroup(c.leader)
	c.stopped = false
	if c.clock != nil {
		c.since = time.Now()
		c.clock.Reset(c.left)
	}
}
