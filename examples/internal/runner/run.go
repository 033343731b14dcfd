package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
)

// run is one execution of a definition. One goroutine, that of loop, decides
// and records everything; others only wait for commands.
//
// The nodes that are active (entered and not left) are where the pipeline is.
// Leaving a node and entering its successors is one commit, so that the database
// always has this position.
type run struct {
	engine  *engine.Engine
	task    state.Key
	def     *definition
	results *results
	grace   time.Duration // how long commands may continue after the first signal
	note    func(string)  // tells the user

	active   map[*node]bool
	ready    []*node             // active, and not begun with yet
	due      map[*node]time.Time // active activities, to be retried then
	retried  map[*node]int       // automatic retries since the node was entered, or -resume
	running  map[*node]*execution
	ended    chan endedCommand
	stopping bool // a signal came

	requests <-chan *operation // of people who operate it, nil if it cannot be operated
	patient  bool              // wait for them when there is nothing else to do
	waiting  state.State       // the shown state when it reported that it waits
}

// killDelay is between asking a command's processes to end and killing them.
const killDelay = 2 * time.Second

func newRun(e *engine.Engine, task state.Key, def *definition, res *results) *run {
	return &run{
		engine: e, task: task, def: def, results: res, note: func(string) {},
		active: map[*node]bool{}, due: map[*node]time.Time{}, retried: map[*node]int{}, running: map[*node]*execution{},
		ended: make(chan endedCommand),
	}
}

// in has an operation name a node by its key, which is its ID in the definition;
// the root has no key.
func (r *run) in() engine.Option { return engine.In(r.task.Business, r.task.Task) }

// key is the key under which a pipeline, or its subprocess, is recorded.
func (p *pipeline) key() string {
	if p.within != nil {
		return p.within.id
	}
	return ""
}

// begin records the task and enters the start event.
func (r *run) begin(ctx context.Context) error {
	b := &batch{run: r, tree: state.NewTree(r.task)}
	b.record(
		engine.Create(r.task.Business, r.task.Task, engine.Name(r.def.root.name), engine.Input(r.def.source)),
		engine.Start("", r.in()),
	)
	b.declareAll(r.def.root)
	b.enter(r.def.root.start, nil)
	return r.commit(ctx, b)
}

// errStopped is the cause of commands that end because the runner was stopped.
var errStopped = errors.New("interrupted: the runner was stopped")

