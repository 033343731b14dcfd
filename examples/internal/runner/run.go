package runner

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// run is one execution of a definition. One goroutine, that of loop, decides
// and records everything; others only wait for commands.
//
// The nodes that are active (entered and not left) are where the pipeline is.
// Leaving a node and entering what follows is one commit, so that the database
// always says where that is.
type run struct {
	engine  *engine.Engine
	task    state.Key
	def     *definition
	results *results
	grace   time.Duration // how long commands may go on after the first signal
	note    func(string)  // tells the user

	active    map[*node]bool
	ready     []*node             // active, and not begun with yet
	due       map[*node]time.Time // active activities, to be retried then
	retried   map[*node]int       // automatic retries since the node was entered, or -resume
	running   map[*node]bool      // activities whose command runs
	ended     chan endedCommand
	suspended bool
}

type endedCommand struct {
	node *node
	pass int
	ending
}

// killDelay is between asking a command's processes to end and killing them.
const killDelay = 2 * time.Second

func newRun(e *engine.Engine, task state.Key, def *definition, res *results) *run {
	return &run{
		engine: e, task: task, def: def, results: res, note: func(string) {},
		active: map[*node]bool{}, due: map[*node]time.Time{}, retried: map[*node]int{}, running: map[*node]bool{},
		ended: make(chan endedCommand),
	}
}

// nodeID is the ID under which a node of a definition is recorded. That of a
// definition names it in every task, a recorded one in the whole store; and
// -resume must find it. Where that does not matter, IDs the engine generates
// are better: they ascend, which makes the store's indexes cheaper.
func nodeID(task state.Key, id string) string {
	sum := sha256.Sum256([]byte(task.Business + "\x00" + task.Task + "\x00" + id))
	return hex.EncodeToString(sum[:16])
}

func (r *run) id(n *node) string { return nodeID(r.task, n.id) }

func (r *run) rootID() string { return nodeID(r.task, r.def.root.id) }

// begin records the task and enters the start event.
func (r *run) begin(ctx context.Context) error {
	if err := r.results.begin(ctx, r.def.source); err != nil {
		return err
	}
	b := &batch{run: r, tree: state.NewTree(r.task)}
	b.record(
		engine.Create(r.task.Business, r.task.Task, engine.ID(r.rootID()), engine.Name(r.def.root.name)),
		engine.Start(r.rootID()),
	)
	b.enter(r.def.root.start)
	return r.commit(ctx, b, nil)
}

