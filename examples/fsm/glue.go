package main

import (
	"context"

	"github.com/looplab/fsm"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
)

// record is a machine as a task: each of its states is a step of the pipeline.
// The machine may come back to a state, fail in it, and be picked up again by
// another process; what that means for the record, Begin and Report find out.
type record struct {
	engine *engine.Engine
	root   string // the pipeline's ID, which the machine's name is made of
}

func (r record) step(name string) string { return r.root + "/" + name }

// begin says that the machine is in a state now.
func (r record) begin(ctx context.Context, name string) error {
	_, err := r.engine.Begin(ctx, r.root, state.ServiceActivity, engine.ID(r.step(name)), engine.Name(name))
	return err
}

// report says what became of the step of a state.
func (r record) report(ctx context.Context, name string, is state.State, reason string) error {
	// The record of what was done must not be lost with the caller's context.
	_, err := r.engine.Report(context.WithoutCancel(ctx), r.step(name), is, engine.Reason(reason))
	return err
}

// callbacks tell of every transition of the machine. One that cannot be recorded
// does not happen.
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
