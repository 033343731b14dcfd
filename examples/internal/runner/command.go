package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// command is a line for the shell.
type command struct {
	line    string
	env     []string      // beside the runner's own
	timeout time.Duration // 0: none
	grace   time.Duration // between asking its processes to end and killing them
}

// ending is how a command ended.
type ending struct {
	exit        int               // as a shell reports it: 128 and more for a signal, 124 after the timeout
	set         map[string]string // the variables it set
	problem     string            // "" if it exited with 0
	interrupted bool              // it ended because the context did
}

// errTimeout is the cause when a command took longer than it may.
var errTimeout = errors.New("timeout")

// exitTimeout is the exit code of a command that took too long, as that of
// timeout(1).
const exitTimeout = 124

// run runs the command until it ends, the timeout passes or ctx ends; then it
// ends all processes of the command's group.
func (c *command) run(ctx context.Context) ending {
	limited := ctx
	if c.timeout > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeoutCause(ctx, c.timeout, errTimeout)
		defer cancel()
	}
	var out output
	cmd := shell(limited, c.line)
	cmd.Env = append(os.Environ(), c.env...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Cancel = func() error { return endGroup(cmd.Process) }
	cmd.WaitDelay = c.grace
	err := cmd.Run()
	if cmd.Process != nil {
		killGroup(cmd.Process)
	}
	e := ending{set: out.set}
	switch {
	case cmd.ProcessState == nil:
		e.exit, e.problem = 127, err.Error()
		e.interrupted = ctx.Err() != nil
	case err == nil, errors.Is(err, exec.ErrWaitDelay) && cmd.ProcessState.Success():
		return e // it may have left something behind that kept its output open
	case ctx.Err() != nil:
		e.exit, e.interrupted = exitCode(cmd.ProcessState), true
		e.problem = "interrupted: the runner was told to stop"
	case errors.Is(context.Cause(limited), errTimeout):
		e.exit, e.problem = exitTimeout, fmt.Sprintf("timed out after %s", c.timeout)
	default:
		e.exit, e.problem = exitCode(cmd.ProcessState), cmd.ProcessState.String()
	}
	if tail := out.tail(); tail != "" {
		e.problem += "\n" + tail
	}
	return e
}