// loop runs the pipeline until nothing is left to do: it has finished, it
// waits for nodes that failed, or it was suspended by a first signal. A second
// signal ends the commands that are running. A patient run whose pipeline has
// not ended waits for people to operate it. ctx is for recording; commands are
// ended when loop returns with an error.
func (r *run) loop(ctx context.Context, signals <-chan os.Signal) error {
	commands, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer func() {
		stop(errStopped)
		for len(r.running) > 0 {
			e := <-r.ended
			for _, o := range r.running[e.node].forced {
				o.answer(errStopping)
			}
			delete(r.running, e.node)
		}
	}()
	var patience <-chan time.Time
	for {
		if err := r.start(ctx, commands); err != nil {
			return err
		}
		retry, at, err := r.nextRetry(ctx)
		if err != nil {
			return err
		}
		if len(r.running) == 0 && retry == nil {
			if wait, err := r.waits(ctx); err != nil || !wait {
				return err
			}
		}
		select {
		case e := <-r.ended:
			err = r.activityEnded(ctx, e)
		case <-at:
			err = r.enter(ctx, retry)
		case q := <-r.requests:
			err = r.operate(ctx, q)
		case <-patience:
			stop(errStopped)
		case <-signals:
			if r.stopping {
				r.note("stopping the commands that are running")
				stop(errStopped)
				break
			}
			r.stopping = true
			if len(r.running) == 0 && retry == nil {
				return nil // it waited for people
			}
			patience = time.After(r.grace)
			err = r.suspend(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// waits reports whether to wait for people when there is nothing else to do.
func (r *run) waits(ctx context.Context) (bool, error) {
	if r.requests == nil || !r.patient || r.stopping {
		return false, nil
	}
	b, err := r.batch(ctx)
	if err != nil || b.tree.Ended() {
		return false, err
	}
	shown := b.tree.Shown(0)
	if r.waiting != shown {
		r.note(fmt.Sprintf("%s; waiting for somebody to operate it (Ctrl-C to stop)", shown))
	}
	r.waiting = shown
	return true, nil
}

// start begins with the nodes that were entered: it starts the commands of
// activities and passes gateways and events.
func (r *run) start(ctx, commands context.Context) error {
	for len(r.ready) > 0 {
		n := r.ready[0]
		r.ready = r.ready[1:]
		if n.kind != state.ServiceActivity {
			if err := r.leave(ctx, n, nil, engine.Finish(n.id, r.in())); err != nil {
				return err
			}
			continue
		}
		c, pass, err := r.command(ctx, n)
		var invalid *dataError
		if errors.As(err, &invalid) {
			err = r.fail(ctx, n, nil, invalid.Error())
		}
		if err != nil {
			return err
		}
		if c == nil {
			continue
		}
		own, stop := context.WithCancelCause(commands)
		r.running[n] = &execution{command: c, stop: stop}
		go func() { r.ended <- endedCommand{n, pass, c.run(own)} }()
	}
	return nil
}

// leave records the operations that end a node, with the output that one of them has,
// and enters its successors: the node itself while it has passes to make. If the
// successors cannot be determined, or cannot get their data, the node fails instead.
func (r *run) leave(ctx context.Context, n *node, out *attemptOutput, ops ...engine.Op) error {
	b, err := r.batch(ctx)
	if err != nil {
		return err
	}
	r.results.took(n, out)
	b.record(ops...)
	if err := b.follow(n); err != nil {
		return r.fail(ctx, n, out, err.Error())
	}
	err = r.commit(ctx, b)
	var invalid *dataError
	if errors.As(err, &invalid) {
		return r.fail(ctx, n, out, "cannot continue: "+invalid.Error())
	}
	return err
}

// fail records a failure, with an output unless it is nil. The node stays active,
// so nodes that wait for it do not begin.
func (r *run) fail(ctx context.Context, n *node, out *attemptOutput, problem string, opts ...engine.Option) error {
	r.results.discard()
	r.results.took(n, out)
	opts = append(append(opts, out.options()...), r.in())
	return r.record(ctx, engine.Fail(n.id, problem, opts...))
}

// record records operations, and then keeps the results that come with them.
func (r *run) record(ctx context.Context, ops ...engine.Op) error {
	if _, err := r.engine.Record(ctx, ops...); err != nil {
		r.results.discard()
		return err
	}
	r.results.settle()
	return nil
}

// nextRetry is the activity to be retried next, and when.
func (r *run) nextRetry(ctx context.Context) (next *node, at <-chan time.Time, err error) {
	if len(r.due) == 0 {
		return nil, nil, nil
	}
	b, err := r.batch(ctx)
	if err != nil {
		return nil, nil, err
	}
	for n, t := range r.due {
		if !b.suspendedAbove(n) && (next == nil || t.Before(r.due[next])) {
			next = n
		}
	}
	if next != nil {
		at = time.After(time.Until(r.due[next]))
	}
	return next, at, nil
}

// enter records that a node begins again.
func (r *run) enter(ctx context.Context, n *node) error {
	delete(r.due, n)
	b, err := r.batch(ctx)
	if err != nil {
		return err
	}
	b.enter(n, nil)
	return r.commit(ctx, b)
}

// suspend suspends the pipeline, unless it is or has ended: commands that run may
// report, nothing starts.
func (r *run) suspend(ctx context.Context) error {
	b, err := r.batch(ctx)
	if err != nil {
		return err
	}
	if b.tree.State(0) == state.Running {
		if _, err := r.engine.Suspend(ctx, "", r.in()); err != nil {
			return err
		}
	}
	if len(r.running) > 0 {
		r.note(fmt.Sprintf("suspended; waiting up to %s for running commands (Ctrl-C again stops them)", r.grace))
	}
	return nil
}

// commit records a batch and then carries out its consequences. A *dataError says
// that a node that begins cannot get its data; then nothing is recorded.
func (r *run) commit(ctx context.Context, b *batch) error {
	if b.invalid != nil {
		r.results.discard()
		return b.invalid
	}
	if len(b.ops) > 0 {
		if err := r.record(ctx, b.ops...); err != nil {
			return err
		}
	}
	for _, n := range b.left {
		delete(r.active, n)
		delete(r.retried, n)
	}
	for _, n := range b.entered {
		r.active[n] = true
		if n.inside == nil && !b.suspendedAbove(n) && !slices.Contains(b.spent, n) {
			r.ready = append(r.ready, n)
		}
	}
	return nil
}
