package engine_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// started is an engine with a running pipeline, task 10 of business 2.
func started() (ctx context.Context, e *engine.Engine, done func()) {
	e, done = exampleEngine()
	ctx = context.Background()
	_, err := e.Record(ctx, engine.Create("2", "10", engine.ID("pipeline")), engine.Start("pipeline"))
	check(err)
	return ctx, e, done
}

// A runner says that a step begins. The call is the same for a new step, a failed
// step, and a step that was running when the process died.
func ExampleEngine_Begin() {
	ctx, e, done := started()
	defer done()
	for range 3 {
		r, err := e.Begin(ctx, "pipeline", state.ServiceActivity, engine.ID("build"))
		check(err)
		fmt.Println(r.Did)
		if _, err := e.Report(ctx, "build", state.Failed, engine.Reason("exit status 1")); err != nil {
			check(err)
		}
	}
	printStates(e)
	// Output:
	// [declare start]
	// [retry start]
	// [retry start]
	// pipeline FAILED, retry 0
	// build FAILED, retry 2
}

// A report corrects a record that missed earlier events.
func ExampleEngine_Report() {
	ctx, e, done := started()
	defer done()
	_, err := e.Declare(ctx, "pipeline", state.ServiceActivity, engine.ID("build"))
	check(err)
	for range 2 { // the second one finds nothing to do
		r, err := e.Report(ctx, "build", state.Finished)
		check(err)
		fmt.Println(r.Did)
	}
	// Output:
	// [start finish]
	// []
}

// A pipeline has failed and ended. After the cause is fixed, it runs again, and
// finished steps stay finished.
func ExampleReopen() {
	ctx, e, done := started()
	defer done()
	for _, step := range []string{"fetch", "build"} {
		_, err := e.Enter(ctx, "pipeline", state.ServiceActivity, engine.ID(step))
		check(err)
		_, err = e.Finish(ctx, step)
		check(err)
	}
	_, err := e.Enter(ctx, "pipeline", state.ServiceActivity, engine.ID("deploy"))
	check(err)
	_, err = e.Record(ctx, engine.Fail("deploy", "no route to host"), engine.Fail("pipeline", "deploy failed"))
	check(err)
	printStates(e)

	_, err = e.Record(ctx,
		engine.Reopen("2", "10"),
		engine.Begin("pipeline", state.ServiceActivity, engine.ID("deploy")),
	)
	check(err)
	printStates(e)
	// Output:
	// pipeline FAILED, retry 0
	// fetch FINISHED, retry 0
	// build FINISHED, retry 0
	// deploy FAILED, retry 0
	// pipeline RUNNING, retry 0
	// fetch FINISHED, retry 0
	// build FINISHED, retry 0
	// deploy RUNNING, retry 1
}

// The failure of a step does not matter: either its own report says so, or the
// pipeline ignores it when it finishes.
func ExampleTolerate() {
	ctx, e, done := started()
	defer done()
	for _, step := range []string{"lint", "docs"} {
		_, err := e.Enter(ctx, "pipeline", state.ServiceActivity, engine.ID(step))
		check(err)
	}
	_, err := e.Fail(ctx, "lint", "3 warnings", engine.Ignore())
	check(err)
	_, err = e.Fail(ctx, "docs", "no such template")
	check(err)
	_, err = e.Finish(ctx, "pipeline")
	fmt.Println(err)
	_, err = e.Finish(ctx, "pipeline", engine.Tolerate())
	check(err)
	printStates(e)
	// Output:
	// finish node "pipeline" (RUNNING) of task "2"/"10": invalid transition: a child is FAILED
	// pipeline FINISHED, retry 0
	// lint FINISHED, retry 0
	// docs FINISHED, retry 0
}

// A runner retries a step, and doubles the pause before each retry. The pipeline
// shows RUNNING during the pauses. The engine sends nothing by itself.
func ExampleRetryAt() {
	ctx, e, done := started()
	defer done()
	work := func(try int) error {
		if try < 2 {
			return errors.New("connection refused")
		}
		return nil
	}
	wait := time.Millisecond
	for try := 0; ; try++ {
		_, err := e.Begin(ctx, "pipeline", state.ServiceActivity, engine.ID("upload"))
		check(err)
		failure := work(try)
		if failure == nil {
			break
		}
		at := time.Now().Add(wait)
		_, err = e.Fail(ctx, "upload", failure.Error(), engine.RetryAt(at))
		check(err)
		snap, err := e.Load(ctx, store.ByKey("2", "10"))
		check(err)
		fmt.Println("the pipeline shows", snap.Tree.Shown(0))
		time.Sleep(time.Until(at))
		wait *= 2
	}
	_, err := e.Finish(ctx, "upload")
	check(err)
	printStates(e)
	// Output:
	// the pipeline shows RUNNING
	// the pipeline shows RUNNING
	// pipeline RUNNING, retry 0
	// upload FINISHED, retry 2
}

// A condition decides that a step is not needed. It is declared, so that it
// shows, and skipped.
func ExampleSkip() {
	ctx, e, done := started()
	defer done()
	changed := false
	_, err := e.Declare(ctx, "pipeline", state.ServiceActivity, engine.ID("migrate"))
	check(err)
	if changed {
		_, err = e.Start(ctx, "migrate")
	} else {
		_, err = e.Skip(ctx, "migrate")
	}
	check(err)
	_, err = e.Finish(ctx, "pipeline")
	check(err)
	printStates(e)
	// Output:
	// pipeline FINISHED, retry 0
	// migrate FINISHED, retry 1
}

