// Command minimal records one step of a task and prints the task's status. Run it,
// then "touch main.c", and run it again.
package main

import (
	"context"
	"log"
	"os"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

func main() {
	ctx := context.Background()
	s := must(boltstore.Open("tasks.db", nil))
	defer s.Close()
	e := must(engine.Open(ctx, s, nil))
	defer e.Close()

	// Business 2, task 10. When the program runs again, the task exists already.
	pipeline := must(e.Create(ctx, "2", "10", engine.Name("nightly build"), engine.Idempotent()))
	must(e.Report(ctx, pipeline.Node, state.Running))

	// Begin declares and starts the step, or retries or repeats it.
	step := must(e.Begin(ctx, pipeline.Node, state.ServiceActivity, engine.Key("compile"), engine.Name("compile")))
	if _, err := os.Stat("main.c"); err != nil {
		must(e.Fail(ctx, step.Node, err.Error()))
	} else {
		must(e.Finish(ctx, step.Node))
		must(e.Finish(ctx, pipeline.Node))
	}

	status := must(query.New(e, nil).AppendJSON(ctx, nil, "2", "10"))
	must(os.Stdout.Write(append(status, '\n')))
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
