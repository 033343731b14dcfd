package engine

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Result is the answer to one operation.
type Result struct {
	// Sequence is the number of the operation's transition; for an idempotent
	// repeat, the task's revision.
	Sequence uint64
	// Node is the ID of the operation's node, generated or given.
	Node string
	// Version is the version of the node's attempt after the operation, "" for the
	// root.
	Version string
	// Repeated says that the operation was an idempotent repeat and made no
	// transition, or that a Begin or Report found nothing to do.
	Repeated bool
	// Did has the operations that a Begin or Report recorded, in order. It is empty
	// if there was nothing to do, and nil for other operations. Sequence is that of
	// the last one.
	Did []state.OpKind
}

// Pending is a request on its way to the store.
type Pending struct {
	ops      []state.Op
	size     int       // of ops, for the bound of the queue
	deletion *deletion // instead of ops
	task     *task     // the task of ops in memory, which saves a second lookup

	// done is closed when results and err are set. For a pooled request, which
	// has only one waiter, it is sent a value instead, and the request can be
	// reused.
	done    chan struct{}
	pooled  bool
	results []Result
	err     error

	engine *Engine // reports a refusal if no caller waits for the answer
	fate   atomic.Uint32

	// Memory for ops and results if there is one operation.
	op     [1]state.Op
	result [1]Result
}

// Bits of the fate of a request.
const (
	answered  = 1 << iota
	abandoned // the caller may not wait for the answer
)

// abandon says that the caller may no longer wait for the answer.
func (p *Pending) abandon() {
	if p.fate.Or(abandoned)&answered != 0 {
		p.reportRefusal()
	}
}

// reportRefusal reports a refusal that no caller waits for.
func (p *Pending) reportRefusal() {
	if p.err != nil && p.engine != nil {
		p.engine.observer.refused(p.ops, p.err)
	}
}

// deletion is the request to delete a task at a revision.
type deletion struct {
	key        state.Key
	root       string
	revision   uint64
	transition *state.Transition
}

func (d *deletion) refusal(err error) *state.Error {
	return &state.Error{Op: state.Delete, Task: d.key, Node: d.root, Err: err}
}

// Done is closed when the request has been answered.
func (p *Pending) Done() <-chan struct{} { return p.done }

// Wait waits for the answer: one result for each operation once they are durable,
// or the reason why no operation was recorded: an [*state.Error], which matches
// [store.ErrConflict] if other engines kept changing the task, or one of the
// store's errors. When ctx ends first, Wait returns its error and the request
// continues. It may be called any number of times.
func (p *Pending) Wait(ctx context.Context) ([]Result, error) {
	if !p.await(ctx) {
		p.abandon()
		return nil, ctx.Err()
	}
	return p.results, p.err
}

// await waits for the answer and returns true, or false if the context ends
// first. If both have happened, it returns true.
func (p *Pending) await(ctx context.Context) bool {
	canceled := ctx.Done()
	if canceled == nil {
		<-p.done // without a select, which would cost as much as the rest of the wait
		return true
	}
	select {
	case <-p.done:
		return true
	default:
	}
	select {
	case <-p.done:
		return true
	case <-canceled:
		return false
	}
}

func (p *Pending) answer(err error) {
	if p.err = err; err != nil {
		p.results = nil
	}
	if p.fate.Or(answered)&abandoned != 0 {
		p.reportRefusal()
	}
	if p.pooled {
		p.done <- struct{}{}
		return
	}
	close(p.done)
}

// Record records operations on one task together, each seeing those before it,
// all or none, and returns when they are durable: one result for each, or an
// error. A [Create] can only come first. If ctx ends before the request is
// queued, nothing is recorded. If it ends after that, Record returns its error but
// the request continues, as in [Pending.Wait]. A caller that commits for the queue
// (see the package documentation) notices the end of ctx only after that commit.
func (e *Engine) Record(ctx context.Context, ops ...Op) ([]Result, error) {
	p := &Pending{done: make(chan struct{}), engine: e}
	e.record(ctx, p, ops)
	return p.Wait(ctx)
}

// record queues the operations as p, and commits as the leader if there is
// none.
func (e *Engine) record(ctx context.Context, p *Pending, ops []Op) {
	err := ctx.Err()
	if err == nil {
		err = e.prepare(ctx, p, ops)
	}
	if err != nil {
		e.reject(p, err)
		return
	}
	e.warm(ctx, p)
	lead, err := e.await(ctx, p)
	if err != nil {
		e.reject(p, err)
	}
	if lead {
		e.lead()
	}
}

