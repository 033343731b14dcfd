package query_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// deployment is an engine in which task 10 of business 2 builds something,
// fails, is retried and then fails to deploy it.
func deployment(ctx context.Context) (*engine.Engine, error) {
	e, err := engine.Open(ctx, store.NewMemory(), nil)
	if err != nil {
		return nil, err
	}
	after := func(minutes int) engine.Option {
		return engine.At(time.Date(2026, 3, 1, 9, minutes, 0, 0, time.UTC))
	}
	ops := []engine.Op{
		engine.Create("2", "10", engine.ID("root"), engine.Name("release 1.4"), after(0)),
		engine.Start("root", after(0)),
		engine.Declare("root", state.ServiceActivity, engine.ID("build"), engine.Name("build"), engine.NewVersion("6f1c0000000000000000000000000001"), after(0)),
		engine.Start("build", after(0)),
		engine.Fail("build", "no space left on device", after(4)),
		engine.Retry("build", engine.NewVersion("6f1c0000000000000000000000000002"), after(5)),
		engine.Start("build", after(5)),
		engine.Finish("build", after(12)),
		engine.Declare("root", state.ServiceActivity, engine.ID("deploy"), engine.Name("deploy"), engine.NewVersion("6f1c0000000000000000000000000003"), after(12)),
		engine.Start("deploy", after(12)),
		engine.Fail("deploy", "connection refused", after(13)),
	}
	_, err = e.Record(ctx, ops...)
	return e, err
}

// A status is a Go value, and can be sent as JSON.
func Example() {
	ctx := context.Background()
	e, err := deployment(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	q := query.New(e, &query.Options{Location: time.UTC})

	status, err := q.Status(ctx, "2", "10")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(status.Name, status.State)
	for _, child := range status.Children {
		fmt.Printf("  %s %s, retried or skipped %d times\n", child.Name, child.State, child.Retry)
	}

	body, err := q.AppendJSON(ctx, nil, "2", "deploy")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(body))

	// Output:
	// release 1.4 FAILED
	//   build FINISHED, retried or skipped 1 times
	//   deploy FAILED, retried or skipped 0 times
	// {"result":true,"data":{"retry":0,"name":"deploy","finish_time":"2026-03-01 09:13:00 +0000","skip":false,"start_time":"2026-03-01 09:12:00 +0000","children":{},"state":"FAILED","version":"6f1c0000000000000000000000000003","id":"deploy","loop":1}}
}

// An unknown task is an error with a separate type. In the documented envelope,
// it is an answer.
func ExampleNotFoundError() {
	ctx := context.Background()
	e, err := deployment(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	q := query.New(e, nil)

	_, err = q.Status(ctx, "3", "10")
	fmt.Println(err, errors.Is(err, state.ErrNotFound))

	body, err := q.AppendJSON(ctx, nil, "3", "10")
	fmt.Println(string(body), err)

	// Output:
	// business "3" has no task or node "10" true
	// {"result":false,"message":"business \"3\" has no task or node \"10\""} <nil>
}

func ExampleQuery_List() {
	ctx := context.Background()
	e, err := deployment(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	q := query.New(e, nil)

	filter := store.ListQuery{Business: "2", Shown: []state.State{state.Failed, state.Running}, Limit: 100}
	for {
		page, err := q.List(ctx, filter)
		if err != nil {
			log.Fatal(err)
		}
		for _, task := range page.Tasks {
			fmt.Println(task.Task, task.Name, task.State, task.Counts[state.Failed], "of", task.Counts.Total())
		}
		if page.Cursor == "" {
			break
		}
		filter.Cursor = page.Cursor
	}

	// Output:
	// 10 release 1.4 FAILED 1 of 2
}

func ExampleQuery_History() {
	ctx := context.Background()
	e, err := deployment(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	q := query.New(e, &query.Options{Location: time.UTC})

	for a, err := range q.History(ctx, store.ByNode("build")) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(a.State, "after", a.Finished.Sub(a.Started), "because of", a.Error)
	}

	// Output:
	// FAILED after 4m0s because of no space left on device
}

func ExampleQuery_AsOf() {
	ctx := context.Background()
	e, err := deployment(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	q := query.New(e, nil)

	for _, minute := range []int{3, 4, 6, 14} {
		snap, err := q.AsOf(ctx, "2", "10", time.Date(2026, 3, 1, 9, minute, 0, 0, time.UTC))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("09:%02d %s, %d nodes\n", minute, snap.Tree.Shown(snap.Index), snap.Tree.Len())
	}

	// Output:
	// 09:03 RUNNING, 2 nodes
	// 09:04 FAILED, 2 nodes
	// 09:06 RUNNING, 2 nodes
	// 09:14 FAILED, 3 nodes
}

func ExampleQuery_Timeline() {
	ctx := context.Background()
	e, err := deployment(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	q := query.New(e, &query.Options{Location: time.UTC})

	spans, err := q.Timeline(ctx, "2", "10")
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range spans {
		if !s.End.IsZero() {
			fmt.Printf("%s, attempt %d: %s after %s\n", s.Name, s.Attempt, s.State, s.End.Sub(s.Start))
		}
	}

	// Output:
	// build, attempt 1: FAILED after 4m0s
	// build, attempt 2: FINISHED after 7m0s
	// deploy, attempt 1: FAILED after 1m0s
}

// The data of a step, which is named by its key, is read with its attempts.
func ExampleQuery_Node() {
	ctx := context.Background()
	e, err := engine.Open(ctx, store.NewMemory(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	in := engine.In("2", "10")
	for _, op := range []engine.Op{
		engine.Create("2", "10"),
		engine.Report("", state.Running, in),
		engine.Begin("", state.ServiceActivity, in, engine.Key("compile"), engine.Input([]byte(`{"file":"main.c"}`))),
		engine.Finish("compile", in, engine.Output([]byte(`{"warnings":2}`))),
	} {
		if _, err := e.Record(ctx, op); err != nil {
			log.Fatal(err)
		}
	}

	step, err := query.New(e, nil).Node(ctx, "2", "10", "compile")
	if err != nil {
		log.Fatal(err)
	}
	for attempt, err := range step.Attempts {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s %s %s\n", attempt.State, attempt.Input.Bytes(), attempt.Output.Bytes())
	}
	// Output:
	// FINISHED {"file":"main.c"} {"warnings":2}
}
