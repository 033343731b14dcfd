package engine_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// step is one step of a custom runner.
type step struct {
	name string
	run  func() error
}

// runSteps is a custom runner: it runs steps one after the other and records their
// outcomes.
func runSteps(ctx context.Context, e *engine.Engine, business, task string, steps ...step) error {
	pipeline, err := e.Create(ctx, business, task)
	if err != nil {
		return err
	}
	if _, err := e.Start(ctx, pipeline.Node); err != nil {
		return err
	}
	for _, s := range steps {
		node, err := e.Enter(ctx, pipeline.Node, state.ServiceActivity, engine.Name(s.name))
		if err != nil {
			return err
		}
		failure := s.run()
		ctx := context.WithoutCancel(ctx) // record the outcome of the step in any case
		if failure != nil {
			_, err = e.Record(ctx, engine.Fail(node.Node, failure.Error()), engine.Fail(pipeline.Node, s.name+" failed"))
			return errors.Join(failure, err)
		}
		if _, err := e.Finish(ctx, node.Node); err != nil {
			return err
		}
	}
	_, err = e.Finish(ctx, pipeline.Node)
	return err
}

// A unit test of a runner needs no file: it uses an engine on a [store.Memory] and
// checks the recorded states.
func ExampleOpen_memory() {
	ctx, s := context.Background(), store.NewMemory()
	defer s.Close()
	e, err := engine.Open(ctx, s, nil)
	check(err)
	defer e.Close()

	err = runSteps(ctx, e, "2", "10",
		step{"compile", func() error { return nil }},
		step{"test", func() error { return errors.New("2 of 40 failed") }},
		step{"deploy", func() error { return nil }},
	)
	fmt.Println("error:", err)

	snap, err := e.Load(ctx, store.ByKey("2", "10"))
	check(err)
	fmt.Println("pipeline:", snap.Tree.Shown(0))
	for i := range snap.Tree.Children(0) {
		node := snap.Tree.Node(i)
		fmt.Printf("%s: %s %q\n", node.Name, node.State, node.Error)
	}
	// Output:
	// error: 2 of 40 failed
	// pipeline: FAILED
	// compile: FINISHED ""
	// test: FAILED "2 of 40 failed"
}
