package enginetest

import (
	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
)

// simple are the constructors of operations that take only a node.
var simple = map[state.OpKind]func(node string, opts ...engine.Option) engine.Op{
	state.Start: engine.Start, state.Finish: engine.Finish, state.Retry: engine.Retry, state.Skip: engine.Skip,
	state.Loop: engine.Loop, state.Reset: engine.Reset, state.Suspend: engine.Suspend, state.Resume: engine.Resume, state.Revoke: engine.Revoke,
}

// opOf is a well-formed operation, as package engine makes it.
func opOf(op state.Op) engine.Op {
	opts := []engine.Option{
		engine.Name(op.Name), engine.MaxLoops(op.MaxLoops), engine.Actor(op.Actor),
		engine.IfVersion(op.Version.String()), engine.IfLoop(op.Loop),
	}
	add := func(wanted bool, option engine.Option) {
		if wanted {
			opts = append(opts, option)
		}
	}
	add(op.Kind != state.Report && (op.Kind != state.Begin || op.VersionGiven), engine.NewVersion(op.NewVersion.String()))
	isNew := op.Kind == state.Create || op.Kind == state.Declare || op.Kind == state.Begin
	add(isNew && op.NodeGiven, engine.ID(op.Node))
	add(op.NoRetry, engine.NoRetry())
	add(op.NoSkip, engine.NoSkip())
	add(op.Ignore, engine.Ignore())
	add(op.Abandon, engine.Abandon())
	add(op.Tolerate, engine.Tolerate())
	add((op.Kind == state.Revoke || op.Kind == state.Report) && op.Error != "", engine.Reason(op.Error))
	add(op.Idempotent, engine.Idempotent())
	add(op.At.IsSet(), engine.At(op.At.Time()))
	add(op.RetryAt.IsSet(), engine.RetryAt(op.RetryAt.Time()))
	switch op.Kind {
	case state.Create:
		return engine.Create(op.Task.Business, op.Task.Task, opts...)
	case state.Reopen:
		return engine.Reopen(op.Task.Business, op.Task.Task, opts...)
	case state.Declare:
		return engine.Declare(op.Parent, op.NodeKind, opts...)
	case state.Begin:
		return engine.Begin(op.Parent, op.NodeKind, opts...)
	case state.Report:
		return engine.Report(op.Node, op.State, opts...)
	case state.Fail:
		return engine.Fail(op.Node, op.Error, opts...)
	}
	return simple[op.Kind](op.Node, opts...)
}
