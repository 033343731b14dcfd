// Goworkflows shows that the record of a runner with its own kind of steps holds what
// that runner knows: a workflow of cschleiden/go-workflows is recorded from its
// history, with the names, the inputs and the outputs of its activities and what
// led to each.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"

	"github.com/cschleiden/go-workflows/backend"
	"github.com/cschleiden/go-workflows/backend/monoprocess"
	"github.com/cschleiden/go-workflows/backend/sqlite"
	"github.com/cschleiden/go-workflows/client"
	"github.com/cschleiden/go-workflows/worker"
	"github.com/cschleiden/go-workflows/workflow"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/store"
)

func main() {
	s := store.NewMemory()
	if err := errors.Join(run(context.Background(), s), show(context.Background(), os.Stdout, s), s.Close()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// image is the result of build.
type image struct {
	Name  string `json:"name"`
	Bytes int    `json:"bytes"`
}

// deploy builds a commit, checks the image in two ways at the same time, and
// releases it.
func deploy(ctx workflow.Context, commit string) (string, error) {
	built, err := workflow.ExecuteActivity[image](ctx, workflow.DefaultActivityOptions, build, commit).Get(ctx)
	if err != nil {
		return "", err
	}
	tested := workflow.ExecuteActivity[int](ctx, workflow.DefaultActivityOptions, test, built)
	scanned := workflow.ExecuteActivity[[]string](ctx, workflow.DefaultActivityOptions, scan, built.Name)
	passed, testErr := tested.Get(ctx)
	findings, scanErr := scanned.Get(ctx)
	if err := errors.Join(testErr, scanErr); err != nil {
		return "", err
	}
	return workflow.ExecuteActivity[string](ctx, workflow.DefaultActivityOptions, release, built.Name, passed, findings).Get(ctx)
}

func build(_ context.Context, commit string) (image, error) {
	return image{"shop:" + commit, 4096}, nil
}
func test(context.Context, image) (int, error)       { return 12, nil }
func scan(context.Context, string) ([]string, error) { return []string{"CVE-1"}, nil }

var releases atomic.Int64

// release fails the first time.
func release(_ context.Context, name string, _ int, _ []string) (string, error) {
	if releases.Add(1) == 1 {
		return "", errors.New("the cluster does not answer")
	}
	return "https://shop.example/" + name, nil
}

// run has go-workflows run an instance, records it, and records it again, which
// changes nothing.
func run(ctx context.Context, s store.Store) (err error) {
	b := monoprocess.NewMonoprocessBackend(sqlite.NewInMemoryBackend(
		sqlite.WithBackendOptions(backend.WithLogger(slog.New(slog.DiscardHandler)))))
	w := worker.New(b, nil)
	if err := errors.Join(w.RegisterWorkflow(deploy), w.RegisterActivity(build), w.RegisterActivity(test),
		w.RegisterActivity(scan), w.RegisterActivity(release)); err != nil {
		return err
	}
	working, stop := context.WithCancel(ctx)
	defer func() {
		stop()
		err = errors.Join(err, w.WaitForCompletion(), b.Close())
	}()
	if err := w.Start(working); err != nil {
		return err
	}
	e, err := engine.Open(ctx, s, nil)
	if err != nil {
		return err
	}
	defer e.Close()
	c := client.New(b)
	instance, err := c.CreateWorkflowInstance(ctx, client.WorkflowInstanceOptions{InstanceID: "deploy-7"}, deploy, "6a18e7f")
	if err != nil {
		return err
	}
	r := &recorder{e, b, "shop"}
	return errors.Join(c.WaitForWorkflowInstance(ctx, instance, 0), r.catchUp(ctx, instance), r.catchUp(ctx, instance))
}

// show prints the record: the name of each step, the step that led to it, and the
// input and output of each attempt.
func show(ctx context.Context, out io.Writer, s store.Store) error {
	q := query.New(s, nil)
	snap, err := q.Snapshot(ctx, "shop", "deploy-7")
	if err != nil {
		return err
	}
	for i := range snap.Tree.Len() {
		n := snap.Tree.Node(i)
		var after []string
		for before := range n.After.All() {
			after = append(after, snap.Tree.Node(before).Key)
		}
		fmt.Fprintf(out, "%s %s, after %q\n", n.Name, n.State, strings.Join(after, ", "))
		detail, err := q.Node(ctx, "shop", "deploy-7", n.ID)
		if err != nil {
			return err
		}
		for a, err := range detail.Attempts {
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "  %s %s -> %s %s\n", a.State, a.Input.Bytes(), a.Output.Bytes(), a.Error)
		}
	}
	return nil
}
