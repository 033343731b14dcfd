package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

// A runner records the progress of a pipeline, and any program can ask for its
// status.
func Example() {
	opts := &engine.Options{Now: ticking(), NewID: counting()} // for the sake of the output
	dir, err := os.MkdirTemp("", "pipestatus")
	check(err)
	defer os.RemoveAll(dir)
	s, err := boltstore.Open(filepath.Join(dir, "tasks.db"), nil)
	check(err)
	defer s.Close()

	ctx := context.Background()
	e, err := engine.Open(ctx, s, opts) // nil for the defaults
	check(err)
	defer e.Close()

	pipeline, err := e.Create(ctx, "2", "10", engine.Name("nightly build"))
	check(err)
	_, err = e.Start(ctx, pipeline.Node)
	check(err)

	begin, err := e.Enter(ctx, pipeline.Node, state.StartEvent)
	check(err)
	_, err = e.Finish(ctx, begin.Node)
	check(err)

	compile, err := e.Enter(ctx, pipeline.Node, state.ServiceActivity, engine.Name("compile"))
	check(err)
	_, err = e.Fail(ctx, compile.Node, "no space left on device")
	check(err)

	status, err := query.New(e, &query.Options{Location: time.UTC}).AppendJSON(ctx, nil, "2", "10")
	check(err)
	fmt.Println(indent(status))
	// Output:
	// {
	//   "result": true,
	//   "data": {
	//     "retry": 0,
	//     "name": "nightly build",
	//     "finish_time": "",
	//     "skip": false,
	//     "start_time": "2018-04-26 08:08:35 +0000",
	//     "children": {
	//       "00000000000000000000000000000002": {
	//         "retry": 0,
	//         "name": "<class 'pipeline.core.flow.event.EmptyStartEvent'>",
	//         "finish_time": "2018-04-26 08:08:37 +0000",
	//         "skip": false,
	//         "start_time": "2018-04-26 08:08:36 +0000",
	//         "children": {},
	//         "state": "FINISHED",
	//         "version": "00000000000000000000000000000003",
	//         "id": "00000000000000000000000000000002",
	//         "loop": 1
	//       },
	//       "00000000000000000000000000000004": {
	//         "retry": 0,
	//         "name": "compile",
	//         "finish_time": "2018-04-26 08:08:39 +0000",
	//         "skip": false,
	//         "start_time": "2018-04-26 08:08:38 +0000",
	//         "children": {},
	//         "state": "FAILED",
	//         "version": "00000000000000000000000000000005",
	//         "id": "00000000000000000000000000000004",
	//         "loop": 1
	//       }
	//     },
	//     "state": "FAILED",
	//     "version": "",
	//     "id": "00000000000000000000000000000001",
	//     "loop": 1
	//   }
	// }
}

// Operations that belong together are recorded in one commit: either all of them
// or no operation.
func ExampleEngine_Record() {
	e, done := exampleEngine()
	defer done()
	ctx := context.Background()

	results, err := e.Record(ctx,
		engine.Create("2", "10", engine.ID("pipeline")),
		engine.Start("pipeline"),
		engine.Declare("pipeline", state.ServiceActivity, engine.ID("compile")),
		engine.Declare("pipeline", state.ServiceActivity, engine.ID("test")),
		engine.Start("compile"),
	)
	check(err)
	fmt.Println("recorded up to", results[len(results)-1].Sequence)

	// One ends and the next begins, without a moment at which neither runs.
	_, err = e.Record(ctx, engine.Finish("compile"), engine.Start("test"))
	check(err)

	// The second operation is invalid, so the first is not recorded either.
	_, err = e.Record(ctx, engine.Finish("test"), engine.Start("compile"))
	fmt.Println(err)
	printStates(e)
	// Output:
	// recorded up to 5
	// operation 1 of the batch: start node "compile" (FINISHED) of task "2"/"10": invalid transition
	// pipeline RUNNING, retry 0
	// compile FINISHED, retry 0
	// test RUNNING, retry 0
}

