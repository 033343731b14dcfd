package main

import (
	"context"

	"github.com/looplab/fsm"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
)

// record is a machine as a task: each of its states is a step of the pipeline. The
// machine may return to a state, fail in it, and be continued by another process;
// Begin and Report choose the operations to record.
type record struct {
	engine *engine.Engine
	root   string // the pipeline's ID, part of the machine's name
}

func (r record) step(name string) string { return r.root + "/" + name }

// begin says that the machine is in a state now.
func (r record) begin(ctx context.Context, name string) error {
	_, err := r.engine.Begin(ctx, r.root, state.ServiceActivity, engine.ID(r.step(name)), engine.Name(name))
	return err
}

// report records the outcome of the step of a state.
func (r record) report(ctx context.Context, name string, is state.State, reason string) error {
	// The outcome must be recorded even if the caller's context has ended.
	_, err := r.engine.Report(context.WithoutCancel(ctx), r.step(name), is, engine.Reason(reason))
	return err
}

// callbacks record every transition of the machine. A transition that cannot be
// recorded does not happen.
func (r record) callbacks() fsm.Callbacks {
	return fsm.Callbacks{
		"leave_state": func(ctx context.Context, e *fsm.Event) {
			if err := r.report(ctx, e.Src, state.Finished, ""); err != nil {
				e.Cancel(err)
			}
		},
		"enter_state": func(ctx context.Context, e *fsm.Event) { e.Err = r.begin(ctx, e.Dst) },
	}
}
