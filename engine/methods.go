package engine

import (
	"context"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// The methods below record a single operation each, as [Engine.Record] does,
// and are named like the functions that make it.

// Create records [Create]: a new task and its root pipeline, whose ID is the
// result's Node.
func (e *Engine) Create(ctx context.Context, business, task string, opts ...Option) (Result, error) {
	return e.one(ctx, Create(business, task, opts...))
}

// Declare records [Declare]: a new node in the container parent.
func (e *Engine) Declare(ctx context.Context, parent string, kind state.Kind, opts ...Option) (Result, error) {
	return e.one(ctx, Declare(parent, kind, opts...))
}

// Enter records [Declare] and [Start] of the same node in one commit, for a runner
// that reaches a node for the first time; [Engine.Begin] also works later. At, Actor
// and Idempotent apply to both, From and Input to the start, the other options to
// the declaration. The result is that of the start. With ID or Key, NewVersion and
// Idempotent it can be delivered again after any later operation on the node.
func (e *Engine) Enter(ctx context.Context, parent string, kind state.Kind, opts ...Option) (Result, error) {
	declare := Declare(parent, kind, opts...)
	if !declare.op.NodeGiven {
		declare.op.Node = e.opts.NewID()
	}
	start := Start(declare.op.Node)
	if declare.op.Idempotent && declare.op.Key != "" && !declare.op.NodeGiven {
		e.byKey(ctx, &start.op, &declare.op)
	}
	start.op.Version = declare.op.NewVersion // unset, if it is to be generated
	start.op.At, start.op.Actor, start.op.Idempotent = declare.op.At, declare.op.Actor, declare.op.Idempotent
	start.op.From, declare.op.From = declare.op.From, ""
	start.op.Input, declare.op.Input = declare.op.Input, nil
	return e.one(ctx, declare, start)
}

// byKey makes a start name the node of a declaration by key, because the node may
// exist with another ID. If its container does not exist, neither does the node.
func (e *Engine) byKey(ctx context.Context, start, declare *state.Op) {
	task := declare.Task
	if declare.Parent != "" {
		at, err := e.Locate(ctx, store.ByNode(declare.Parent))
		if err != nil {
			return // recording the operations returns the error
		}
		task = at.Key
	}
	start.Node, start.Task, start.NodeKey = "", task, declare.Key
}

// Begin records [Begin]: a step begins. The result lists the recorded operations.
func (e *Engine) Begin(ctx context.Context, parent string, kind state.Kind, opts ...Option) (Result, error) {
	return e.one(ctx, Begin(parent, kind, opts...))
}

// Report records [Report]: a step is in a state. The result lists the recorded
// operations.
func (e *Engine) Report(ctx context.Context, node string, is state.State, opts ...Option) (Result, error) {
	return e.one(ctx, Report(node, is, opts...))
}

// Start records [Start].
func (e *Engine) Start(ctx context.Context, node string, opts ...Option) (Result, error) {
	return e.one(ctx, Start(node, opts...))
}

// Finish records [Finish].
func (e *Engine) Finish(ctx context.Context, node string, opts ...Option) (Result, error) {
	return e.one(ctx, Finish(node, opts...))
}

// Fail records [Fail].
func (e *Engine) Fail(ctx context.Context, node, message string, opts ...Option) (Result, error) {
	return e.one(ctx, Fail(node, message, opts...))
}

// Retry records [Retry].
func (e *Engine) Retry(ctx context.Context, node string, opts ...Option) (Result, error) {
	return e.one(ctx, Retry(node, opts...))
}

// Skip records [Skip].
func (e *Engine) Skip(ctx context.Context, node string, opts ...Option) (Result, error) {
	return e.one(ctx, Skip(node, opts...))
}

// Loop records [Loop].
func (e *Engine) Loop(ctx context.Context, node string, opts ...Option) (Result, error) {
	return e.one(ctx, Loop(node, opts...))
}

// Reset records [Reset].
func (e *Engine) Reset(ctx context.Context, node string, opts ...Option) (Result, error) {
	return e.one(ctx, Reset(node, opts...))
}

// Reopen records [Reopen].
func (e *Engine) Reopen(ctx context.Context, business, task string, opts ...Option) (Result, error) {
	return e.one(ctx, Reopen(business, task, opts...))
}

// Label records [Label].
func (e *Engine) Label(ctx context.Context, business, task string, opts ...Option) (Result, error) {
	return e.one(ctx, Label(business, task, opts...))
}

// Suspend records [Suspend].
func (e *Engine) Suspend(ctx context.Context, node string, opts ...Option) (Result, error) {
	return e.one(ctx, Suspend(node, opts...))
}

// Resume records [Resume].
func (e *Engine) Resume(ctx context.Context, node string, opts ...Option) (Result, error) {
	return e.one(ctx, Resume(node, opts...))
}

// Revoke records [Revoke].
func (e *Engine) Revoke(ctx context.Context, node string, opts ...Option) (Result, error) {
	return e.one(ctx, Revoke(node, opts...))
}