// A runner that may repeat a request marks it as idempotent and names the attempt:
// a repeat is no error, and a late callback does no harm.
func ExampleIdempotent() {
	e, done := exampleEngine()
	defer done()
	ctx := context.Background()
	_, err := e.Record(ctx, engine.Create("2", "10", engine.ID("pipeline")), engine.Start("pipeline"))
	check(err)
	compile, err := e.Enter(ctx, "pipeline", state.ServiceActivity, engine.ID("compile"))
	check(err)

	for range 2 {
		r, err := e.Fail(ctx, "compile", "timeout", engine.IfVersion(compile.Version), engine.Idempotent())
		fmt.Println("repeated:", r.Repeated, err)
	}
	_, err = e.Retry(ctx, "compile")
	check(err)
	_, err = e.Finish(ctx, "compile", engine.IfVersion(compile.Version))
	fmt.Println(err)
	// Output:
	// repeated: false <nil>
	// repeated: true <nil>
	// finish node "compile" (CREATED) of task "2"/"10": version mismatch: based on 00000000000000000000000000000001, current is 00000000000000000000000000000002
}

// To follow a task, take a snapshot and then watch every later transition, without
// gap or duplicate.
func ExampleEngine_Watch() {
	e, done := exampleEngine()
	defer done()
	ctx := context.Background()
	_, err := e.Record(ctx, engine.Create("2", "10", engine.ID("pipeline")), engine.Start("pipeline"))
	check(err)

	snap, err := query.New(e, nil).Snapshot(ctx, "2", "10")
	check(err)
	fmt.Println("it is", snap.Tree.Shown(0))

	e.Submit(engine.Suspend("pipeline"))
	e.Submit(engine.Resume("pipeline"))
	e.Submit(engine.Finish("pipeline"))
	for tr, err := range e.Watch(ctx, snap.Position) {
		check(err)
		if tr.Task != snap.Tree.Key() || tr.Sequence <= snap.Tree.Revision() {
			continue // another task, or in the snapshot already
		}
		fmt.Printf("%d %s: it is %s\n", tr.Sequence, tr.Op, tr.Shown)
		if tr.Shown.Ended() {
			break
		}
	}
	// Output:
	// it is RUNNING
	// 3 suspend: it is SUSPENDED
	// 4 resume: it is RUNNING
	// 5 finish: it is FINISHED
}

// recoverInterrupted runs the interrupted leaves again if they may be retried. The
// others keep their recorded failure and wait for a person.
func recoverInterrupted(ctx context.Context, e *engine.Engine) error {
	for task, err := range e.Interrupted(ctx) {
		if err != nil {
			return err
		}
		for _, node := range slices.Concat(task.Nodes, task.Retries) {
			if node.Kind.Container() {
				continue // a container continues with the nodes in it
			}
			reason := "interrupted"
			if node.State == state.Failed {
				reason = "" // it keeps its own
			}
			// A running leaf may fail in any state of its containers. For a leaf
			// that had failed already, this cancels the automatic retry, which no
			// runner will send any more.
			if _, err := e.Fail(ctx, node.ID, reason, engine.IfVersion(node.Version.String())); err != nil {
				return err
			}
			_, err := e.Begin(ctx, node.Parent, node.Kind, engine.ID(node.ID))
			if err != nil && !errors.Is(err, state.ErrNotRetryable) && !errors.Is(err, state.ErrInvalidTransition) {
				return err
			}
		}
	}
	return nil
}

// After a crash the runner decides how to continue interrupted work: here it runs
// again.
func ExampleEngine_Interrupted() {
	dir, err := os.MkdirTemp("", "pipestatus")
	check(err)
	defer os.RemoveAll(dir)
	path, ctx := filepath.Join(dir, "tasks.db"), context.Background()

	// A process records and ends suddenly.
	s, err := boltstore.Open(path, nil)
	check(err)
	e, err := engine.Open(ctx, s, nil)
	check(err)
	_, err = e.Record(ctx,
		engine.Create("2", "10", engine.ID("pipeline")), engine.Start("pipeline"),
		engine.Declare("pipeline", state.ServiceActivity, engine.ID("compile")), engine.Start("compile"),
	)
	check(err)
	check(s.Close())

	// The next process finds the interrupted work.
	s, err = boltstore.Open(path, nil)
	check(err)
	defer s.Close()
	e, err = engine.Open(ctx, s, nil)
	check(err)
	defer e.Close()
	check(recoverInterrupted(ctx, e))
	printStates(e)
	// Output:
	// pipeline RUNNING, retry 0
	// compile RUNNING, retry 1
}