// reject answers a request that was not queued. If the engine is closed, that
// takes precedence over err.
func (e *Engine) reject(p *Pending, err error) {
	if e.closed.Load() {
		err = store.ErrClosed
	}
	p.answer(err)
}

// pooled returns a request whose caller gets a copy of the result. Reusing
// requests saves a tenth of all garbage.
func (e *Engine) pooled() *Pending {
	if p, ok := e.pool.Get().(*Pending); ok {
		return p
	}
	return &Pending{done: make(chan struct{}, 1), pooled: true, engine: e}
}

// one records operations and returns the result of the last.
func (e *Engine) one(ctx context.Context, ops ...Op) (Result, error) {
	p := e.pooled()
	e.record(ctx, p, ops)
	if !p.await(ctx) {
		p.abandon()
		return Result{}, ctx.Err() // without reusing p, which is still queued
	}
	var r Result
	err := p.err
	if err == nil {
		r = p.results[len(p.results)-1]
	}
	*p = Pending{done: p.done, pooled: true, engine: e}
	e.pool.Put(p)
	return r, err
}

// Submit queues operations on one task as [Engine.Record] does and returns
// without waiting for a commit. Requests are applied in the order in which
// they were queued, so a later one may build on an earlier one that is not
// durable yet. Queued requests are committed even if no caller waits for them;
// [Engine.Close] commits the rest. If the queue is full, the answer is
// [ErrQueueFull] at once, and nothing was queued.
//
// A caller that does not wait for the answer learns of a refusal from
// [Hooks.Refused] and [Options.Logger].
func (e *Engine) Submit(ops ...Op) *Pending {
	p := &Pending{done: make(chan struct{}), engine: e}
	p.abandon()
	if err := e.prepare(context.Background(), p, ops); err != nil {
		e.reject(p, err)
		return p
	}
	e.warm(context.Background(), p)
	e.submit(p)
	return p
}

// submit queues a request without waiting for room.
func (e *Engine) submit(p *Pending) {
	lead, _, err := e.enqueue(p)
	if err != nil {
		e.reject(p, err)
	}
	if lead {
		go e.leadOn()
	}
}

// prepare puts operations into a request and checks their shape.
func (e *Engine) prepare(ctx context.Context, p *Pending, ops []Op) error {
	if p.ops, p.results = p.op[:], p.result[:]; len(ops) != 1 {
		p.ops, p.results = make([]state.Op, len(ops)), make([]Result, len(ops))
	}
	if len(ops) == 0 {
		return &state.Error{Err: fmt.Errorf("%w: no operation", state.ErrInvalidArgument)}
	}
	now := state.InstantOf(e.opts.Now())
	p.size = 0
	for i := range ops {
		op := &p.ops[i]
		*op = ops[i].op
		op.Now = now
		err := ops[i].err
		if err == nil {
			err = e.complete(op, i)
		}
		if err != nil {
			return e.known(ctx, p.ops, i).Refusal(p.ops, i, err)
		}
		p.size += sizeOf(op)
	}
	return nil
}

// sizeOf is the size of an operation for the bounds of the queue and of a
// commit.
func sizeOf(op *state.Op) int {
	return 1 + (len(op.Input.Bytes())+len(op.Output.Bytes()))/dataOfOne
}

// dataOfOne is the number of bytes of data that count as another operation.
const dataOfOne = 1 << 10

// complete sets the generated IDs of an operation and checks its shape.
func (e *Engine) complete(op *state.Op, i int) error {
	isNew := op.Kind == state.Create || op.Kind == state.Declare || op.Kind == state.Begin
	if isNew && !op.NodeGiven && op.Node == "" {
		op.Node = e.opts.NewID()
	}
	if op.Kind.NamesAttempt() && !op.NewVersion.IsSet() {
		var err error
		if op.NewVersion, err = e.opts.newVersion(); err != nil {
			return fmt.Errorf("generated version: %w", err)
		}
	}
	if op.Kind == state.Create && i > 0 {
		return fmt.Errorf("%w: create comes first in a batch", state.ErrInvalidArgument)
	}
	if err := op.Validate(); err != nil {
		return err
	}
	return e.opts.Limits.CheckData(op)
}

// warm loads the task of a request into memory, so that its caller waits for
// the read from disk, and not the commit that all callers wait for. This is an
// optimization only: the commit loads what warm did not.
func (e *Engine) warm(ctx context.Context, p *Pending) {
	if p.ops[0].Kind == state.Create {
		return
	}
	ref := refTo(&p.ops[0])
	if p.task = e.cache.lookUp(ref); p.task == nil {
		_, _ = e.Load(ctx, ref) // applying the request returns the same error
	}
}
