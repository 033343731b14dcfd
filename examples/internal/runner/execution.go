package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
)

// execution is the command of an activity while it runs.
type execution struct {
	*command
	stop   context.CancelCauseFunc // the cause becomes the node's error
	forced []*operation            // to be answered when it has ended
}

type endedCommand struct {
	node *node
	pass int
	ending
}

// dataError is the data of a node that cannot be made.
type dataError struct{ error }

// command is the command of an activity with its environment, and the number of the
// pass.
func (r *run) command(ctx context.Context, n *node) (c *command, pass int, err error) {
	b, err := r.batch(ctx)
	if err != nil {
		return nil, 0, err
	}
	recorded := b.recorded(n)
	s := r.scope(n, recorded.Loop)
	c = &command{line: s.render("the command", n.command), maySet: n.in.maySet, timeout: n.timeout, grace: killDelay}
	for _, values := range []map[string]string{s.all(), s.inputs(n)} {
		for name, value := range values {
			c.env = append(c.env, name+"="+value)
		}
	}
	if s.err != nil {
		return nil, 0, &dataError{s.err}
	}
	c.env = append(c.env, "TASK_ID="+r.task.Task, "NODE_ID="+n.id,
		"NODE_LOOP="+strconv.Itoa(recorded.Loop), "NODE_RETRY="+strconv.Itoa(recorded.Retry()))
	return c, recorded.Loop, nil
}

// maySet returns the reason why a command of the pipeline may not set a variable. The
// output of a program must not change which programs later commands run. Commands may
// therefore set variables of the definition, and others only with the names that
// POSIX reserves for applications, those with a lower-case letter.
func (p *pipeline) maySet(name string) error {
	if _, declared := p.variables[name]; declared {
		return nil
	}
	switch {
	case strings.ToUpper(name) == name, strings.HasSuffix(strings.ToLower(name), "_proxy"), windows && os.Getenv(name) != "":
		return errors.New("a name that programs take for a setting of theirs can be set only if the definition has such a variable in data.inputs")
	}
	return nil
}

// activityEnded records how a command ended and answers who made it fail.
func (r *run) activityEnded(ctx context.Context, e endedCommand) error {
	x := r.running[e.node]
	x.stop(nil)
	delete(r.running, e.node)
	var opts []engine.Option
	if len(x.forced) > 0 && e.interrupted {
		opts = append(opts, x.forced[0].by())
	}
	err := r.recordEnd(ctx, e, opts)
	for _, o := range x.forced {
		if err == nil && !e.interrupted {
			o.answer(refuse("%s had ended by itself", e.node.label()))
		} else {
			o.answer(err)
		}
	}
	return err
}

// recordEnd records how a command ended and applies the policy of its activity, unless
// the command was interrupted or its container has ended. opts are for an
// interruption.
func (r *run) recordEnd(ctx context.Context, e endedCommand, opts []engine.Option) error {
	n := e.node
	set := maps.Clone(e.set)
	if set == nil {
		set = map[string]string{}
	}
	maps.Copy(set, fed(n, e.pass, e.problem == "", func(output string) (string, bool) {
		text, ok := e.set[output]
		return text, ok
	}))
	values := r.scope(n, e.pass).all()
	if maps.Copy(values, set); size(values) > maxSetBytes && len(set) > 0 {
		set = nil
		if e.problem == "" {
			e.exit, e.problem = exitRefused, fmt.Sprintf("the variables would be longer than %d bytes", maxSetBytes)
		}
	}
	out := &attemptOutput{ExitCode: &e.exit, Set: set, Lines: e.tail}
	b, err := r.batch(ctx)
	if err != nil {
		return err
	}
	finish := engine.Finish(n.id, append(out.options(), r.in())...)
	failed := func(opts ...engine.Option) engine.Op {
		return engine.Fail(n.id, e.problem, append(append(opts, out.options()...), r.in())...)
	}
	skip := engine.Skip(n.id, r.in())
	switch {
	case b.recorded(n).State == state.Revoked: // with its task, since it was paused
		return nil
	case e.interrupted:
		return r.fail(ctx, n, out, e.problem, opts...)
	case b.tree.Ended() && e.problem == "":
		r.results.took(n, out)
		return r.record(ctx, finish)
	case b.tree.Ended():
		return r.fail(ctx, n, out, e.problem)
	case e.problem == "":
		return r.leave(ctx, n, out, finish)
	case e.late && n.skipLate:
		return r.leave(ctx, n, out, failed(), skip)
	case r.retried[n] < n.retries:
		r.retried[n]++
		r.due[n] = time.Now().Add(n.retryDelay)
		return r.fail(ctx, n, out, e.problem, engine.RetryAt(r.due[n]))
	case n.autoSkip:
		return r.leave(ctx, n, out, failed(), skip)
	case n.ignoreError:
		return r.leave(ctx, n, out, failed(engine.Ignore()))
	}
	return r.fail(ctx, n, out, e.problem)
}
