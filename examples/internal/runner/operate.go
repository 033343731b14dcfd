package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/state"
)

// operator passes requests from HTTP to the run of one task. It implements
// [httpapi.Operator].
type operator struct {
	task     state.Key
	requests chan *operation
	closed   chan struct{} // requests are no longer accepted
}

func newOperator(task state.Key) *operator {
	return &operator{task: task, requests: make(chan *operation), closed: make(chan struct{})}
}

// operation is a request that has not been answered.
type operation struct {
	httpapi.Operation
	answered chan error // has room for the answer
}

func (o *operation) answer(err error) { o.answered <- err }

// by is the option that records who asked.
func (o *operation) by() engine.Option { return engine.Actor(o.Actor) }

// who is who asked, as people read it.
func (o *operation) who() string {
	if o.Actor == "" {
		return "somebody"
	}
	return o.Actor
}

// Operate returns when the run has answered. It waits for a command that it
// makes fail, which has a moment to end by itself.
func (o *operator) Operate(ctx context.Context, op httpapi.Operation) error {
	if task := (state.Key{Business: op.Business, Task: op.Task}); task != o.task {
		return refuse("this runner runs task %s, not task %s", o.task, task)
	}
	asked := &operation{Operation: op, answered: make(chan error, 1)}
	select {
	case o.requests <- asked:
	case <-o.closed:
		return errStopping
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-asked.answered:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errStopping is the answer of a runner that is about to end.
var errStopping = refuse("the runner is stopping")

// errLater says that an operation was taken on and will be answered.
var errLater = errors.New("answered later")

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", httpapi.ErrNotOperable, fmt.Sprintf(format, args...))
}

// refuseAll answers operations on a task that has ended, until a signal comes.
func (r *run) refuseAll(shown state.State, signals <-chan os.Signal) {
	for {
		select {
		case o := <-r.requests:
			o.answer(refuse("task %s is %s: nothing can be done to it any more", r.task, shown))
		case <-signals:
			return
		}
	}
}

// operate carries out a request and answers it. An error ends the run; a refusal is
// no error.
func (r *run) operate(ctx context.Context, o *operation) error {
	err := r.perform(ctx, o)
	var invalid *dataError
	if errors.As(err, &invalid) {
		err = refuse("%v", invalid)
	}
	if errors.Is(err, errLater) {
		return nil
	}
	o.answer(err)
	var refused *state.Error
	if errors.As(err, &refused) || errors.Is(err, httpapi.ErrNotOperable) {
		return nil
	}
	return err
}

// perform carries out one operation. Operations that the rules refuse go to the
// engine unchanged, whose error gives the reason.
func (r *run) perform(ctx context.Context, o *operation) error {
	if r.stopping {
		return errStopping
	}
	if o.Inputs != nil {
		return refuse("this runner retries a node with the inputs that its definition gives it")
	}
	b, err := r.batch(ctx)
	if err != nil {
		return err
	}
	if o.Node == "" || o.Node == b.tree.ID(0) {
		return r.performOnTask(ctx, b, o)
	}
	n := r.named(b.tree, o.Node)
	if n == nil {
		return refuse("node %s is not one of the definition", o.Node)
	}
	if x := r.running[n]; x != nil && len(x.forced) > 0 && o.Action != httpapi.ForceFail {
		return refuse("%s is being made to fail", n.label())
	}
	switch o.Action {
	case httpapi.Retry:
		return r.retry(ctx, b, n, o)
	case httpapi.Skip:
		return r.skip(ctx, b, n, o)
	case httpapi.Pause:
		return r.pause(ctx, b, n, o)
	case httpapi.Resume:
		return r.unpause(ctx, b, n, o)
	case httpapi.ForceFail:
		return r.forceFail(ctx, n, o)
	}
	return refuse("a node cannot be asked to %s", o.Action)
}

func (r *run) performOnTask(ctx context.Context, b *batch, o *operation) error {
	switch o.Action {
	case httpapi.Pause:
		return r.record(ctx, engine.Suspend("", r.in(), o.by()))
	case httpapi.Resume:
		if b.tree.State(0) != state.Suspended {
			return r.record(ctx, engine.Resume("", r.in(), o.by()))
		}
		b.record(engine.Resume("", r.in(), o.by()))
		return r.unsuspend(ctx, b, r.def.root)
	case httpapi.Revoke:
		if err := r.record(ctx, engine.Revoke("", r.in(), o.by())); err != nil {
			return err
		}
		clear(r.due)
		for _, x := range r.running {
			x.stop(fmt.Errorf("interrupted: the task was revoked by %s", o.who()))
		}
		return nil
	}
	return refuse("a pipeline can be paused, resumed and revoked; %s is for one of its nodes", o.Action)
}

// named returns the node with an ID of the record or of the definition, nil if
// the ID is unknown.
func (r *run) named(tree *state.Tree, id string) *node {
	if i, ok := tree.Find(id); ok {
		id = tree.Node(i).Key
	}
	return r.def.nodes[id]
}

// retry runs a failed node again and resets its automatic retries. In a suspended
// pipeline the node begins after the resume.
func (r *run) retry(ctx context.Context, b *batch, n *node, o *operation) error {
	again := engine.Retry(n.id, r.in(), o.by())
	if b.recorded(n).State != state.Failed {
		return r.record(ctx, again)
	}
	b.record(again)
	b.startAgain(n)
	return r.settle(ctx, b, n)
}

// skip leaves a node that failed, or that a suspended pipeline has not begun.
func (r *run) skip(ctx context.Context, b *batch, n *node, o *operation) error {
	skip := engine.Skip(n.id, r.in(), o.by())
	if s := b.recorded(n).State; s != state.Failed && s != state.Created {
		return r.record(ctx, skip)
	}
	if n.kind == state.EndEvent {
		return refuse("an end event cannot be skipped")
	}
	if was := b.recorded(n); fresh(&was) {
		if err := r.arrive(ctx, b, n); err != nil {
			return err
		}
	}
	b.record(skip)
	if err := b.follow(n); err != nil {
		return refuse("%s cannot be skipped: %v", n.label(), err)
	}
	return r.settle(ctx, b, n)
}

// arrive leaves the nodes that have ended and lead to a node that has not begun,
// which would begin now but for a pause. It refuses all others: only a next step is
// certain to be reached.
func (r *run) arrive(ctx context.Context, b *batch, n *node) error {
	was := b.recorded(n)
	if was.State != state.Suspended && !b.suspendedAbove(n) {
		return refuse("the pipeline has not reached %s", n.label())
	}
	s, err := r.story(ctx, b.tree)
	if err != nil {
		return err
	}
	var before []*node
	_, unfollowed := s.position(b, n.in)
	for _, p := range unfollowed {
		pass := b.recorded(p).Loop
		to, err := p.choose(r.scope(p, pass))
		if err != nil || pass%p.passes != 0 || !slices.Contains(to, n) {
			continue
		}
		if len(to) > 1 {
			return refuse("%s begins together with others: resume the pipeline first", n.label())
		}
		before = append(before, p)
	}
	b.left = append(b.left, before...)
	busy := slices.ContainsFunc(before, func(p *node) bool {
		joined := p.joining(n)
		return joined != nil && b.busy(joined)
	})
	if len(before) == 0 || busy {
		return refuse("the pipeline has not reached %s", n.label())
	}
	return nil
}

// settle commits what was decided about a node, which ends its automatic
// retries.
func (r *run) settle(ctx context.Context, b *batch, n *node) error {
	if err := r.commit(ctx, b); err != nil {
		return err
	}
	delete(r.due, n)
	delete(r.retried, n)
	return nil
}

// pause stops the command of a node until it is resumed. A node that has not
// begun does not begin, and in a subprocess nothing begins.
func (r *run) pause(ctx context.Context, b *batch, n *node, o *operation) error {
	if was := b.recorded(n); was.State == state.Created && fresh(&was) {
		if err := r.arrive(ctx, b, n); err != nil {
			return err
		}
	}
	x := r.running[n]
	if x == nil || b.recorded(n).State != state.Running {
		return r.record(ctx, engine.Suspend(n.id, r.in(), o.by()))
	}
	if err := x.pause(); err != nil {
		return refuse("%s cannot be paused: %v", n.label(), err)
	}
	err := r.record(ctx, engine.Suspend(n.id, r.in(), o.by()))
	if err != nil {
		x.unpause()
	}
	return err
}

// unpause continues a paused node.
func (r *run) unpause(ctx context.Context, b *batch, n *node, o *operation) error {
	was, resume := b.recorded(n), engine.Resume(n.id, r.in(), o.by())
	switch {
	case was.State != state.Suspended:
		return r.record(ctx, resume)
	case r.running[n] != nil:
		err := r.record(ctx, resume)
		if err == nil {
			r.running[n].unpause()
		}
		return err
	}
	b.record(resume)
	if fresh(&was) {
		b.released = append(b.released, n)
		return r.continueIn(ctx, b, n.in)
	}
	if n.inside != nil && was.Started.IsSet() {
		return r.unsuspend(ctx, b, n.inside)
	}
	b.startAgain(n)
	return r.commit(ctx, b)
}

// unsuspend continues a pipeline that a batch resumes. Failed nodes, and nodes that
// were paused individually, still wait for a person.
func (r *run) unsuspend(ctx context.Context, b *batch, p *pipeline) error {
	b.resumed = append(b.resumed, p)
	return r.continueIn(ctx, b, p)
}

// continueIn begins the nodes of a pipeline that can begin.
func (r *run) continueIn(ctx context.Context, b *batch, p *pipeline) error {
	err := r.proceed(ctx, b, p, func(n *node) {
		if b.recorded(n).State == state.Created {
			b.enter(n, nil)
		}
	})
	if err != nil {
		return err
	}
	return r.commit(ctx, b)
}

// forceFail ends the command of an activity, whatever its policy for failures,
// or gives up its automatic retry.
func (r *run) forceFail(ctx context.Context, n *node, o *operation) error {
	if n.kind != state.ServiceActivity {
		return refuse("only activities can be made to fail, and %s is a %s", n.label(), n.kind)
	}
	if x := r.running[n]; x != nil {
		x.forced = append(x.forced, o)
		x.stop(fmt.Errorf("made to fail by %s", o.who()))
		return errLater
	}
	err := r.record(ctx, engine.Fail(n.id, "", r.in(), o.by()))
	if err == nil {
		delete(r.due, n)
	}
	return err
}
