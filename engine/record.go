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
	// Node is the ID of the node the operation was about, generated or given.
	Node string
	// Version is that node's attempt after the operation, "" for the root.
	Version string
	// Repeated says that the operation was an idempotent repeat and made no
	// transition, or that a Begin or Report found nothing to do.
	Repeated bool
	// Did is what a Begin or Report recorded, in order, empty if there was nothing
	// to do; nil for other operations. Sequence is that of the last one.
	Did []state.OpKind
}

// Pending is a request on its way to the store.
type Pending struct {
	ops  []state.Op
	size int       // of ops, for the bound of the queue
	gone *deletion // instead of ops
	task *task     // what ops were about in memory, so as not to look it up again

	// done is closed when results and err are set. A pooled request, which has
	// one waiter, gets a value instead, so that it can be used again.
	done    chan struct{}
	pooled  bool
	results []Result
	err     error

	engine *Engine // whose observer is told if nobody waits for a refusal
	fate   atomic.Uint32

	// What ops and results point to when there is one operation.
	op     [1]state.Op
	result [1]Result
}

// The fate of a request, as bits.
const (
	answered  = 1 << iota
	abandoned // perhaps nobody waits for the answer
)

// abandon says that nobody may be waiting for the answer any more.
func (p *Pending) abandon() {
	if p.fate.Or(abandoned)&answered != 0 {
		p.tell()
	}
}

// tell tells of an answer that nobody waited for.
func (p *Pending) tell() {
	if p.err != nil && p.engine != nil {
		p.engine.observer.refused(p.ops, p.err)
	}
}

// deletion asks for a task to be removed at a revision.
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

// await reports whether the request was answered, and not the context over
// first. If both are, the answer counts.
func (p *Pending) await(ctx context.Context) bool {
	cancelled := ctx.Done()
	if cancelled == nil {
		<-p.done // a select costs as much as the rest of the waiting
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
	case <-cancelled:
		return false
	}
}

func (p *Pending) answer(err error) {
	if p.err = err; err != nil {
		p.results = nil
	}
	if p.fate.Or(answered)&abandoned != 0 {
		p.tell()
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
// queued, nothing is recorded; later, see [Pending.Wait]. A caller that commits
// for the queue (see the package documentation) notices the end of ctx only
// after that commit.
func (e *Engine) Record(ctx context.Context, ops ...Op) ([]Result, error) {
	p := &Pending{done: make(chan struct{}), engine: e}
	e.record(ctx, p, ops)
	return p.Wait(ctx)
}

// record queues the operations as p and leads if nobody does.
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

// reject answers a request that was not queued. That the engine is closed
// comes before all else.
func (e *Engine) reject(p *Pending, err error) {
	if e.closed.Load() {
		err = store.ErrClosed
	}
	p.answer(err)
}

// pooled returns a request for operations whose caller gets a copy of the
// result: the memory of those was a tenth of all garbage.
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
		return Result{}, ctx.Err() // the request goes on, with p
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

// sizeOf is what an operation counts for in the queue.
func sizeOf(op *state.Op) int {
	return 1 + (len(op.Input.Bytes())+len(op.Output.Bytes()))/dataOfOne
}

// dataOfOne is how many bytes of data count as another operation.
const dataOfOne = 1 << 10

// complete gives an operation the IDs it needs and checks its shape.
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

// warm brings the task of a request into memory, so that a read from disk is
// paid for by who asks and not by the commit that everybody waits for. It is
// only a courtesy: what it misses the commit finds itself.
func (e *Engine) warm(ctx context.Context, p *Pending) {
	if p.ops[0].Kind == state.Create {
		return
	}
	ref := refTo(&p.ops[0])
	if p.task = e.cache.find(ref); p.task == nil {
		_, _ = e.Load(ctx, ref) // an error will show when the request is applied
	}
}