// loop runs the pipeline until nothing is left to do: it has finished, it
// waits for nodes that failed, or it was suspended by a first signal. A second
// signal ends the commands that are running. ctx is for recording; commands
// are ended when loop returns with an error.
func (r *run) loop(ctx context.Context, signals <-chan os.Signal) error {
	commands, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		stop()
		for range r.running {
			<-r.ended
		}
	}()
	var patience <-chan time.Time
	for {
		if err := r.start(ctx, commands); err != nil {
			return err
		}
		if len(r.running) == 0 && (r.suspended || len(r.due) == 0) {
			return nil
		}
		retry, at := r.nextRetry()
		var err error
		select {
		case e := <-r.ended:
			delete(r.running, e.node)
			err = r.activityEnded(ctx, e)
		case <-at:
			err = r.enter(ctx, retry)
		case <-patience:
			stop()
		case <-signals:
			if r.suspended {
				r.note("stopping the commands that are running")
				stop()
				break
			}
			patience = time.After(r.grace)
			err = r.suspend(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// start begins with the nodes that were entered: it starts the commands of
// activities and passes gateways and events.
func (r *run) start(ctx, commands context.Context) error {
	for len(r.ready) > 0 {
		n := r.ready[0]
		r.ready = r.ready[1:]
		if n.kind != state.ServiceActivity {
			if err := r.leave(ctx, n, engine.Finish(r.id(n))); err != nil {
				return err
			}
			continue
		}
		c, pass, err := r.command(ctx, n)
		var invalid *dataError
		if errors.As(err, &invalid) {
			err = r.fail(ctx, n, invalid.Error())
		}
		if err != nil {
			return err
		}
		if c == nil {
			continue
		}
		r.running[n] = true
		go func() { r.ended <- endedCommand{n, pass, c.run(commands)} }()
	}
	return nil
}

// dataError is the data of a node that cannot be made.
type dataError struct{ error }

// command is the command of an activity with what it gets to know, and the pass
// that it is.
func (r *run) command(ctx context.Context, n *node) (c *command, pass int, err error) {
	snap, err := r.engine.Load(ctx, store.ByNode(r.id(n)))
	if err != nil {
		return nil, 0, err
	}
	recorded := snap.Tree.Node(snap.Index)
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

// maySet reports why a command of the pipeline may not set a variable. What
// some program prints must not change which programs later commands run, so it
// may set those of the definition, and others only from the names that POSIX
// reserves for applications, those with a lower-case letter.
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

// activityEnded records how a command ended and does what the policy of its
// activity says.
func (r *run) activityEnded(ctx context.Context, e endedCommand) error {
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
			e.exit, e.problem = exitRefused, fmt.Sprintf("with what it set, the variables would be longer than %d bytes", maxSetBytes)
		}
	}
	if err := r.results.add(ctx, n, e.exit, set); err != nil {
		return err
	}
	id := r.id(n)
	switch {
	case e.problem == "":
		return r.leave(ctx, n, engine.Finish(id))
	case e.late && n.skipLate:
		return r.leave(ctx, n, engine.Fail(id, e.problem), engine.Skip(id))
	case e.interrupted:
		return r.fail(ctx, n, e.problem)
	case r.retried[n] < n.retries:
		r.retried[n]++
		r.due[n] = time.Now().Add(n.retryDelay)
		return r.fail(ctx, n, e.problem, engine.RetryAt(r.due[n]))
	case n.autoSkip:
		return r.leave(ctx, n, engine.Fail(id, e.problem), engine.Skip(id))
	case n.ignoreError:
		return r.leave(ctx, n, engine.Fail(id, e.problem, engine.Ignore()))
	}
	return r.fail(ctx, n, e.problem)
}

// leave records the operations that end a node and enters what follows, which
// is the node itself while it has passes to make.
func (r *run) leave(ctx context.Context, n *node, ops ...engine.Op) error {
	b, err := r.batch(ctx)
	if err != nil {
		return err
	}
	b.record(ops...)
	if err := b.follow(n); err != nil {
		return r.fail(ctx, n, err.Error())
	}
	return r.commit(ctx, b, n)
}

// fail records a failure. The node stays active, so nothing that waits for it
// goes on.
func (r *run) fail(ctx context.Context, n *node, problem string, opts ...engine.Option) error {
	_, err := r.engine.Fail(ctx, r.id(n), problem, opts...)
	return err
}

// nextRetry is the activity to be retried next, and when.
func (r *run) nextRetry() (next *node, at <-chan time.Time) {
	if r.suspended {
		return nil, nil
	}
	for n, t := range r.due {
		if next == nil || t.Before(r.due[next]) {
			next = n
		}
	}
	if next != nil {
		at = time.After(time.Until(r.due[next]))
	}
	return next, at
}

// enter records that a node begins again.
func (r *run) enter(ctx context.Context, n *node) error {
	delete(r.due, n)
	b, err := r.batch(ctx)
	if err != nil {
		return err
	}
	b.enter(n)
	return r.commit(ctx, b, nil)
}

// suspend suspends the pipeline: commands that run may report, nothing starts.
func (r *run) suspend(ctx context.Context) error {
	if _, err := r.engine.Suspend(ctx, r.rootID()); err != nil {
		return err
	}
	r.suspended = true
	if len(r.running) > 0 {
		r.note(fmt.Sprintf("suspended; waiting up to %s for running commands (Ctrl-C again stops them)", r.grace))
	}
	return nil
}

// commit records a batch and then does what it was for. origin is the node
// whose end led to it: if what follows cannot get its data, that one fails.
func (r *run) commit(ctx context.Context, b *batch, origin *node) error {
	var invalid *dataError
	if err := r.handOver(ctx, b); errors.As(err, &invalid) && origin != nil {
		return r.fail(ctx, origin, "cannot go on: "+invalid.Error())
	} else if err != nil {
		return err
	}
	if len(b.ops) > 0 {
		if _, err := r.engine.Record(ctx, b.ops...); err != nil {
			return err
		}
	}
	for _, n := range b.left {
		delete(r.active, n)
		delete(r.retried, n)
	}
	for _, n := range b.entered {
		r.active[n] = true
		if n.inside == nil && !r.suspended && !slices.Contains(b.spent, n) {
			r.ready = append(r.ready, n)
		}
	}
	return nil
}

// handOver gives the variables of pipelines what comes from subprocesses that
// end with a batch, and those of subprocesses that begin their params.
func (r *run) handOver(ctx context.Context, b *batch) error {
	for _, n := range b.closed {
		pass := b.recorded(n).Loop
		inside := &scope{results: r.results, in: n.inside, now: map[string]string{}}
		values := fed(n, pass, true, inside.Variable)
		if inside.err != nil {
			return &dataError{fmt.Errorf("outputs of %s: %w", n.label(), inside.err)}
		}
		if err := r.results.give(ctx, n.in, values); err != nil {
			return err
		}
	}
	for _, o := range b.opened {
		s := r.scope(o.node, o.pass)
		values := s.inputs(o.node)
		if s.err != nil {
			return &dataError{fmt.Errorf("params of %s: %w", o.node.label(), s.err)}
		}
		if err := r.results.give(ctx, o.node.inside, values); err != nil {
			return err
		}
	}
	return nil
}