// An operator revokes a pipeline. The runner tells the steps that still run to
// stop, and each of them reports how it ended.
func ExampleRevoke() {
	ctx, e, done := started()
	defer done()
	_, err := e.Enter(ctx, "pipeline", state.Subprocess, engine.ID("tests"))
	check(err)
	_, err = e.Enter(ctx, "tests", state.ServiceActivity, engine.ID("unit"))
	check(err)
	_, err = e.Revoke(ctx, "pipeline", engine.Reason("superseded by a newer commit"), engine.Actor("alice"))
	check(err)
	printStates(e)
	_, err = e.Fail(ctx, "unit", "killed")
	check(err)
	printStates(e)
	// Output:
	// pipeline REVOKED, retry 0
	// tests REVOKED, retry 0
	// unit RUNNING, retry 0
	// pipeline REVOKED, retry 0
	// tests REVOKED, retry 0
	// unit FAILED, retry 0
}

// A step runs once for each of several hosts, and no more often than it may.
func ExampleLoop() {
	ctx, e, done := started()
	defer done()
	hosts := []string{"a", "b", "c"}
	_, err := e.Enter(ctx, "pipeline", state.ServiceActivity, engine.ID("deploy"), engine.MaxLoops(len(hosts)))
	check(err)
	for i := range hosts {
		if i > 0 {
			_, err = e.Loop(ctx, "deploy")
			check(err)
		}
		_, err = e.Finish(ctx, "deploy")
		check(err)
	}
	_, err = e.Loop(ctx, "deploy")
	fmt.Println(err)
	// Output:
	// loop node "deploy" (FINISHED) of task "2"/"10": loop limit reached: 3 of 3
}

// Branches that run at the same time, in a subprocess of their own. Each goroutine
// records its own; the subprocess ends when all have.
func Example_parallel() {
	ctx, e, done := started()
	defer done()
	_, err := e.Begin(ctx, "pipeline", state.Subprocess, engine.ID("tests"))
	check(err)
	branches := []string{"unit", "race", "lint"}
	results := make(chan error)
	for _, branch := range branches {
		_, err := e.Begin(ctx, "tests", state.ServiceActivity, engine.ID(branch)) // in their order
		check(err)
		go func() {
			_, err := e.Finish(ctx, branch)
			results <- err
		}()
	}
	for range branches {
		check(<-results)
	}
	_, err = e.Record(ctx, engine.Finish("tests"), engine.Finish("pipeline"))
	check(err)
	printStates(e)
	// Output:
	// pipeline FINISHED, retry 0
	// tests FINISHED, retry 0
	// unit FINISHED, retry 0
	// race FINISHED, retry 0
	// lint FINISHED, retry 0
}

// A runner need not wait for what it records. It learns of refusals from the hook,
// or from the answers when it is done.
func ExampleEngine_Submit() {
	s := store.NewMemory()
	defer s.Close()
	ctx := context.Background()
	e, err := engine.Open(ctx, s, &engine.Options{Hooks: &engine.Hooks{
		Refused: func(ops []engine.Op, err error) {
			fmt.Println("hook:", ops, errors.Is(err, state.ErrInvalidTransition))
		},
	}})
	check(err)
	defer e.Close()

	e.Submit(engine.Create("2", "10", engine.ID("pipeline")), engine.Start("pipeline"))
	e.Submit(engine.Start("pipeline")) // a mistake
	last := e.Submit(engine.Finish("pipeline"))
	_, err = last.Wait(ctx) // all before it have been answered as well
	fmt.Println(err)
	// Output:
	// hook: [start node "pipeline"] true
	// <nil>
}

// When the context of a runner is canceled, the outcome of the step must still be
// recorded, with another context.
func Example_canceled() {
	_, e, done := started()
	defer done()
	ctx, cancel := context.WithCancel(context.Background())
	_, err := e.Begin(ctx, "pipeline", state.ServiceActivity, engine.ID("build"))
	check(err)
	cancel()
	failure := ctx.Err() // what the step returns

	_, err = e.Fail(ctx, "build", failure.Error())
	fmt.Println(err)
	_, err = e.Fail(context.WithoutCancel(ctx), "build", failure.Error())
	check(err)
	printStates(e)
	// Output:
	// context canceled
	// pipeline FAILED, retry 0
	// build FAILED, retry 0
}

// Purge removes old tasks, including failed ones that were never run again.
func ExampleEngine_Purge() {
	e, done := exampleEngine()
	defer done()
	ctx := context.Background()
	lastYear := engine.At(time.Date(2017, 5, 1, 12, 0, 0, 0, time.UTC))
	for task, end := range map[string][]engine.Op{
		"finished": {engine.Finish("finished", lastYear)},
		"failed":   {engine.Begin("failed", state.ServiceActivity, engine.ID("step"), lastYear), engine.Fail("step", "broken", lastYear)},
		"running":  {engine.Begin("running", state.ServiceActivity, engine.ID("work"), lastYear)},
	} {
		ops := []engine.Op{engine.Create("2", task, engine.ID(task), lastYear), engine.Start(task, lastYear)}
		_, err := e.Record(ctx, append(ops, end...)...)
		check(err)
	}
	old := time.Date(2018, 1, 1, 0, 0, 0, 0, time.UTC)
	purged, err := e.Purge(ctx, engine.Retention{Before: old})
	check(err)
	fmt.Printf("removed %d, kept %d that failed and %d that run\n", purged.Removed, purged.Settled, purged.Unfinished)
	purged, err = e.Purge(ctx, engine.Retention{Before: old, Settled: true})
	check(err)
	fmt.Printf("removed %d, kept %d that run\n", purged.Removed, purged.Unfinished)
	// Output:
	// removed 1, kept 1 that failed and 1 that run
	// removed 1, kept 1 that run
}
