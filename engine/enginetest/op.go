package enginetest

import (
	"maps"

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
	opts := options(op)
	parent, node := op.Parent, op.Node
	switch {
	case op.Kind == state.Create || op.Kind == state.Reopen || op.Kind == state.Label:
	case op.ByTask():
		parent, node = op.ParentKey, op.NodeKey
		opts = append(opts, engine.In(op.Task.Business, op.Task.Task))
	}
	switch op.Kind {
	case state.Create:
		return engine.Create(op.Task.Business, op.Task.Task, opts...)
	case state.Reopen:
		return engine.Reopen(op.Task.Business, op.Task.Task, opts...)
	case state.Label:
		return engine.Label(op.Task.Business, op.Task.Task, opts...)
	case state.Declare:
		return engine.Declare(parent, op.NodeKind, opts...)
	case state.Begin:
		return engine.Begin(parent, op.NodeKind, opts...)
	case state.Report:
		return engine.Report(node, op.State, opts...)
	case state.Fail:
		return engine.Fail(node, op.Error, opts...)
	}
	return simple[op.Kind](node, opts...)
}

// options are those of an operation, where they say nothing too.
func options(op state.Op) []engine.Option {
	opts := []engine.Option{
		engine.Name(op.Name), engine.MaxLoops(op.MaxLoops), engine.Actor(op.Actor), engine.Key(op.Key), engine.After(op.After...),
		engine.From(op.From), engine.Note(op.Note), engine.Labels(maps.Collect(op.Labels.All())), engine.Unlabel(op.Unlabel...),
		engine.Input(op.Input.Bytes()), engine.Output(op.Output.Bytes()),
		engine.IfVersion(op.Version.String()), engine.IfLoop(op.Loop),
	}
	add := func(wanted bool, option engine.Option) {
		if wanted {
			opts = append(opts, option)
		}
	}
	isNew := op.Kind == state.Create || op.Kind == state.Declare || op.Kind == state.Begin
	add(op.NewVersion.IsSet() && op.Kind != state.Report, engine.NewVersion(op.NewVersion.String()))
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
	return opts
}
