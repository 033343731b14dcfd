package runner

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// command is a line for the shell.
type command struct {
	line    string
	env     []string                // beside the runner's own
	maySet  func(name string) error // reports why it may not set a variable; nil: it may set any
	timeout time.Duration           // 0: none
	grace   time.Duration           // between asking its processes to end and killing them
}

// ending is how a command ended.
type ending struct {
	exit        int               // as a shell reports it: 128 and more for a signal, 124 after the timeout
	set         map[string]string // the variables it set
	problem     string            // "" if it exited with 0
	interrupted bool              // it ended because the context did
	late        bool              // the timeout passed
}

// errTimeout is the cause when a command took longer than it may.
var errTimeout = errors.New("timeout")

// exitTimeout is the exit code of a command that took too long, as that of
// timeout(1).
const exitTimeout = 124

// exitRefused is the exit code of a command that succeeded and set what it may
// not.
const exitRefused = 125

// run runs the command until it ends, the timeout passes or ctx ends; then it
// ends all processes of the command's group. After the timeout, or when ctx has
// ended, it also ends those that left the group, as far as the system tells.
func (c *command) run(ctx context.Context) ending {
	limited := ctx
	if c.timeout > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeoutCause(ctx, c.timeout, errTimeout)
		defer cancel()
	}
	out := output{maySet: c.maySet}
	mark := markPrefix + rand.Text()
	cmd := shell(limited, c.line)
	cmd.Env = append(append(os.Environ(), c.env...), mark)
	cmd.Stdout, cmd.Stderr = &out, &out
	started := &processes{mark: mark}
	cmd.Cancel = func() error { return started.end(cmd.Process) }
	cmd.WaitDelay = c.grace
	err := cmd.Run()
	if cmd.Process != nil {
		started.kill(cmd.Process, limited.Err() != nil)
	}
	e := c.ending(ctx, limited, cmd, err)
	tail := out.tail()
	e.set = out.set
	switch {
	case out.problem != "" && e.problem == "":
		e.exit, e.problem = exitRefused, out.problem
	case out.problem != "":
		e.problem += "\n" + out.problem
	}
	if e.problem != "" && tail != "" {
		e.problem += "\n" + tail
	}
	return e
}

// markPrefix begins the environment variable by which a command's processes are
// known, wherever they have gone.
const markPrefix = "RUNNER_COMMAND="

// ending is how a command ended that Run returned err for.
func (c *command) ending(ctx, limited context.Context, cmd *exec.Cmd, err error) ending {
	switch {
	case cmd.ProcessState == nil:
		return ending{exit: 127, problem: err.Error(), interrupted: ctx.Err() != nil}
	case err == nil, errors.Is(err, exec.ErrWaitDelay) && cmd.ProcessState.Success():
		return ending{} // it may have left something behind that kept its output open
	case ctx.Err() != nil:
		return ending{exit: exitCode(cmd.ProcessState), problem: "interrupted: the runner was told to stop", interrupted: true}
	case errors.Is(context.Cause(limited), errTimeout):
		return ending{exit: exitTimeout, problem: fmt.Sprintf("timed out after %s", c.timeout), late: true}
	}
	return ending{exit: exitCode(cmd.ProcessState), problem: cmd.ProcessState.String()}
}
